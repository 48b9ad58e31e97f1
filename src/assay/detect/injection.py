"""Signs of prompt injection: phrases that give the model orders against those it has, marks of another's prompt format, and
text that is hidden from people.

Each rule has a weight, and the weights of different rules that stand near each other add up as chances do (noisy or), so a long
text is not more suspect than a short one. The text is also read as it looks (compatibility forms, look-alike letters, no
invisible characters) and as it decodes (base64). These are rules, not understanding: they catch what is copied around, cost
microseconds, and miss what is said in new words. `docs/guards.md` has their measured figures.
"""

import binascii
import re
import unicodedata
from base64 import b64decode
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from assay.detect.patterns import PatternSet, encodable
from assay.detect.types import Finding

NEAR = 400
"""Characters within which signs add up."""
MAX_SIGNS = 200
"""Signs of one text that are weighed; more say nothing new."""


class InjectionRule(msgspec.Struct, frozen=True):
    """A pattern (RE2), its weight from 0 to 1, and where the attack was described."""

    name: str
    pattern: str
    weight: float
    source: str


_PEREZ = "Perez and Ribeiro 2022, Ignore Previous Prompt, arXiv 2211.09527"
_GRESHAKE = "Greshake et al. 2023, Not What You've Signed Up For, arXiv 2302.12173"
_SHEN = "Shen et al. 2023, Do Anything Now, arXiv 2308.03825"
_LIU = "Liu et al. 2023, Formalizing and Benchmarking Prompt Injection, arXiv 2310.12815"
_OWASP = "OWASP Top 10 for LLM Applications 2025, LLM01"
_BOUCHER = "Boucher et al. 2021, Bad Characters, arXiv 2106.09898"
_WEI = "Wei et al. 2023, Jailbroken, arXiv 2307.02483"

_BEFORE = r"(?:previous|prior|above|earlier|preceding|foregoing|initial|original|existing|former|past|system|aforementioned)"
_ORDERS = r"(?:instructions?|prompts?|rules?|directions?|directives?|guidelines?|orders?|constraints?|commands?|programming)"
_SHOW = r"(?:reveal|show|print|repeat|output|display|leak|expose|dump|recite|disclose|write out|write down|give me|tell me|copy|translate|encode|summari[sz]e|what (?:is|are|was|were))"

RULES: tuple[InjectionRule, ...] = (
    InjectionRule("override", rf"(?i)\b(?:ignore|disregard|forget|override|overrule|bypass|neglect|do not follow|don't follow|stop following|pay no attention to)\b(?:\s+\S+){{0,3}}?\s+(?:(?:all|any|of|the|your|my|these|those|every|and)\s+){{0,4}}{_BEFORE}(?:\s+\S+){{0,2}}?\s+{_ORDERS}\b", 0.8, _PEREZ),
    InjectionRule("override", rf"(?i)\b(?:ignore|disregard|forget|override|bypass)\s+(?:all\s+|any\s+)?(?:of\s+)?(?:your|these|those)\s+{_ORDERS}\b", 0.6, _PEREZ),
    InjectionRule("override", rf"(?i)\b(?:ignore|disregard|forget|override|bypass)\s+(?:all\s+)?(?:of\s+)?(?:the|these|those)\s+{_ORDERS}\s+(?:that (?:came|stand|are)\s+)?(?:above|before|so far|given|you (?:were|have|got))", 0.8, _PEREZ),
    InjectionRule("override", r"(?i)\b(?:ignore|disregard|forget)\s+(?:everything|all|anything)\s+(?:that\s+)?(?:(?:you|i|we|they)(?:'ve| have| were| was)?\s+(?:been\s+)?(?:told|said|given|instructed|learned|taught|know)|(?:stated |written |said |that (?:came|was) )?(?:above|before))", 0.8, _PEREZ),
    InjectionRule("override", r"(?:忽略|无视|忘记|忘掉|不要理会|不要遵守|不用管|跳过|抛开)[^。！？\n]{0,8}(?:之前|以上|上述|上面|前面|先前|此前|所有|一切|你的)[^。！？\n]{0,10}(?:指令|指示|提示|规则|要求|设定|约束|限制|命令)", 0.8, _PEREZ),
    InjectionRule("override", r"(?i)\b(?:ignorier\w*|vergiss|vergessen sie|missachte\w*|verwirf)\s+(?:\S+\s+){0,2}(?:bisherig|vorherig|obig|früher|vorig|vorangegangen|vorangehend)\w*\s+(?:\S+\s+){0,1}(?:anweisung|instruktion|befehl|regel|vorgabe)", 0.8, _PEREZ),
    InjectionRule("override", r"(?i)\b(?:ignore[rz]?|oublie[rz]?|ne (?:tiens|tenez) pas compte)\s+(?:\S+\s+){0,3}(?:instructions|consignes|règles|directives)\s+(?:\S+\s+)?(?:précédent|ci-dessus|antérieur)", 0.8, _PEREZ),
    InjectionRule("override", r"(?i)\b(?:ignor[ae]|olvid[ae]|descart[ae]|haz caso omiso)\s+(?:\S+\s+){0,3}(?:instrucciones|órdenes|reglas|indicaciones)\s+(?:\S+\s+)?(?:anteriores|previas|de arriba)", 0.8, _PEREZ),
    InjectionRule("new_orders", rf"(?i)(?:\b(?:here are|follow|obey|these are)\s+(?:your|the|my)\s+(?:new|updated|real|actual|true)\s+{_ORDERS}|\b(?:new|updated|real|actual)\s+(?:system\s+)?(?:instructions?|prompt|directives?|orders?)\s*:)", 0.5, _LIU),
    InjectionRule("new_orders", r"(?i)\b(?:your (?:new|real|actual|only) (?:task|goal|job|purpose|objective|role) is|instead,? (?:of that,? )?(?:you (?:must|will|should) (?:now )?)?(?:say|output|respond with|reply with|print|write) (?:only |exactly |just )?[\"'“])", 0.4, _LIU),
    InjectionRule("prompt_leak", rf"(?i)\b{_SHOW}\b(?:\s+\S+){{0,4}}?\s+(?:your|the)\s+(?:\S+\s+)?(?:system|initial|hidden|secret|original|developer|internal|confidential|full|exact)\s+(?:\S+\s+)?(?:prompts?|instructions?|messages?|rules|guidelines|directives?)\b", 0.6, _PEREZ),
    InjectionRule("prompt_leak", r"(?i)\b(?:repeat|print|output|recite|copy)\s+(?:back\s+)?(?:everything|the (?:words|text|content) )\s*(?:\S+\s+){0,3}?(?:above|before this|so far|you were given)", 0.7, _PEREZ),
    InjectionRule("prompt_leak", r"(?:输出|显示|告诉我|泄露|复述|打印|重复|说出|展示)[^。！？\n]{0,10}(?:系统提示|系统指令|初始指令|初始提示|提示词|隐藏指令|内部指令)", 0.6, _PEREZ),
    InjectionRule("persona", r"(?i)\b(?:you are (?:now|no longer|going to (?:act|pretend))|from now on,? you|pretend (?:to be|that you|you)|act as|roleplay as|simulate)\b[^.!?\n]{0,120}\b(?:unrestricted|unfiltered|uncensored|jailbroken|amoral|evil|dan\b|without (?:any )?(?:restrictions?|filters?|limits|limitations|rules|ethics|censorship|moral)|no (?:restrictions?|rules|limits|filters?|ethic)|not bound by|free of (?:all )?(?:restrictions?|rules))", 0.7, _SHEN),
    InjectionRule("persona", r"(?i)\b(?:do anything now|developer mode (?:is )?(?:now )?(?:enabled|output|activated)|enable developer mode|jailbreak mode|god mode (?:enabled|on|activated)|stay in character as dan|\bDAN mode)\b", 0.7, _SHEN),
    InjectionRule("persona", r"(?:你现在是|从现在(?:开始|起)|假装你是|请?扮演)[^。！？\n]{0,30}(?:没有|不受|无|不再受|摆脱)[^。！？\n]{0,8}(?:限制|约束|规则|道德|审查)", 0.7, _SHEN),
    InjectionRule("disarm", r"(?i)\b(?:disable|turn off|switch off|bypass|evade|circumvent|deactivate|remove)\s+(?:all\s+)?(?:your|the|any|its)\s+(?:\S+\s+)?(?:safety|content|ethic\w*|security|moderation|alignment)\s+(?:filters?|guards?|guardrails?|guidelines?|protocols?|restrictions?|polic(?:y|ies)|checks?|mechanisms?|measures)", 0.6, _WEI),
    InjectionRule("disarm", r"(?i)\b(?:start|begin) your (?:answer|response|reply|message) with\s+[\"'“]?(?:sure|absolutely|of course|yes|certainly)", 0.4, _WEI),
    InjectionRule("chat_marks", r"<\|(?:im_start|im_end|system|user|assistant|start_header_id|end_header_id|eot_id|endoftext|begin_of_text)\|>", 0.7, "the control tokens of ChatML and Llama 3"),
    InjectionRule("chat_marks", r"<</?SYS>>|\[/?INST\]", 0.7, "the control marks of Llama 2"),
    InjectionRule("chat_marks", r"(?i)(?:^|\n)\s{0,3}(?:#{2,4}|\[|<)\s?(?:system(?: (?:prompt|message|override|instructions?))?|new instructions?|admin(?:istrator)?(?: override)?)\s?(?:[:\]>]|\n)", 0.5, _LIU),
    InjectionRule("addressed", r"(?i)\b(?:note|message|instructions?|attention|important|notice)\s?(?:[:,-]\s?)?\s?(?:to|for)\s+(?:the\s+|any\s+|all\s+)?(?:AI|LLMs?|language models?|AI assistants?|chatbots?|GPT|ChatGPT|AI agents?|AI reviewers?)\b", 0.6, _GRESHAKE),
    InjectionRule("addressed", r"(?i)\b(?:if|when|since) you(?:'re| are) (?:an? )?(?:AI|LLM|large language model|language model|AI assistant|AI agent|chatbot)\b[^.!?\n]{0,40}\b(?:must|should|please|ignore|say|include|add|write|do|send|visit|call)\b", 0.7, _GRESHAKE),
    InjectionRule("conceal", r"(?i)\b(?:do not|don't|never|without)\s+(?:tell(?:ing)?|inform(?:ing)?|mention(?:ing)?(?: \S+){0,3} to|alert(?:ing)?|notify(?:ing)?|let(?:ting)?)\s+(?:the\s+)?(?:user|human|person|operator)s?\b", 0.45, _GRESHAKE),
    InjectionRule("exfiltrate", r"(?i)\b(?:send|post|forward|exfiltrate|upload|email|transmit|append|leak)\b[^.!?\n]{0,60}\b(?:conversation|chat history|system prompt|api[ _-]?keys?|credentials?|passwords?|secrets?|private (?:keys?|files?)|user(?:'s)? (?:personal )?(?:information|details))\b[^.!?\n]{0,30}\b(?:to|at|into)\s+(?:https?://|\S+@|\S+\.\S{2,})", 0.7, _GRESHAKE),
    InjectionRule("exfiltrate", r"!\[[^\]\n]{0,80}\]\(https?://[^)\s]{1,200}[?&/][^)\s]{0,60}(?:=|/)(?:\{|%7B|\[|<|\$)[^)\n]{0,200}\)", 0.6, _GRESHAKE),
)  # fmt: skip
"""What is looked for, in the text as it is, as it looks and as it decodes."""

HIDDEN = InjectionRule("hidden_text", "[\U000e0020-\U000e007e]{4,}", 0.8, _BOUCHER)
INVISIBLE = InjectionRule("invisible", r"\pL[\x{200b}\x{2060}\x{feff}\x{00ad}]\pL", 0.25, _BOUCHER)
TURNED = InjectionRule("turned", r"[\x{202d}\x{202e}]", 0.3, _BOUCHER)
ENCODED = InjectionRule("encoded", r"[A-Za-z0-9+/]{32,}={0,2}", 0.3, _WEI)
"""Adds to what the decoded text says; base64 by itself is no sign."""

_LOOKS = "аесорхуіјѕԁһкмтвнАВЕКМНОРСТХУІЅЈοανιρτυκΑΒΕΖΗΙΚΜΝΟΡΤΥΧ"
_MEANS = "aecopxyijsdhkmtbhABEKMHOPCTXYISJoavipTukABEZHIKMNOPTYX".replace("pTuk", "ptuk")
_MIXED = rf"[A-Za-z][{_LOOKS}\x{{200b}}-\x{{200f}}\x{{2060}}\x{{feff}}\x{{00ad}}]|[{_LOOKS}][A-Za-z]"
_FORMS = r"[\x{ff21}-\x{ff5a}]{3}|[\x{1d400}-\x{1d7ff}]{3}|[\x{24b6}-\x{24e9}]{3}"
"""Letters of another script within a word, and letters in compatibility forms."""

_set = PatternSet([rule.pattern for rule in RULES])
_disguises = PatternSet([HIDDEN.pattern, INVISIBLE.pattern, TURNED.pattern, ENCODED.pattern, _MIXED, _FORMS])
_UNSEEN = re.compile("[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufeff\ufe00-\ufe0f]")
_LOOK_ALIKE = str.maketrans(_LOOKS, _MEANS)


def find_injection(text: str) -> list[Finding]:
    """Signs of injection by place. The confidence of each is that of all signs near it together, so the greatest is what the
    text as a whole is judged by."""
    text = encodable(text)
    signs = sorted(_signs(text))[:MAX_SIGNS]
    return [
        Finding(start, end, name, round(_weight(signs, at), 4))
        for at, (start, end, name, _) in enumerate(signs)
    ]


_Sign = tuple[int, int, str, float]


def _weight(signs: Sequence[_Sign], at: int) -> float:
    """Of the signs that begin within `NEAR` characters after this one: the strongest of each name."""
    strongest: dict[str, float] = {}
    for start, _, name, weight in signs[at:]:
        if start - signs[at][0] > NEAR:
            break
        strongest[name] = max(weight, strongest.get(name, 0.0))
    innocent = 1.0
    for weight in strongest.values():
        innocent *= 1 - weight
    return 1 - innocent


def _signs(text: str) -> Iterator[_Sign]:
    yield from _said(text)
    disguises = _disguises.which(text)
    for number in disguises:
        for match in _disguises.matches(number, text) if number < len(_DISGUISED) else ():
            yield from _DISGUISED[number](match)
    if any(number >= len(_DISGUISED) for number in disguises):
        seen, places = _as_it_looks(text)
        for start, end, name, weight in _said(seen):
            yield places[start], places[end - 1] + 1, name, weight


def _said(text: str) -> Iterator[_Sign]:
    for number in _set.which(text):
        rule = RULES[number]
        for match in _set.matches(number, text):
            yield *match.span(), rule.name, rule.weight


def _as_it_looks(text: str) -> tuple[str, list[int]]:
    """The text as a reader sees it, and for each of its characters where it stands in the original."""
    seen: list[str] = []
    places: list[int] = []
    for at, character in enumerate(text):
        if _UNSEEN.match(character):
            continue
        plain = unicodedata.normalize("NFKC", character).translate(_LOOK_ALIKE)
        seen.append(plain)
        places += [at] * len(plain)
    return "".join(seen), places


def _hidden(match: Any) -> Iterator[_Sign]:
    """Tag characters, which nothing draws: they spell what is said to the model alone."""
    yield *match.span(), HIDDEN.name, HIDDEN.weight


def _invisible(match: Any) -> Iterator[_Sign]:
    yield *match.span(), INVISIBLE.name, INVISIBLE.weight


def _turned(match: Any) -> Iterator[_Sign]:
    yield *match.span(), TURNED.name, TURNED.weight


def _encoded(match: Any) -> Iterator[_Sign]:
    shown = match.group().rstrip("=")
    try:
        decoded = b64decode(shown + "=" * (-len(shown) % 4), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return
    for _, _, name, weight in _said(decoded):
        yield *match.span(), name, weight
        yield *match.span(), ENCODED.name, ENCODED.weight


_DISGUISED = (_hidden, _invisible, _turned, _encoded)
