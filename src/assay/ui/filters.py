"""Template filters: how figures, times and hostile text look on a page. Each takes None and says "unknown"."""

import math
import re
import unicodedata
from collections.abc import Callable
from decimal import Decimal
from functools import partial
from typing import Any

import msgspec
from markupsafe import Markup, escape

from assay.kit import money
from assay.kit.clock import SYSTEM, Clock, rfc3339
from assay.kit.json import decode, pretty
from assay.ui.language import _

UNKNOWN = "–"
"""What stands where a figure is not known: an en dash, never a zero."""

NARROW = "\u202f"
"""The narrow no-break space that groups digits and joins a figure to its unit."""

_MINUTE_S, _HOUR_S, _DAY_S = 60, 3_600, 86_400
# Controls that reorder or hide text (bidi overrides and isolates, zero width, C0 and C1) except tab, line feed, return.
_INVISIBLE = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u200b\u2028\u2029\u202a-\u202e\u2060\u2066-\u2069\ufeff\U000e0000-\U000e007f]"
)
_WEB_LINK = re.compile(r"https?://[^\s]+", re.IGNORECASE)
_PICTURE = re.compile(r"data:image/(png|jpeg|gif|webp);base64,[A-Za-z0-9+/=]+")


def usd(amount: Decimal | None) -> str:
    """Money for people: `$0.000123`, `$12.30`, or `unknown`."""
    return money.display(amount)


def integer(value: int | float | None) -> str:
    """A whole number with its digits in groups of three: `12 345`."""
    return UNKNOWN if value is None else f"{round(value):,}".replace(",", NARROW).replace("-", "−")


def number(value: float | None, digits: int = 3) -> str:
    """A number to so many significant digits, without an exponent where it can be read without one."""
    if value is None or math.isnan(value):
        return UNKNOWN
    if value == 0 or not math.isfinite(value):
        return "0" if value == 0 else ("∞" if value > 0 else "−∞")
    magnitude = math.floor(math.log10(abs(value)))
    if not -4 <= magnitude <= 9:
        return f"{value:.{digits - 1}e}".replace("-", "−")
    text = f"{value:,.{max(digits - 1 - magnitude, 0)}f}"
    return text.replace(",", NARROW).replace("-", "−")


def percent(share: float | None, digits: int = 1) -> str:
    """A share of one as a percentage: `0.123` is `12.3 %`."""
    return (
        UNKNOWN
        if share is None or math.isnan(share)
        else f"{share * 100:.{digits}f}{NARROW}%".replace("-", "−")
    )


def duration_ms(value: float | None) -> str:
    """Milliseconds for people: `0.42 ms`, `380 ms`, `4.21 s`, `3 min 05 s`, `2 h 10 min`."""
    if value is None or math.isnan(value):
        return UNKNOWN
    if value < 0:
        return f"−{duration_ms(-value)}"
    if value < 999.5:
        digits = 0 if value >= 99.95 or value == 0 else 1 if value >= 9.995 else 2
        return f"{value:.{digits}f}{NARROW}ms"
    seconds = value / 1000
    if seconds < 59.95:
        return f"{seconds:.{2 if seconds < 9.995 else 1}f}{NARROW}s"
    whole = round(seconds)
    if whole < _HOUR_S:
        return f"{whole // _MINUTE_S}{NARROW}min {whole % _MINUTE_S:02d}{NARROW}s"
    if whole < _DAY_S:
        return f"{whole // _HOUR_S}{NARROW}h {whole % _HOUR_S // _MINUTE_S:02d}{NARROW}min"
    return f"{whole // _DAY_S}{NARROW}d {whole % _DAY_S // _HOUR_S}{NARROW}h"


def duration_ns(value: int | None) -> str:
    """Nanoseconds for people."""
    return duration_ms(None if value is None else value / 1_000_000)


def size_bytes(value: int | None) -> str:
    """Bytes in binary units: `512 B`, `1.5 KiB`."""
    if value is None:
        return UNKNOWN
    amount, units = float(value), ["B", "KiB", "MiB", "GiB", "TiB"]
    while abs(amount) >= 1024 and len(units) > 1:
        amount /= 1024
        units.pop(0)
    digits = 0 if units[0] == "B" or abs(amount) >= 100 else 1
    return f"{amount:.{digits}f}{NARROW}{units[0]}"


def at(value_ns: int | None) -> Markup | str:
    """A moment as `<time>` in UTC to the second; the attribute keeps it exact."""
    if value_ns is None:
        return UNKNOWN
    exact = rfc3339(value_ns)
    return Markup('<time datetime="{}">{}{}UTC</time>').format(exact, exact[:19].replace("T", " "), NARROW)


def time_of_day(value_ns: int | None) -> Markup | str:
    """A moment of today as `<time>` by its hour, in UTC; hovering shows the day."""
    if value_ns is None:
        return UNKNOWN
    exact = rfc3339(value_ns)
    absolute = f"{exact[:19].replace('T', ' ')} UTC"
    return Markup('<time datetime="{}" title="{}">{}</time>').format(exact, absolute, exact[11:19])


def ago(value_ns: int | None, *, clock: Clock = SYSTEM) -> Markup | str:
    """A moment as `<time>` that reads relative to now; hovering shows it absolute."""
    if value_ns is None:
        return UNKNOWN
    exact = rfc3339(value_ns)
    phrase = _relative((clock.now_ns() - value_ns) / 1_000_000_000)
    absolute = f"{exact[:19].replace('T', ' ')} UTC"
    return Markup('<time datetime="{}" title="{}">{}</time>').format(exact, absolute, phrase)


def _relative(seconds: float) -> str:
    distance = abs(seconds)
    if distance < 5:
        return _("just now")
    if distance < _MINUTE_S:
        phrase = f"{distance:.0f}{NARROW}s"
    elif distance < _HOUR_S:
        phrase = f"{distance / _MINUTE_S:.0f}{NARROW}min"
    elif distance < 2 * _DAY_S:
        phrase = f"{distance / _HOUR_S:.0f}{NARROW}h"
    else:
        phrase = _("{n} days").format(n=f"{distance / _DAY_S:.0f}")
    return (_("{phrase} ago") if seconds > 0 else _("in {phrase}")).format(phrase=phrase)


def short_id(value: str | None, length: int = 8) -> Markup | str:
    """An id's last characters (the first ones of time-ordered ids are alike), the whole of it on hover."""
    if not value:
        return UNKNOWN
    return Markup('<span class="id" title="{}">{}</span>').format(value, value.replace("-", "")[-length:])


def json_text(value: Any) -> str:
    """Any JSON-like value, or JSON text or bytes, indented for people; text that is not JSON comes back as it is."""
    if isinstance(value, msgspec.Raw):
        value = bytes(value)
    if isinstance(value, bytes | str):
        try:
            value = decode(value)
        except msgspec.DecodeError:
            return value if isinstance(value, str) else value.decode(errors="replace")
    return pretty(value)


def clip(text: str, length: int = 20_000) -> str:
    """At most so many characters; what was left out is counted at the end."""
    if len(text) <= length:
        return text
    more = _("[{n} more characters]").format(n=integer(len(text) - length))
    return f"{text[:length]}… {more}"


def visible(text: str) -> Markup:
    """Escaped text in which characters that hide or reorder others are shown by their number."""
    return Markup(_INVISIBLE.sub(_shown, str(escape(text))))


def _shown(match: re.Match[str]) -> str:
    character = match.group()
    name = unicodedata.name(character, "control character")
    return f'<span class="control" title="{escape(name)}">U+{ord(character):04X}</span>'


def href(url: str | None) -> str:
    """The link if it leads to a page of this site or to the web, else `#`: no `javascript:`, no `//elsewhere`."""
    if not url:
        return "#"
    if url.startswith("/") and not url.startswith(("//", "/\\")) and not re.search(r"[\x00-\x20\\]", url):
        return url
    return url if url.startswith(("?", "#")) or _WEB_LINK.fullmatch(url) else "#"


def picture(url: str) -> str | None:
    """The `data:` URL if it is a raster image that may be shown, else None: nothing is fetched for a page."""
    return url if _PICTURE.fullmatch(url) else None


def variety(part: Any) -> str:
    """The tag of a message part (`text`, `image`, …) for templates to choose by."""
    return str(type(part).__struct_config__.tag)


def tone(word: Any) -> str:
    """Which colour and sign a word of Assay's vocabulary gets; an unknown word is `neutral`."""
    return _TONES.get(str(word).lower(), "neutral")


_TONES = {
    word: tone_name
    for tone_name, words in {
        "better": "better ok succeeded pass passed active healthy released promoted live yes true",
        "worse": "worse error failed fail regressed down revoked no false",
        "equivalent": "equivalent",
        "inconclusive": "inconclusive",
        "invalid": "invalid cancelled expired archived",
        "warning": "blocked cut warning degraded interrupted",
        "running": "running queued pending started enqueued",
    }.items()
    for word in words.split()
}


def table(clock: Clock) -> dict[str, Callable[..., Any]]:
    """Every filter by its name in templates."""
    return {
        "usd": usd,
        "integer": integer,
        "number": number,
        "percent": percent,
        "duration_ms": duration_ms,
        "duration_ns": duration_ns,
        "size_bytes": size_bytes,
        "at": at,
        "time_of_day": time_of_day,
        "ago": partial(ago, clock=clock),
        "short_id": short_id,
        "json_text": json_text,
        "clip": clip,
        "visible": visible,
        "href": href,
        "picture": picture,
        "variety": variety,
        "tone": tone,
    }
