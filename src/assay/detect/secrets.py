"""Credentials: keys of known vendors by the shape that their vendor gives them, private keys, tokens, and what is assigned to a
name such as `password` and looks like chance.

A vendor's prefix is nearly proof; an assignment is only a sign, so its value must have the entropy of a key and not be a
placeholder.
"""

import json
import math
import re
from base64 import urlsafe_b64decode
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from assay.detect.patterns import PatternSet, encodable
from assay.detect.types import Finding, merged

LEAST_BITS = 2.8
"""Shannon entropy per character of a value that is taken for chance: short words have about 2.5, keys 3 to 5."""

_PLACEHOLDER = re.compile(
    r"your|example|sample|dummy|placeholder|change.?me|xxx|redacted|<|\$\{|\{\{|\*\*\*|\.\.\.|env[:.]|secret:|file:|process\.|os\.",
    re.IGNORECASE,
)


class _Shape(NamedTuple):
    kind: str
    pattern: str
    confidence: float = 0.99
    check: Callable[[str], bool] = bool


def _is_chance(value: str) -> bool:
    counts = Counter(value)
    bits = -sum(count / len(value) * math.log2(count / len(value)) for count in counts.values())
    mixed = sum(
        (any(c.isdecimal() for c in value), any(c.islower() for c in value), any(c.isupper() for c in value))
    )
    return (
        bits >= LEAST_BITS
        and mixed >= 2
        and any(c.isdecimal() for c in value)
        and not _PLACEHOLDER.search(value)
    )


def _is_password(value: str) -> bool:
    return not _PLACEHOLDER.search(value) and value.lower() not in ("password", "pass", "secret", "pwd")


def _is_jwt(value: str) -> bool:
    head = value.partition(".")[0]
    try:
        return "alg" in json.loads(urlsafe_b64decode(head + "=" * (-len(head) % 4)))
    except (ValueError, TypeError, RecursionError):
        return False


def _is_key(value: str) -> bool:
    return len(set(value)) > 8 and not _PLACEHOLDER.search(value)


_NAMES = r"api[_-]?key|access[_-]?key|secret|token|passw(?:or)?d|passwd|pwd|credentials?|private[_-]?key|client[_-]?secret|auth"

_BEGIN = r"-----BEGIN (?:[A-Z0-9]+ ){0,3}PRIVATE KEY(?: BLOCK)?-----"
_BODY = r"(?:(?:\s|\\n)*(?:[A-Z][A-Za-z]+(?:-[A-Za-z]+)?: [^\n]*|[A-Za-z0-9+/=]{16,}))+"
"""Of a key that does not end, or whose end has not come yet: headers and lines of base64."""

_SHAPES: tuple[_Shape, ...] = (
    _Shape("private_key", rf"{_BEGIN}(?:(?:[^-]|-[^-])+-----END [A-Z0-9 ]{{0,40}}-----|{_BODY})"),
    _Shape("anthropic_key", r"\bsk-ant-[a-z0-9]{3,12}-[A-Za-z0-9_-]{32,}", check=_is_key),
    _Shape("openrouter_key", r"\bsk-or-v1-[a-f0-9]{64}\b"),
    _Shape("assay_key", r"\bsk-assay-[A-Za-z0-9_-]{40,}", check=_is_key),
    _Shape("openai_key", r"\bsk-(?:(?:proj|svcacct|admin|None)-[A-Za-z0-9_-]{32,}|[A-Za-z0-9]{32,64}\b)", check=_is_key),
    _Shape("groq_key", r"\bgsk_[A-Za-z0-9]{40,}\b", check=_is_key),
    _Shape("xai_key", r"\bxai-[A-Za-z0-9]{60,}\b", check=_is_key),
    _Shape("huggingface_token", r"\bhf_[A-Za-z0-9]{30,}\b", check=_is_key),
    _Shape("replicate_token", r"\br8_[A-Za-z0-9]{37}\b", check=_is_key),
    _Shape("google_api_key", r"\bAIza[A-Za-z0-9_-]{35}\b", check=_is_key),
    _Shape("google_oauth", r"\b(?:GOCSPX-[A-Za-z0-9_-]{28}|ya29\.[A-Za-z0-9_-]{30,})"),
    _Shape("aws_access_key", r"\b(?:AKIA|ASIA|ABIA|ACCA)[A-Z2-7]{16}\b", check=lambda value: not value.endswith("EXAMPLE")),
    _Shape("aws_secret_key", r"(?i:aws)[A-Za-z0-9_ .-]{0,20}(?i:secret|sk)[A-Za-z0-9_ .-]{0,20}[\"']?\s{0,3}[:=]\s{0,3}[\"']?([A-Za-z0-9/+]{40})(?:[^A-Za-z0-9/+=]|$)", 0.95),
    _Shape("azure_storage_key", r"AccountKey=([A-Za-z0-9+/]{86}==)"),
    _Shape("github_token", r"\b(?:gh[pousr]_[A-Za-z0-9]{36,255}|github_pat_[A-Za-z0-9_]{36,255})\b", check=_is_key),
    _Shape("gitlab_token", r"\bglpat-[A-Za-z0-9_-]{20,}", check=_is_key),
    _Shape("slack_token", r"\bxox[abeoprs]-[A-Za-z0-9-]{20,}", check=_is_key),
    _Shape("slack_webhook", r"https://hooks\.slack\.com/services/T[A-Z0-9]{6,}/B[A-Z0-9]{6,}/[A-Za-z0-9]{20,}"),
    _Shape("stripe_key", r"\b[rs]k_(?:live|test)_[A-Za-z0-9]{16,}\b", check=_is_key),
    _Shape("sendgrid_key", r"\bSG\.[A-Za-z0-9_-]{16,32}\.[A-Za-z0-9_-]{32,64}"),
    _Shape("twilio_key", r"\bSK[0-9a-f]{32}\b"),
    _Shape("npm_token", r"\bnpm_[A-Za-z0-9]{36}\b", check=_is_key),
    _Shape("pypi_token", r"\bpypi-AgE[A-Za-z0-9_-]{50,}"),
    _Shape("digitalocean_token", r"\bdo[opr]_v1_[a-f0-9]{64}\b"),
    _Shape("databricks_token", r"\bdapi[a-f0-9]{32}\b"),
    _Shape("telegram_token", r"\b\d{8,10}:AA[A-Za-z0-9_-]{33}\b"),
    _Shape("jwt", r"\beyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{4,}\.[A-Za-z0-9_-]{8,}", 0.95, _is_jwt),
    _Shape("url_password", r"\b[a-z][a-z0-9+.-]{1,20}://[^\s/:@\"'<>]{1,100}:([^\s/@\"'<>]{3,200})@[A-Za-z0-9.-]", 0.9, _is_password),
    _Shape("authorization", r"(?i:authorization)[\"']?\s{0,3}[:=]\s{0,3}[\"']?(?i:bearer|basic|token)\s{1,3}([A-Za-z0-9+/_=.~-]{16,})", 0.9, _is_chance),
    _Shape("assigned_secret", rf"(?i:{_NAMES})[A-Za-z0-9_.-]{{0,20}}[\"']?\s{{0,3}}(?:=>|:=|[:=])\s{{0,3}}[\"']?([A-Za-z0-9+/_=.~!@#%^&*-]{{12,}})", 0.7, _is_chance),
)  # fmt: skip

SECRET_KINDS = tuple(shape.kind for shape in _SHAPES)
"""What `find_secrets` looks for."""

_set = PatternSet([shape.pattern for shape in _SHAPES])


def find_secrets(text: str) -> list[Finding]:
    """Every credential in the text, by place, without overlaps. Of an assignment only the value is one."""
    text = encodable(text)
    found = [finding for number in _set.which(text) for finding in _of(_SHAPES[number], number, text)]
    return merged(found) if len(found) > 1 else found


def _of(shape: _Shape, number: int, text: str) -> Iterator[Finding]:
    for match in _set.matches(number, text):
        group: Any = 1 if match.re.groups else 0
        if shape.check(match.group(group)):
            start, end = match.span(group)
            yield Finding(start, end, shape.kind, shape.confidence)
