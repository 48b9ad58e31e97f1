"""An agent with a tool, traced: its steps and the gateway's calls are one trace.

ASSAY_URL=http://127.0.0.1:8700 ASSAY_KEY=… python agent.py
"""

import json
from typing import Any

import assay

TOOLS: list[Any] = [
    {
        "type": "function",
        "function": {
            "name": "weather",
            "description": "Today's weather in a city.",
            "parameters": {
                "type": "object",
                "properties": {"city": {"type": "string"}},
                "required": ["city"],
            },
        },
    }
]


@assay.trace(kind="tool")
def weather(city: str) -> dict[str, Any]:
    """What a weather service would say."""
    return {"city": city, "sky": "clear", "celsius": 21}


@assay.trace(kind="agent")
def answer(question: str) -> str:
    """Ask the model, do what it asks for, and ask again, at most four times."""
    messages: list[Any] = [{"role": "user", "content": question}]
    with assay.openai_client() as client:
        for _ in range(4):
            asked = client.chat.completions.create(model="fast", messages=messages, tools=TOOLS)
            said = asked.choices[0].message
            if not said.tool_calls:
                return said.content or ""
            messages.append(said)
            for call in said.tool_calls:
                if call.type == "function":
                    found = weather(**json.loads(call.function.arguments))
                    told = f"In {found['city']} it is {found['celsius']} degrees, the sky is {found['sky']}."
                    messages.append({"role": "tool", "tool_call_id": call.id, "content": told})
                    # The simulated provider answers the last user message; a real model needs no such reminder.
                    messages.append({"role": "user", "content": told})
    return "I gave up."


def main() -> None:
    """One conversation with a follow-up task and a mark by its user."""
    assay.init()
    with assay.session("conversation-1", user="ada", tags=["example"]), assay.span("turn") as turn:
        said = answer("What is the weather in Rome?")
        headline = assay.task("headline")(text=said)
        assay.score("thumbs", True, comment="just right")
    print("answer:", said)
    print("headline:", headline.output)
    print("trace:", turn.trace_id)


if __name__ == "__main__":
    main()
