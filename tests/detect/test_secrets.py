"""Credentials in text. The keys here are made of letters in a row: nobody has them."""

import time

import pytest

from assay.detect import SECRET_KINDS, find_secrets, redacted

CHARS = "aB3dE5gH7jK9mN1pQ2sT4vW6yZ8bC0fG"
LONG = CHARS * 4

PEM = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\n" + (LONG[:64] + "\n") * 3


@pytest.mark.parametrize(
    ("kind", "secret"),
    [
        ("anthropic_key", "sk-ant-" + "api03-" + LONG[:90]),
        ("openai_key", "sk-" + LONG[:48]),
        ("openai_key", "sk-" + "proj-" + LONG[:60]),
        ("openrouter_key", "sk-or-" + "v1-" + "0123456789abcdef" * 4),
        ("assay_key", "sk-assay-" + LONG[:43]),
        ("groq_key", "gsk" + "_" + LONG[:52]),
        ("huggingface_token", "hf" + "_" + LONG[:34]),
        ("google_api_key", "AIza" + LONG[:35]),
        ("aws_access_key", "AKIA" + "QWERTYUIOPASDFGH"),
        ("github_token", "ghp" + "_" + LONG[:36]),
        ("gitlab_token", "glpat-" + LONG[:20]),
        ("slack_token", "xoxb-" + "123456789012-" + LONG[:24]),
        ("stripe_key", "sk" + "_live_" + LONG[:24]),
        ("sendgrid_key", "SG." + LONG[:22] + "." + LONG[:43]),
        ("npm_token", "npm" + "_" + LONG[:36]),
        ("telegram_token", "123456789:AA" + LONG[:33]),
        ("jwt", "eyJhbGciOiJIUzI1NiJ9." + "eyJzdWIiOiIxIn0." + LONG[:40]),
        ("private_key", PEM + "-----END RSA PRIVATE KEY-----"),
        ("private_key", PEM.rstrip("\n")),
    ],
)
def test_a_key_is_known_by_its_shape(kind: str, secret: str) -> None:
    text = f"use {secret}\nplease"
    (found,) = find_secrets(text)
    assert (found.kind, text[found.start : found.end]) == (kind, secret)
    assert kind in SECRET_KINDS


@pytest.mark.parametrize(
    ("text", "without"),
    [
        (f'aws_secret_access_key = "{(CHARS * 2)[:40]}"', 'aws_secret_access_key = "[AWS_SECRET_KEY]"'),
        (f"DB_PASSWORD={CHARS[:16]}", "DB_PASSWORD=[ASSIGNED_SECRET]"),
        (f'{{"api_key": "{CHARS}"}}', '{"api_key": "[ASSIGNED_SECRET]"}'),
        (f"Authorization: Bearer {CHARS}", "Authorization: Bearer [AUTHORIZATION]"),
        ("postgres://app:hunter22x@db.internal/app", "postgres://app:[URL_PASSWORD]@db.internal/app"),
    ],
)
def test_of_an_assignment_the_value_is_the_secret(text: str, without: str) -> None:
    assert redacted(text, find_secrets(text)) == without


@pytest.mark.parametrize(
    "text",
    [
        "password = your-password-1234",
        "api_key: ${API_KEY_2024}",
        "token = os.environ['TOKEN_2']",
        'api_key = "env:OPENAI_API_KEY_1"',
        "the secret: perseverance and patience",
        "token: the word before the next",
        "AKIAIOSFODNN7EXAMPLE is in the manual",
        "sk-" + "x" * 48,
        "https://example.com:8080/path@3",
        "-----BEGIN PRIVATE KEY----- is how such a file begins.",
        "eyJhbGciOiJIUzI1NiJ9 is a head alone",
        "commit 3f786850e387550fdab836ed7e6dc881de23001b",
    ],
)
def test_placeholders_and_words_are_no_secrets(text: str) -> None:
    assert find_secrets(text) == []


@pytest.mark.parametrize(
    "piece",
    ["sk-", "A", "eyJ", "token=", "-----BEGIN PRIVATE KEY-----\n" + "A" * 20 + "\n", "a://b:", "xoxb-1-"],
)
def test_no_text_takes_longer_than_its_length_asks(piece: str) -> None:
    began = time.perf_counter()
    find_secrets(piece * (200_000 // len(piece)))
    assert time.perf_counter() - began < 5
