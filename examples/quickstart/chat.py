"""The official client against Assay: nothing here knows of Assay but the address and the key.

OPENAI_BASE_URL=http://127.0.0.1:8700/v1 OPENAI_API_KEY=… python chat.py
"""

from openai import OpenAI

client = OpenAI()

print("models:", ", ".join(sorted(model.id for model in client.models.list())))

answer = client.chat.completions.create(model="fast", messages=[{"role": "user", "content": "Say hello."}])
print("chat:", answer.choices[0].message.content)

print("streamed: ", end="")
for chunk in client.chat.completions.create(
    model="task:polish",
    messages=[{"role": "user", "content": "She no went to the market."}],
    stream=True,
):
    if chunk.choices:
        print(chunk.choices[0].delta.content or "", end="", flush=True)
print()
