"""A LangChain program with OpenInference's instrumentor, through the gateway: one trace, each call below its span.

ASSAY_URL=http://127.0.0.1:8700 ASSAY_KEY=… python chain.py
"""

import asyncio
import os
from contextvars import ContextVar
from typing import Any
from uuid import UUID

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from openai import DefaultAsyncHttpxClient, DefaultHttpxClient
from openinference.instrumentation import using_session, using_user
from openinference.instrumentation.langchain import LangChainInstrumentor
from opentelemetry import propagate, trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from pydantic import SecretStr

URL, KEY = os.environ["ASSAY_URL"], os.environ["ASSAY_KEY"]

provider = TracerProvider(resource=Resource.create({"service.name": "weather-chain"}))
provider.add_span_processor(
    BatchSpanProcessor(OTLPSpanExporter(endpoint=f"{URL}/v1/traces", headers={"x-api-key": KEY}))
)
trace.set_tracer_provider(provider)
LangChainInstrumentor().instrument(tracer_provider=provider)


# LangChain's spans are made in callbacks and are never OpenTelemetry's current one, so instrumentation of the HTTP client
# alone would put a call beside its span. A callback remembers which run is at work, and each request names its span.
at_work: ContextVar[UUID | None] = ContextVar("at_work", default=None)


class Remember(BaseCallbackHandler):
    """Notes the run of a model before its call goes out, in the context in which it does."""

    run_inline = True

    def on_chat_model_start(self, *_: Any, run_id: UUID, **__: Any) -> None:
        at_work.set(run_id)


def join(request: Any) -> None:
    """Say in `traceparent` below which span a request stands."""
    run_id = at_work.get()
    span = LangChainInstrumentor().get_span(run_id) if run_id else None
    if span is not None:
        propagate.inject(request.headers, trace.set_span_in_context(span))


async def join_async(request: Any) -> None:
    """The same for an asynchronous client."""
    join(request)


@tool
def look_outside(city: str) -> str:
    """What the sky is like."""
    return f"grey over {city}"


model = ChatOpenAI(
    model="fast",
    base_url=f"{URL}/v1",
    api_key=SecretStr(KEY),
    stream_usage=True,
    callbacks=[Remember()],
    http_client=DefaultHttpxClient(event_hooks={"request": [join]}),
    http_async_client=DefaultAsyncHttpxClient(event_hooks={"request": [join_async]}),
)
prompt = ChatPromptTemplate.from_messages([("system", "Be brief."), ("human", "{question}")])
chain = prompt | model

tracer = trace.get_tracer("weather-chain")
with tracer.start_as_current_span("answer a question") as root:
    with using_session("conversation-1"), using_user("ann"):
        sky = look_outside.invoke({"city": "Oslo"})
        print(chain.invoke({"question": f"The sky is {sky}. Do I need an umbrella?"}).content)
        print("".join(str(part.content) for part in chain.stream({"question": "And a coat?"})))
        print(asyncio.run(chain.ainvoke({"question": "And a scarf?"})).content)
    print("trace:", trace.format_trace_id(root.get_span_context().trace_id))

provider.shutdown()
