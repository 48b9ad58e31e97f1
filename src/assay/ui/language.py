"""The languages of the pages: English, which is what templates and code are written in, and others from catalogues.

    in a template   {{ _("Sign out") }}   {% trans n=rows %}{{ n }} row{% pluralize %}{{ n }} rows{% endtrans %}
    in Python       from assay.ui.language import _, ngettext; a sentence at import time is marked with `later`

A request's language is the cookie that the switch in the page's corner sets, else what the browser asks for. It lives in a
context variable from the request's beginning, so that pictures and words made in handlers speak it too. `scripts/words`
gathers what there is to say in `locale/`; what a catalogue lacks is said in English.
"""

import gettext
from collections.abc import Mapping
from contextvars import ContextVar
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
from litestar import Request, post
from litestar.params import URLEncodedBody
from litestar.response import Redirect

LANGUAGES: Mapping[str, str] = {"en": "English", "zh-CN": "简体中文"}
"""BCP 47 tag → the language's own name, as the switch shows it."""

COOKIE = "assay_language"
LOCALE = Path(__file__).parent / "locale"
_YEAR_S = 365 * 86_400

_current: ContextVar[str] = ContextVar("language", default="en")


def _(text: str) -> str:
    """The text in the language of the request."""
    return _catalogue(_current.get()).gettext(text)


def ngettext(one: str, many: str, n: int) -> str:
    """The form of a text that fits a number."""
    return _catalogue(_current.get()).ngettext(one, many, n)


def later(text: str) -> str:
    """Marks a text that is translated where it is shown."""
    return text


def current() -> str:
    """The tag of the language of the request."""
    return _current.get()


def speak(language: str) -> None:
    """Use a language from here on in this context."""
    _current.set(language if language in LANGUAGES else "en")


async def listen(request: Request[Any, Any, Any]) -> None:
    """At a request's beginning: whichever language it asks for."""
    chosen = request.cookies.get(COOKIE)
    speak(
        chosen
        if chosen is not None and chosen in LANGUAGES
        else preferred(request.headers.get("accept-language", ""))
    )


def preferred(accepted: str) -> str:
    """The language of ours that an `Accept-Language` header (RFC 9110 §12.5.4) likes best; English when it likes none."""
    ranges: list[tuple[float, str]] = []
    for entry in accepted.split(",")[:32]:
        tag, _sep, weight = entry.partition(";")
        try:
            quality = float(weight.strip().removeprefix("q=")) if weight else 1.0
        except ValueError:
            continue
        if quality > 0:
            ranges.append((-quality, tag.strip().lower()))
    for _quality, tag in sorted(ranges, key=lambda each: each[0]):
        for ours in LANGUAGES:
            if tag == ours.lower() or tag.partition("-")[0] == ours.partition("-")[0].lower():
                return ours
    return "en"


class Choice(msgspec.Struct, frozen=True):
    """The form of the switch."""

    language: str
    next: str = "/"


@post("/language", opt={"public": True}, include_in_schema=False, status_code=303, sync_to_thread=False)
def choose_language(
    request: Request[Any, Any, Any],
    data: URLEncodedBody[Choice],
) -> Redirect:
    """Remember a language in this browser and go back."""
    answer = Redirect(local_path(data.next), status_code=303)
    if data.language in LANGUAGES:
        answer.set_cookie(
            key=COOKIE,
            value=data.language,
            max_age=_YEAR_S,
            samesite="lax",
            secure=request.url.scheme == "https",
            httponly=True,
        )
    return answer


def local_path(wanted: str) -> str:
    """Where to go on: only ever a path of this server, whatever a link says."""
    is_local = wanted.startswith("/") and not wanted.startswith(("//", "/\\")) and wanted.isprintable()
    return wanted if is_local and "\\" not in wanted else "/"


@cache
def _catalogue(language: str) -> gettext.NullTranslations:
    return gettext.translation("assay", LOCALE, [language.replace("-", "_")], fallback=True)


handlers = [choose_language]
