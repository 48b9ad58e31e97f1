"""Pages: one Jinja2 environment over every room's templates, and the answer that carries a page.

`app.py` makes one `Shell` and puts it on `app.state.shell`; a room's handler only calls `page(request, …)`.
Templates are named `room/x.html` and live in `src/assay/<room>/templates/<room>/x.html`. They extend `shell.html` and
may use the macros of `components.html`, the filters of `assay.ui.filters` and these names:

    title · path · nav · principal · places · csrf_token · banners · version · static(path) · here(**changes) · url(path, **query)
    _(text) · ngettext(one, many, n) · language · languages
"""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Protocol, cast
from urllib.parse import parse_qsl, urlencode

import jinja2
import msgspec
from litestar import Request, Response

import assay
from assay.errors import AssayError
from assay.kit.clock import SYSTEM, Clock
from assay.ui import assets, filters, language, words
from assay.ui.language import later

ROOMS = Path(__file__).parent.parent

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; connect-src 'self'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)

PAGE_HEADERS = {
    "content-security-policy": CONTENT_SECURITY_POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}
"""What every HTML answer carries."""


class Person(Protocol):
    """Who looks at the page. `access.Principal` has these two."""

    @property
    def name(self) -> str:
        """What to call them."""

    @property
    def role(self) -> str:
        """viewer, editor or admin."""


EDITING = ("editor", "admin")
"""The roles that may change things."""


class NavItem(msgspec.Struct, frozen=True):
    """One line of the navigation. `g` then `key` goes there; `icon` is a name that `components.icon` draws.

    `also` are further paths whose pages belong under it. `begins` says that a new group of places begins; who has none of
    `for_roles`, where there are some, is not shown the place.
    """

    label: str
    path: str
    key: str
    icon: str
    also: tuple[str, ...] = ()
    begins: bool = False
    for_roles: tuple[str, ...] = ()

    def holds(self, path: str) -> bool:
        """Whether a page belongs under this item."""
        if self.path == "/":
            return path == "/"
        return any(path == each or path.startswith(f"{each}/") for each in (self.path, *self.also))


NAVIGATION = (
    NavItem(later("Overview"), "/", "o", "overview"),
    NavItem(later("Live"), "/live", "l", "live"),
    NavItem(later("Traces"), "/traces", "t", "traces"),
    NavItem(later("Sessions"), "/sessions", "s", "sessions"),
    NavItem(later("Playground"), "/playground", "p", "playground", begins=True, for_roles=EDITING),
    NavItem(later("Prompts"), "/prompts", "m", "prompts"),
    NavItem(later("Tasks"), "/tasks", "k", "tasks"),
    NavItem(later("Datasets"), "/datasets", "d", "datasets"),
    NavItem(later("Runs"), "/runs", "r", "runs", also=("/comparisons",)),
    NavItem(later("Decisions"), "/decisions", "c", "decisions"),
    NavItem(later("Models"), "/models", "n", "models", begins=True),
    NavItem(later("Batches"), "/batches", "b", "batches"),
    NavItem(later("Jobs"), "/jobs", "j", "jobs"),
    NavItem(later("Keys"), "/keys", "y", "keys"),
    NavItem(later("Settings"), "/settings", "e", "settings", also=("/users", "/projects", "/audit")),
)
"""Every place there can be, in order. `app.py` passes on those whose rooms it registered."""


class Banner(msgspec.Struct, frozen=True):
    """A warning on top of every page: what is wrong and what to do. `tone` is `warning` or `worse`."""

    text: str
    hint: str | None = None
    tone: str = "warning"


class Shell:
    """What surrounds every page of one app."""

    def __init__(
        self,
        environment: jinja2.Environment,
        *,
        nav: Sequence[NavItem],
        person: Callable[[Request[Any, Any, Any]], Person | None],
        csrf_token: Callable[[Request[Any, Any, Any]], str],
        places: Callable[[Request[Any, Any, Any]], Sequence[Any]] = lambda request: (),
        banners: Callable[[], Sequence[Banner]] = tuple,
    ) -> None:
        """`places` are the projects that whoever looks may switch to, as `access.logins.Place`."""
        self.environment = environment
        self.nav = nav
        self.person = person
        self.csrf_token = csrf_token
        self.places = places
        self.banners = banners

    def open_to(self, who: Person | None) -> list[NavItem]:
        """The places that somebody's navigation shows."""
        role = None if who is None else who.role
        return [item for item in self.nav if not item.for_roles or role in item.for_roles]

    def render(
        self, request: Request[Any, Any, Any], template: str, context: msgspec.Struct, *, title: str
    ) -> str:
        """The page as text. The struct's fields are the template's names; they may not hide those of the shell."""
        path = request.url.path
        query = request.url.query
        who = self.person(request)
        surroundings = {
            "title": title,
            "path": path,
            "nav": [(item, item.holds(path)) for item in self.open_to(who)],
            "principal": who,
            "places": self.places(request),
            "csrf_token": self.csrf_token(request),
            "banners": self.banners(),
            "here": lambda **changes: here(path, query, **changes),
            "language": language.current(),
            "languages": language.LANGUAGES,
        }
        fields = {name: getattr(context, name) for name in context.__struct_fields__}
        hidden = fields.keys() & surroundings.keys()
        if hidden:
            raise TypeError(f"{type(context).__name__} hides the shell's {', '.join(sorted(hidden))}")
        return self.environment.get_template(template).render(**fields, **surroundings)


class ErrorContext(msgspec.Struct, frozen=True):
    """What `ui/error.html` shows."""

    status: int
    message: str
    hint: str | None
    request_id: str | None


def environment(rooms: Iterable[str], *, clock: Clock = SYSTEM) -> jinja2.Environment:
    """The environment over the templates of `ui` and of these rooms: always escaping, strict about names."""
    loader = jinja2.FileSystemLoader([ROOMS / room / "templates" for room in ("ui", *rooms)])
    made = jinja2.Environment(
        loader=loader,
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
        extensions=["jinja2.ext.i18n"],
    )
    # Not the new style, which takes whatever passes through for trusted HTML: titles hold names that people chose.
    made.install_gettext_callables(language._, language.ngettext, newstyle=False)  # type: ignore[attr-defined]
    made.filters.update(filters.table(clock))
    made.globals.update(
        version=assay.__version__,
        static=assets.url,
        has_asset=assets.ASSETS.__contains__,
        url=url,
        sentence=words.sentence,
        quantity=words.quantity,
        level=words.level,
        p_text=words.p_text,
        is_rate=words.is_rate,
    )
    return made


def fragment(request: Request[Any, Any, Any], template: str, context: msgspec.Struct) -> str:
    """A template that does not extend `shell.html`, as text: a part of a page for whoever sends it on."""
    return cast("Shell", request.app.state.shell).render(request, template, context, title="")


def page(
    request: Request[Any, Any, Any], template: str, context: msgspec.Struct, *, title: str, status: int = 200
) -> Response[str]:
    """A room's template in the shell, or a fragment of a page when the template does not extend `shell.html`."""
    shell = cast("Shell", request.app.state.shell)
    text = shell.render(request, template, context, title=title)
    return Response(text, status_code=status, media_type="text/html", headers=PAGE_HEADERS)


def error_page(
    request: Request[Any, Any, Any],
    error: AssayError | None = None,
    *,
    status: int | None = None,
    request_id: str | None = None,
) -> Response[str]:
    """An error in the shell. Without an `AssayError` only its status is told, never what an exception said."""
    code = status if status is not None else error.status if error is not None else 500
    title, fallback = _ERRORS.get(code, _ERRORS[500] if code >= 500 else _ERRORS[400])
    message = error.message if error is not None else fallback
    context = ErrorContext(
        status=code, message=message, hint=error.hint if error else None, request_id=request_id
    )
    return page(request, "ui/error.html", context, title=title, status=code)


_ERRORS = {
    400: (later("This cannot be used"), later("What was sent cannot be used.")),
    401: (later("Sign in"), later("This page is for people who have signed in.")),
    403: (later("Not allowed"), later("Your role does not allow this.")),
    404: (later("Not found"), later("There is no such page.")),
    405: (later("Not possible here"), later("This page does not take that.")),
    413: (later("Too large"), later("That is more than this server takes.")),
    429: (later("Too many requests"), later("A limit is reached. Try again in a moment.")),
    500: (
        later("Something went wrong"),
        later("This is a fault of Assay. The log has the details under the id below."),
    ),
    503: (later("Not now"), later("The server cannot take this now. Try again in a moment.")),
}


def url(path: str, **query: Any) -> str:
    """A path with a query; what is None, empty or False is left out."""
    kept = [
        (name, value)
        for name, value in query.items()
        if value is not None and value != "" and value is not False
    ]
    return f"{path}?{urlencode(kept)}" if kept else path


def here(path: str, query: str, **changes: Any) -> str:
    """This page's address with some query parameters changed; None or empty removes one."""
    kept = {name: value for name, value in parse_qsl(query) if name not in changes}
    return url(path, **kept, **changes)
