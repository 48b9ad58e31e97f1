"""Signatures as AWS publishes them, and as its own SDK makes them."""

from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.providers.sigv4 import Credentials, signed_headers, signing_key

SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
KEYS = Credentials("AKIDEXAMPLE", SECRET)
AT_NS = 1_440_938_160 * 10**9
"""2015-08-30T12:36:00Z, the moment of AWS's test suite."""
LATER_NS = 1_795_478_462 * 10**9
FORM = (("content-type", "application/x-www-form-urlencoded"),)
JSON = (("content-type", "application/json"),)
ARN = "arn%3Aaws%3Abedrock%3Aus-east-1%3A123456789012%3Ainference-profile%2Fus.anthropic.claude-3-5-sonnet-20240620-v1%3A0"


def signed(method: str, url: str, headers: Any = (), body: bytes = b"", **more: Any) -> dict[str, str]:
    given = {"credentials": KEYS, "region": "us-east-1", "service": "service", "now_ns": AT_NS, **more}
    return dict(signed_headers(method, url, headers, body, **given))


def signature(*args: Any, **more: Any) -> str:
    return signed(*args, **more)["authorization"].rpartition("Signature=")[2]


@pytest.mark.parametrize(
    ("method", "target", "headers", "body", "expected"),
    [
        ("GET", "/", (), b"", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
        ("POST", "/", (), b"", "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"),
        (
            "GET",
            "/?Param2=value2&Param1=value1",
            (),
            b"",
            "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
        ),
        (
            "POST",
            "/",
            FORM,
            b"Param1=value1",
            "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a",
        ),
        ("GET", "/example/..", (), b"", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
        ("GET", "//", (), b"", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
        ("GET", "/./", (), b"", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
    ],
)
def test_requests_of_awss_test_suite_are_signed_as_it_says(
    method: str, target: str, headers: Any, body: bytes, expected: str
) -> None:
    assert signature(method, f"https://example.amazonaws.com{target}", headers, body) == expected


def test_the_example_of_awss_manual() -> None:
    key = signing_key(SECRET, "20150830", "us-east-1", "iam")
    assert key.hex() == "c4afb1cc5771d871763a393e44b703571b55cc28424d1a5e86da6ed3c154a4b9"
    url = "https://iam.amazonaws.com/?Action=ListUsers&Version=2010-05-08"
    form = (("Content-Type", "application/x-www-form-urlencoded; charset=utf-8"),)
    headers = signed("GET", url, form, service="iam")
    assert headers["authorization"] == (
        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/iam/aws4_request, "
        "SignedHeaders=content-type;host;x-amz-date, "
        "Signature=5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7"
    )
    assert headers["x-amz-date"] == "20150830T123600Z"


def test_calls_of_bedrock_are_signed_as_botocore_1_44_signs_them() -> None:
    body = b'{"messages":[]}'
    url = f"https://bedrock-runtime.us-east-1.amazonaws.com/model/{ARN}/converse"
    assert signature("POST", url, JSON, body, service="bedrock") == (
        "752ee1d8c82eb1f26766666b0e83fcee436062130713585f9a3538e5008c3feb"
    )
    local = "http://127.0.0.1:8123/prefix/model/amazon.nova-lite-v1%3A0/converse-stream"
    keys = Credentials("AKIDEXAMPLE", SECRET, "tok/en+==")
    headers = signed(
        "POST", local, JSON, body, service="bedrock", region="eu-central-1", now_ns=LATER_NS, credentials=keys
    )
    assert headers["authorization"] == (
        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20261124/eu-central-1/bedrock/aws4_request, "
        "SignedHeaders=content-type;host;x-amz-date;x-amz-security-token, "
        "Signature=75bd877f2b5309736661152bc2590cf27d53f3d533ed434a043498295f06347e"
    )
    assert headers["x-amz-security-token"] == "tok/en+=="


@pytest.mark.peers
@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from(["GET", "POST"]),
    st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=20),
    st.dictionaries(st.text("aBc-_~ é", max_size=4), st.text("xYz/&=+é ", max_size=6), max_size=3),
    st.text("abc  \t", max_size=8),
    st.binary(max_size=30),
    st.none() | st.just("token+/="),
)
def test_any_request_is_signed_as_botocore_signs_it(
    method: str, name: str, query: dict[str, str], value: str, body: bytes, token: str | None
) -> None:
    auth = pytest.importorskip("botocore.auth", reason="needs botocore")
    credentials = pytest.importorskip("botocore.credentials")
    requests = pytest.importorskip("botocore.awsrequest")
    url = f"https://bedrock-runtime.us-east-1.amazonaws.com:8443/model/{quote(name, safe='')}/converse"
    url += f"?{urlencode(query, quote_via=quote)}" if query else ""
    theirs = requests.AWSRequest(
        method=method, url=url, headers={"x-amz-some": value, **dict(JSON)}, data=body
    )
    signer = auth.SigV4Auth(credentials.Credentials("AKID", SECRET, token), "bedrock", "us-east-1")
    signer.add_auth(theirs)
    at = datetime.strptime(theirs.headers["X-Amz-Date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    ours = signed(
        method,
        url,
        (("x-amz-some", value), *JSON),
        body,
        credentials=Credentials("AKID", SECRET, token),
        service="bedrock",
        now_ns=int(at.timestamp()) * 10**9,
    )
    assert ours["authorization"] == theirs.headers["Authorization"]
