"""From what was sent to the wide row: who wins, what is priced, and what never fails."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from assay.catalog.models import parse_model
from assay.catalog.prices import PriceBook
from assay.traces.dialects import RULES, DialectProjector, Pricing, mapping
from assay.wire.scores import Score, ScoreSource
from assay.wire.spans import OtelSpan, Span, SpanEvent, SpanKind, SpanStatus

patient = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
"""Other work may share the machine."""


def projected(span: OtelSpan, pricing: Pricing | None = None) -> Span:
    """The row that it becomes."""
    (row,) = DialectProjector(pricing).project([span])
    assert isinstance(row, Span)
    return row


def test_other_events_pass_through() -> None:
    span = Span(
        trace_id="a" * 32, span_id="b" * 16, project="p", name="n", kind=SpanKind.MODEL, start_ns=1, end_ns=2,
        attributes={"gen_ai.operation.name": "execute_tool"},
    )  # fmt: skip
    score = Score(score_id="1", project="p", name="n", value=True, source=ScoreSource.USER, at_ns=1)

    assert DialectProjector().project([span, score]) == [span, score]


def test_a_plain_span_keeps_its_name_times_and_attributes(sent: Any) -> None:
    row = projected(sent({"http.request.method": "GET", "user.id": 7, "session.id": "s"}, parent_id="c" * 16))

    assert (row.kind, row.status, row.mapping) == (SpanKind.OTHER, SpanStatus.OK, f"otel/{RULES}")
    assert (row.user_id, row.session_id, row.parent_id) == ("7", "s", "c" * 16)
    assert row.attributes["http.request.method"] == "GET"


def test_a_failure_says_what_was_raised(sent: Any) -> None:
    raised = SpanEvent("exception", 1, {"exception.type": "ValueError", "exception.message": "no"})

    row = projected(sent(status_code=2, events=(raised,)))
    told = projected(
        sent({"error.type": "timeout"}, status_code=2, status_message="too late", events=(raised,))
    )
    mended = projected(sent({"error.type": "timeout"}, events=(raised,)))

    assert (row.status, row.error_type, row.error_message) == (SpanStatus.ERROR, "ValueError", "no")
    assert (told.error_type, told.error_message) == ("timeout", "too late")
    assert (mended.status, mended.error_type, mended.error_message) == (SpanStatus.OK, None, None)


def test_assays_own_names_win(sent: Any) -> None:
    row = projected(
        sent(
            {
                "assay.kind": "agent",
                "assay.session": "ours",
                "session.id": "theirs",
                "assay.user": "ann",
                "assay.tags": ["x", "y"],
                "assay.input": '{"question": 1}',
                "assay.output": '[{"role": "assistant", "content": "hi"}]',
                "gen_ai.operation.name": "chat",
                "gen_ai.request.model": "m",
                "openinference.span.kind": "TOOL",
            }
        )
    )

    assert (row.kind, row.session_id, row.user_id, row.tags) == (SpanKind.AGENT, "ours", "ann", ("x", "y"))
    assert (row.input, row.output) == ((b'{"question": 1}',), (b'{"role":"assistant","content":"hi"}',))
    assert (row.model, row.mapping) == ("m", f"genai/{RULES}")


def test_work_that_was_given_up_is_cancelled(sent: Any) -> None:
    assert projected(sent({"assay.status": "cancelled"}, status_code=2)).status is SpanStatus.CANCELLED


def test_an_attempt_is_nobodys_word_but_ours(sent: Any) -> None:
    assert projected(sent({"assay.kind": "attempt"})).kind is SpanKind.OTHER


@pytest.mark.parametrize(
    ("resource", "environment"),
    [
        ({"deployment.environment.name": "staging"}, "staging"),
        ({"deployment.environment": "dev"}, "dev"),
        ({"deployment.environment": "no name at all!"}, "production"),
        ({}, "production"),
    ],
)
def test_the_resource_says_the_environment(sent: Any, resource: dict[str, str], environment: str) -> None:
    assert projected(sent(resource=resource)).environment == environment
    assert projected(sent(resource=resource, environment="bound")).environment == "bound"


def test_a_span_is_not_its_own_parent(sent: Any) -> None:
    assert projected(sent(parent_id=sent().span_id)).parent_id is None


def test_rules_that_stumble_lose_no_span(sent: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def stumble(_: OtelSpan) -> Any:
        raise KeyError("unforeseen")

    monkeypatch.setattr(mapping, "_DIALECTS", (("genai", lambda _: True, stumble),))

    row = projected(sent({"gen_ai.operation.name": "chat"}))

    assert (row.kind, row.mapping, row.attributes["gen_ai.operation.name"]) == (
        SpanKind.OTHER,
        f"otel/{RULES}",
        "chat",
    )


# --- Prices ---

CALL = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "openai",
    "gen_ai.request.model": "gpt-4o-mini",
    "gen_ai.usage.input_tokens": 1_000_000,
    "gen_ai.usage.output_tokens": 1_000_000,
}


@pytest.fixture(scope="module")
def pricing() -> Pricing:
    """The vendors' lists and one configured model."""
    price = {"input_usd_per_mtok": 1, "output_usd_per_mtok": 2}
    own = parse_model("ours", {"route": [{"provider": "p", "model": "m"}], "price": price})
    return Pricing(PriceBook(), {"ours": own})


def test_a_call_is_priced_by_its_vendors_list(sent: Any, pricing: Pricing) -> None:
    row = projected(sent(CALL), pricing)

    assert row.cost_usd == Decimal("0.75")
    assert row.price_id is not None
    assert "openai/gpt-4o-mini" in row.price_id


def test_a_configured_price_comes_first(sent: Any, pricing: Pricing) -> None:
    assert projected(sent(CALL | {"gen_ai.request.model": "ours"}), pricing).cost_usd == Decimal(3)


@pytest.mark.parametrize(
    ("host", "cost"), [("api.openai.com", Decimal("0.75")), ("127.0.0.1", None), ("llm.example.org", None)]
)
def test_where_the_call_went_decides_whose_prices_hold(
    sent: Any, pricing: Pricing, host: str, cost: Decimal | None
) -> None:
    assert projected(sent(CALL | {"server.address": host}), pricing).cost_usd == cost


def test_an_unknown_price_stays_unknown_unless_the_sender_says_one(sent: Any, pricing: Pricing) -> None:
    unknown = CALL | {"gen_ai.request.model": "never heard of", "gen_ai.provider.name": "nobody"}

    assert projected(sent(unknown), pricing).cost_usd is None
    told = projected(sent(unknown | {"gen_ai.usage.cost": 0.0125}), pricing)
    assert (told.cost_usd, told.price_id) == (Decimal("0.0125"), "told")


def test_what_an_agent_sums_up_is_not_priced(sent: Any, pricing: Pricing) -> None:
    assert projected(sent(CALL | {"gen_ai.operation.name": "invoke_agent"}), pricing).cost_usd is None


# --- Anything ---

KEYS = (
    "gen_ai.operation.name", "gen_ai.input.messages", "gen_ai.output.messages", "gen_ai.prompt.0.content", "gen_ai.prompt.0",
    "gen_ai.tool.definitions", "gen_ai.usage.input_tokens", "gen_ai.system_instructions", "llm.input_messages.0.message.role",
    "llm.input_messages.0.message.contents.0.message_content", "llm.input_messages.0.message.tool_calls.0.tool_call",
    "openinference.span.kind", "llm.invocation_parameters", "retrieval.documents.0.document", "input.value", "assay.input",
    "assay.kind", "assay.tags", "session.id", "otel", "llm.cost.total", "gen_ai.response.finish_reasons", "tag.tags",
)  # fmt: skip
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(["chat", "LLM", "[{}]", '[{"parts": [1]}]']),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["role", "parts", "type", "content", "function"]), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


@patient
@given(st.dictionaries(st.sampled_from(KEYS), anything, max_size=8))
def test_whatever_the_attributes_hold_a_row_comes_out(
    caplog: Any, sent: Any, attributes: dict[str, Any]
) -> None:
    row = projected(sent(attributes))

    assert row.mapping is not None
    assert all(isinstance(message, bytes) for message in (*row.input, *row.output, *row.tools))
    assert "could not be understood" not in caplog.text
