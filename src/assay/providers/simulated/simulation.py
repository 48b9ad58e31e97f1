"""The simulated provider itself: requests in, plans out. Pure but for its call counter, its log and its clock."""

import re
from collections import deque
from collections.abc import Mapping
from email.utils import formatdate
from random import Random
from typing import Any, cast
from urllib.parse import urlsplit

import msgspec

from assay.errors import BadRequest
from assay.kit.clock import SYSTEM, Clock
from assay.providers.simulated import converse_saying, gemini_saying
from assay.providers.simulated.asking import Asked, Refused
from assay.providers.simulated.behaviour import Behaviour, Script, draw
from assay.providers.simulated.dialects import OVERLOADED, Dialect, Moment, counted, dialect_at
from assay.providers.simulated.exchange import Call, Exchange, Plan, Step
from assay.providers.simulated.messages_asking import messages_error, parse_messages
from assay.providers.simulated.replying import reply
from assay.providers.simulated.saying import Chunk
from assay.providers.types import HttpRequest

STEERING_HEADER = "x-simulate"
DEFAULT_MODEL = "simulated-1"
LOG_LENGTH = 10_000
COUNT_PATH = "/v1/messages/count_tokens"
GEMINI_MODELS_PATH = "/v1beta/models"
BEDROCK_MODELS_PATH = "/foundation-models"
_SIGNED_BY = re.compile(r"AWS4-HMAC-SHA256 Credential=([^/]+)/")
_MESSAGES = {
    401: ("Incorrect API key provided.", "invalid_api_key"),
    403: ("You are not allowed to use this model.", None),
    404: ("The model does not exist or you do not have access to it.", "model_not_found"),
    429: ("Rate limit reached for requests.", "rate_limit_exceeded"),
    500: ("The server had an error while processing your request. Sorry about that!", None),
    503: (OVERLOADED, None),
    529: ("Overloaded", None),
}


class Simulation:
    """A provider that lives by a script. The n-th call of a seed always meets the same fate.

    `log` has a `Call` for each request, in order (the last 10,000). `change` replaces fields of the behaviour from now on.
    """

    def __init__(self, script: Script | None = None, *, clock: Clock = SYSTEM) -> None:
        self.script = script or Script()
        self.log: deque[Call] = deque(maxlen=LOG_LENGTH)
        self.clock = clock
        self._started_s = clock.monotonic()
        self._behaviour = self.script.behaviour
        self._stages: dict[tuple[int, ...], Behaviour] = {}
        self._calls = 0

    def change(self, **changes: Any) -> None:
        """Behave differently from the next call on. Raises `BadRequest` naming the field."""
        self._behaviour = self._behaviour.with_changes(changes)
        self._stages.clear()

    def behaviour_now(self) -> Behaviour:
        """How the next call would be met, without its own steering."""
        elapsed_s = self.clock.monotonic() - self._started_s
        holding = tuple(
            at
            for at, change in enumerate(self.script.then)
            if change.holds(calls_before=self._calls, elapsed_s=elapsed_s)
        )
        if holding not in self._stages:
            behaviour = self._behaviour
            for at in holding:
                behaviour = behaviour.with_changes(self.script.then[at].set)
            self._stages[holding] = behaviour
        return self._stages[holding]

    def handle(self, request: HttpRequest) -> Exchange:
        """Decide what will happen to a request. Nothing waits here: playing the exchange does.

        Only calls of a model count for `after_calls` and for the seed; listing models does not.
        """
        url = urlsplit(request.url)
        path = url.path
        call = Call(
            index=self._calls,
            method=request.method,
            path=path,
            query=url.query,
            headers={name.lower(): value for name, value in request.headers},
            body=_json_or_none(request.body),
            at_s=self.clock.monotonic() - self._started_s,
        )
        self.log.append(call)
        try:
            plan = self._plan(call, request.body)
        except Refused as refused:
            plan = self._error(refused.status, _refusal(call, refused), Behaviour())
        call.status = plan.status
        return Exchange(plan, call, self.clock)

    def _plan(self, call: Call, body: bytes) -> Plan:
        self._check_key(call.headers)
        dialect = dialect_at(call.path)
        if dialect is None and (call.path == "/v1/models" or call.path.startswith("/v1/models/")):
            return self._models(call)
        if call.path == GEMINI_MODELS_PATH and call.method == "GET":
            names = self.script.models or (DEFAULT_MODEL,)
            return _whole(gemini_saying.models(names), head_s=0.0)
        if call.path == BEDROCK_MODELS_PATH and call.method == "GET":
            return _whole(converse_saying.models(self.script.models or (DEFAULT_MODEL,)), head_s=0.0)
        if call.path == COUNT_PATH and call.method == "POST":
            asked = parse_messages(body, call.headers, counting=True)
            return _whole(msgspec.json.encode({"input_tokens": counted(asked)}), head_s=0.0)
        if dialect is None:
            raise Refused(404, f"Invalid URL ({call.method} {call.path})", code="unknown_url")
        if call.method != "POST":
            raise Refused(405, f"Not allowed to {call.method} on {call.path}.", code="method_not_supported")
        behaviour = self.behaviour_now()
        self._calls += 1
        random = Random(self.script.seed << 64 | call.index)
        asked = dialect.parse(call, body)
        if self.script.models and asked.model not in self.script.models:
            raise Refused(
                404,
                f"The model `{asked.model}` does not exist or you do not have access to it.",
                code="model_not_found",
            )
        behaviour = _steered(behaviour, asked.steering, call.headers.get(STEERING_HEADER, ""))
        fate = self._fate(dialect, behaviour, random)
        return fate or self._answered(asked, dialect, behaviour, random, call.index)

    def _check_key(self, headers: Mapping[str, str]) -> None:
        if self.script.api_key is None:
            return
        bearer = headers.get("authorization", "").removeprefix("Bearer ").strip()
        sent = _key_in(headers) or bearer
        if signed := _SIGNED_BY.match(
            bearer
        ):  # by one of AWS's pairs of keys, of which the first names the other
            sent = self.script.api_key if signed[1] == self.script.api_key.partition(":")[0] else signed[1]
        if not sent:
            raise Refused(401, "You didn't provide an API key. Send it as `Authorization: Bearer YOUR_KEY`.")
        if sent != self.script.api_key:
            raise Refused(401, f"Incorrect API key provided: {sent[:3]}***.", code="invalid_api_key")

    def _models(self, call: Call) -> Plan:
        if call.method != "GET":
            raise Refused(405, f"Not allowed to {call.method} on {call.path}.", code="method_not_supported")
        made = _anthropic_card if _is_anthropic(call) else _card
        cards = [made(name) for name in self.script.models or (DEFAULT_MODEL,)]
        if call.path == "/v1/models":
            page = {"has_more": False} if _is_anthropic(call) else {"object": "list"}
            return _whole(msgspec.json.encode({**page, "data": cards}), head_s=0.0)
        name = call.path.removeprefix("/v1/models/")
        for card in cards:
            if card["id"] == name:
                return _whole(msgspec.json.encode(card), head_s=0.0)
        raise Refused(404, f"The model '{name}' does not exist", param="model", code="model_not_found")

    def _fate(self, dialect: Dialect, behaviour: Behaviour, random: Random) -> Plan | None:
        """The failures that come before an answer; each draws its chance whether it is configured or not, so that
        switching one on does not move the others."""
        refused, failed = random.random(), random.random()
        if refused < behaviour.refuse:
            return Plan(head_s=draw(behaviour.head_s, random), refused=True)
        status = behaviour.status
        for name, share in behaviour.errors.items():
            if status == 200 and failed < share:
                status = int(name)
            failed -= share
        if status == 200:
            return None
        message, code = _MESSAGES.get(status, (f"The simulated provider answers {status}.", None))
        body = dialect.error(status, message, code)
        return self._error(status, body, behaviour, draw(behaviour.head_s, random))

    def _error(self, status: int, body: bytes, behaviour: Behaviour, head_s: float = 0.0) -> Plan:
        headers: tuple[tuple[str, str], ...] = ()
        if behaviour.retry_after_s is not None:
            value = f"{behaviour.retry_after_s:g}"
            if behaviour.retry_after_as == "date":
                value = formatdate(self.clock.now_ns() / 1e9 + behaviour.retry_after_s, usegmt=True)
            headers = (("retry-after", value),)
        return _whole(body, head_s=head_s, status=status, headers=headers)

    def _answered(
        self, asked: Asked, dialect: Dialect, behaviour: Behaviour, random: Random, index: int
    ) -> Plan:
        faulty = random.random() < behaviour.fault_share
        head_s = draw(behaviour.head_s, random)
        first_token_s = draw(behaviour.first_token_s, random)
        created = self.clock.now_ns() // 1_000_000_000
        moment = Moment(index=index, created=created, behaviour=behaviour)
        if dialect.vectors is not None:
            plan = _whole(dialect.vectors(asked, moment), head_s=head_s + first_token_s)
            return _broken_whole(plan, behaviour, dialect) if faulty else plan
        replies = tuple(
            reply(asked, behaviour, prompt, random) for prompt in asked.prompts for _ in range(asked.n)
        )
        answer = dialect.answer(asked, replies, moment)
        if asked.stream:
            plan = _streamed(answer.chunks(), behaviour, random, head_s, first_token_s, dialect.stream_type)
            return _broken_stream(plan, behaviour, dialect) if faulty else plan
        longest = max(each.count for each in replies)
        whole_s = head_s + first_token_s + sum(_gap(behaviour, random) for _ in range(longest - 1))
        plan = _whole(answer.whole(), head_s=whole_s, headers=dialect.headers(asked))
        return _broken_whole(plan, behaviour, dialect) if faulty else plan


def _steered(behaviour: Behaviour, steering: Mapping[str, Any], header: str) -> Behaviour:
    changes = dict(steering)
    for pair in filter(None, (part.strip() for part in header.split(";"))):
        name, _, value = pair.partition("=")
        decoded = _json_or_none(value.encode())
        changes[name.strip().replace("-", "_")] = value if decoded is None else decoded
    try:
        return behaviour.with_changes(changes)
    except BadRequest as error:
        raise Refused(400, error.message, param="simulate") from error


def _gap(behaviour: Behaviour, random: Random) -> float:
    """Seconds between two tokens; the lognormal factor has mean 1, so jitter does not change the rate."""
    if behaviour.tokens_per_s is None:
        return 0.0
    factor = random.lognormvariate(-(behaviour.jitter**2) / 2, behaviour.jitter) if behaviour.jitter else 1.0
    return factor / behaviour.tokens_per_s


def _streamed(
    chunks: list[Chunk],
    behaviour: Behaviour,
    random: Random,
    head_s: float,
    first_token_s: float,
    content_type: str,
) -> Plan:
    steps: list[Step] = []
    wait_s, waited = first_token_s, False
    for chunk in chunks:
        delay_s = 0.0
        if chunk.is_token or (not waited and chunk is chunks[-1]):
            delay_s = wait_s if not waited else _gap(behaviour, random)
            waited = True
        steps.append(Step(delay_s, chunk.data))
    headers = (("content-type", content_type), ("cache-control", "no-cache"))
    return Plan(head_s=head_s, headers=headers, steps=tuple(steps))


def _whole(
    body: bytes, *, head_s: float, status: int = 200, headers: tuple[tuple[str, str], ...] = ()
) -> Plan:
    length = (("content-type", "application/json"), ("content-length", str(len(body))))
    return Plan(head_s=head_s, status=status, headers=(*length, *headers), steps=(Step(0.0, body),))


def _broken_stream(plan: Plan, behaviour: Behaviour, dialect: Dialect) -> Plan:
    steps = list(plan.steps)
    ending = plan.ending
    if behaviour.malformed_at is not None and behaviour.malformed_at <= len(steps):
        delay_s = steps[behaviour.malformed_at - 1].delay_s
        steps[behaviour.malformed_at - 1] = Step(delay_s, dialect.malformed)
    if behaviour.error_at is not None and behaviour.error_at <= len(steps):
        delay_s = steps[behaviour.error_at - 1].delay_s
        steps[behaviour.error_at - 1 :] = [Step(delay_s, dialect.failed)]
    if behaviour.stall_at is not None and behaviour.stall_at <= len(steps):
        del steps[behaviour.stall_at - 1 :]
        ending = "stall"
    if behaviour.cut_at is not None and behaviour.cut_at < len(steps):
        del steps[behaviour.cut_at :]
        ending = "cut"
    return msgspec.structs.replace(plan, steps=tuple(steps), ending=ending)


def _broken_whole(plan: Plan, behaviour: Behaviour, dialect: Dialect) -> Plan:
    body = plan.steps[0].data
    half = body[: len(body) // 2]
    if behaviour.error_at is not None:
        return _whole(dialect.error(503, OVERLOADED, None), head_s=plan.head_s)
    if behaviour.malformed_at is not None:
        return _whole(half, head_s=plan.head_s)
    if behaviour.cut_at is not None or behaviour.stall_at is not None:
        steps = (Step(0.0, half),) if behaviour.cut_at != 0 else ()
        return msgspec.structs.replace(
            plan, steps=steps, ending="stall" if behaviour.cut_at is None else "cut"
        )
    return plan


def _card(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": 1700000000, "owned_by": "simulated"}


def _anthropic_card(name: str) -> dict[str, Any]:
    return {"id": name, "type": "model", "display_name": name, "created_at": "2026-01-01T00:00:00Z"}


def _is_anthropic(call: Call) -> bool:
    return call.path.startswith("/v1/messages") or (
        call.path.startswith("/v1/models") and "anthropic-version" in call.headers
    )


def _key_in(headers: Mapping[str, str]) -> str | None:
    """A key where a vendor of its own mind looks for it."""
    return next(
        (headers[name] for name in ("x-api-key", "x-goog-api-key", "api-key") if name in headers), None
    )


def _refusal(call: Call, refused: Refused) -> bytes:
    """What a client of this path can read. A refusal of OpenAI's format has its own body, which names the field."""
    if _is_anthropic(call):
        return messages_error(refused.status, str(refused))
    dialect = dialect_at(call.path)
    return refused.body if dialect is None else dialect.refusal(refused)


def _json_or_none(body: bytes) -> Any:
    try:
        return cast("Any", msgspec.json.decode(body)) if body else None
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
