"""The playground: a person asks models and variants side by side, and keeps what was worth it.

A draft is what the page holds: messages, parameters, tools, a schema; it begins empty or with a span, a prompt or a variant.
Each column asks one target through the same pipeline as everybody, so every answer is a kept span with the person as its
user. What proves good becomes a version of a prompt or a case of a dataset.
"""
