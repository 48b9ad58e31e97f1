"""Every error that Assay raises on purpose.

    AssayError                 500  something is wrong on this side
    ├── BadRequest             400  what was sent cannot be used; `param` names the field
    │   ├── InvalidRows        400  some lines of a file cannot be used; `rows` names each
    │   ├── Untranslatable     400  the provider's format cannot say it; one of another format may
    │   └── GuardBlocked       400  a guard objects to what is asked, or to what was answered
    ├── Unauthorized           401  no key, or not one of ours
    ├── Forbidden              403  a key or a person without the right
    │   └── PasswordDue        403  a person who must choose a new password first
    ├── NotFound               404  no such thing in this project
    ├── MethodNotAllowed       405  it is there, and takes another method
    ├── Conflict               409  it exists already, or is in use
    ├── TooLarge               413  more than a limit allows
    ├── KeyReused              422  an idempotency key that stands for another request
    ├── UnsupportedMediaType   415  a body in a format or an encoding that is not known
    ├── InvalidOutput          422  the model's answer does not fit the schema that it was asked for
    ├── RateLimited            429  a limit is reached; `retry_after_s` says for how long
    │   └── BudgetSpent        429  the money is spent: trying again soon is of no use
    ├── Unavailable            503  cannot take it now, try again
    ├── Upstream               502  a provider failed
    │   ├── UpstreamDown       502  it cannot be reached
    │   ├── UpstreamTimeout    504  it did not answer in time
    │   ├── UpstreamRefused    its own status; it answered with an error
    │   └── UpstreamCut        502  it stopped in the middle of an answer
    ├── MissingExtra           501  an optional dependency is not installed; the hint names the command
    └── Unusable               500  this machine or data directory cannot be used as it is (start-up, command line)

Each carries the HTTP status, a machine-readable `type`, a message that says what happened and a hint that says what
to do next. `/api`, `/v1` and the command line shape the same error in their own way.
"""

from decimal import Decimal
from typing import ClassVar, Literal


class AssayError(Exception):
    """The root. `message` says what happened, `hint` what to do next, `param` which input it is about."""

    status: int = 500
    type: ClassVar[str] = "server_error"

    def __init__(self, message: str, *, hint: str | None = None, param: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.param = param


class BadRequest(AssayError):
    """What was sent cannot be used."""

    status = 400
    type = "invalid_request_error"


class InvalidRows(BadRequest):
    """Some lines of a file cannot be used. `rows` holds (line number from 1, what is wrong with it)."""

    def __init__(self, message: str, *, rows: list[tuple[int, str]], hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.rows = rows


class Untranslatable(BadRequest):
    """What was sent cannot be said in the format of the provider. One of another format may take it."""


class GuardBlocked(BadRequest):
    """A guard objects: to the `side` input, or to the output. It says which guard, never what it found. `cost_usd` is what the
    call cost all the same."""

    type = "guard_blocked"
    cost_usd: Decimal | None = None

    def __init__(
        self,
        message: str,
        *,
        guard: str,
        side: Literal["input", "output"],
        hint: str | None = None,
    ) -> None:
        super().__init__(message, hint=hint)
        self.guard = guard
        self.side = side


class Unauthorized(AssayError):
    """No key was sent, or it is not one of ours."""

    status = 401
    type = "authentication_error"


class Forbidden(AssayError):
    """The key or person is known and lacks the right."""

    status = 403
    type = "permission_error"


class PasswordDue(Forbidden):
    """The person must choose a new password before anything else."""


class NotFound(AssayError):
    """There is no such thing in this project."""

    status = 404
    type = "not_found_error"


class MethodNotAllowed(AssayError):
    """It is there, and takes another method."""

    status = 405
    type = "invalid_request_error"


class Conflict(AssayError):
    """It exists already, or something still uses it."""

    status = 409
    type = "conflict_error"


class TooLarge(AssayError):
    """More than a limit allows."""

    status = 413
    type = "request_too_large"


class KeyReused(AssayError):
    """An idempotency key that stands for another request."""

    status = 422
    type = "idempotency_error"


class UnsupportedMediaType(AssayError):
    """A body in a format or an encoding that is not known here."""

    status = 415
    type = "invalid_request_error"


class InvalidOutput(AssayError):
    """The model's answer does not fit the schema that it was asked for, however often it was asked. A client that asked once
    more by itself would pay as much again, hence no 5xx. `cost_usd` is what all attempts cost."""

    status = 422
    type = "invalid_output"
    cost_usd: Decimal | None = None


class RateLimited(AssayError):
    """A limit is reached; `retry_after_s` says for how long, where that is known."""

    status = 429
    type = "rate_limit_error"

    def __init__(self, message: str, *, retry_after_s: float | None = None, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.retry_after_s = retry_after_s


class BudgetSpent(RateLimited):
    """A budget allows no such call any more. Clients of OpenAI's know the type."""

    type = "insufficient_quota"


class Unavailable(AssayError):
    """Cannot be taken now; the same request may succeed later."""

    status = 503
    type = "unavailable_error"


class Upstream(AssayError):
    """A provider failed. `retry_after_s` is what it asked for, where it did."""

    status = 502
    type = "upstream_error"
    retry_after_s: float | None = None


class UpstreamDown(Upstream):
    """It cannot be reached."""


class UpstreamTimeout(Upstream):
    """It did not answer in time."""

    status = 504
    type = "upstream_timeout"


class UpstreamRefused(Upstream):
    """It answered with an error of its own: `status` and `body` are what it said."""

    def __init__(
        self,
        message: str,
        *,
        status: int,
        body: bytes,
        retry_after_s: float | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(message, hint=hint)
        self.status = status
        self.body = body
        self.retry_after_s = retry_after_s


class UpstreamCut(Upstream):
    """It stopped in the middle of an answer."""

    type = "upstream_cut"


class MissingExtra(AssayError):
    """An optional dependency is not installed; the hint is the command that installs it."""

    status = 501
    type = "missing_extra"

    def __init__(self, what: str, *, extra: str) -> None:
        super().__init__(f"{what} needs the extra {extra!r}", hint=f'pip install "assay[{extra}]"')
        self.extra = extra


class Unusable(AssayError):
    """This machine or data directory cannot be used as it is; the hint says what to change."""

    type = "unusable"
