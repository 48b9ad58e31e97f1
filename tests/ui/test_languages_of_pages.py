"""The pages of a real server in the language that a browser asks for."""

from collections.abc import Callable
from typing import Any

import pytest

HEADINGS = {
    "/": ("Overview", "概览"),
    "/traces": ("Traces", "追踪"),
    "/sessions": ("Sessions", "会话"),
    "/tasks": ("Tasks", "任务"),
    "/datasets": ("Datasets", "数据集"),
    "/runs": ("Runs", "评测运行"),
    "/decisions": ("Decisions", "决策"),
    "/batches": ("Batches", "批处理"),
    "/jobs": ("Jobs", "作业"),
    "/keys": ("Keys", "密钥"),
}


@pytest.fixture(scope="module")
def server(start_assay: Callable[..., Any]) -> Any:
    return start_assay("").ready()


@pytest.mark.parametrize("path", HEADINGS)
def test_a_page_speaks_the_browsers_language(server: Any, path: str) -> None:
    english, chinese = HEADINGS[path]
    for accepted, tag, heading in (("en-GB", "en", english), ("zh-CN,zh;q=0.9", "zh-CN", chinese)):
        page = server.http.get(path, headers={"accept-language": accepted}).raise_for_status().text
        assert f'<html lang="{tag}">' in page
        assert f"<h1>{heading}</h1>" in page


def test_the_switch_is_remembered_and_leads_back_here_only(server: Any) -> None:
    for wanted, reached in (("/tasks", "/tasks"), ("//evil.example", "/"), ("https://evil.example/", "/")):
        answer = server.http.post(
            "/language", data={"language": "zh-CN", "next": wanted}, follow_redirects=False
        )
        assert (answer.status_code, answer.headers["location"]) == (303, reached)
        assert "assay_language=zh-CN" in answer.headers["set-cookie"]
    page = server.http.get("/tasks", headers={"accept-language": "en", "cookie": "assay_language=zh-CN"}).text
    assert "<h1>任务</h1>" in page
    unknown = server.http.post("/language", data={"language": "tlh", "next": "/"}, follow_redirects=False)
    assert "set-cookie" not in unknown.headers


def test_a_name_that_people_chose_stays_text(server: Any) -> None:
    page = server.http.get("/tasks/<b>x</b>", headers={"accept-language": "zh-CN"}).text
    assert "<b>x</b>" not in page
