"""A program with OpenTelemetry's own SDK and the official OpenAI client: its spans and the gateway's are one trace.

ASSAY_URL=http://127.0.0.1:8700 ASSAY_KEY=… python plain.py
"""

import os

from openai import OpenAI
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.instrumentation.httpx import HTTPX2ClientInstrumentor
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

URL, KEY = os.environ["ASSAY_URL"], os.environ["ASSAY_KEY"]

provider = TracerProvider(resource=Resource.create({"service.name": "weather-bot"}))
exporter = OTLPSpanExporter(
    endpoint=f"{URL}/v1/traces", headers={"x-api-key": KEY}, compression=Compression.Gzip
)
provider.add_span_processor(BatchSpanProcessor(exporter))
trace.set_tracer_provider(provider)
tracer = trace.get_tracer("weather-bot")

# Sends `traceparent` with every request: this is what makes the gateway's span part of the trace. The OpenAI client
# is built on httpx2 since its version 3; with an older one use HTTPXClientInstrumentor.
HTTPX2ClientInstrumentor().instrument()
client = OpenAI(base_url=f"{URL}/v1", api_key=KEY)


def look_outside(city: str) -> str:
    """A tool: its span says so in OpenTelemetry's words."""
    with tracer.start_as_current_span("execute_tool look_outside") as span:
        span.set_attribute("gen_ai.operation.name", "execute_tool")
        span.set_attribute("gen_ai.tool.name", "look_outside")
        span.set_attribute("gen_ai.tool.call.arguments", f'{{"city": "{city}"}}')
        span.set_attribute("gen_ai.tool.call.result", "grey")
        return "grey"


with tracer.start_as_current_span("answer a question") as root:
    root.set_attribute("session.id", "conversation-1")
    root.set_attribute("user.id", "ann")
    sky = look_outside("Oslo")
    question = f"The sky in Oslo is {sky}. Do I need an umbrella?"
    answer = client.chat.completions.create(model="fast", messages=[{"role": "user", "content": question}])
    print(answer.choices[0].message.content)
    print("trace:", trace.format_trace_id(root.get_span_context().trace_id))

provider.shutdown()
