"""Signing in and choosing a password: everything between a form or a request and a new login.

What is slow stands outside of transactions. Each attempt is counted before it is looked at, and each ends in the log.
"""

from typing import Any

import msgspec
from litestar import Request
from litestar.datastructures import Cookie

from assay.access import accounts, passwords, sessions
from assay.access.acting import SERVER, Actor, acting
from assay.access.guards import actor_of, address_of
from assay.access.logins import SESSIONS
from assay.access.throttle import LoginThrottle
from assay.access.types import Principal
from assay.errors import AssayError, BadRequest, Forbidden, RateLimited, Unauthorized
from assay.kit.clock import SYSTEM, Clock
from assay.records import Records
from assay.records.auditing import Change, note
from assay.snapshot import Snapshot

HttpRequest = Request[Any, Any, Any]

_HOUR_S = 3600


class Visit(msgspec.Struct, frozen=True):
    """Where an attempt comes from, and how long a login lasts."""

    address: str | None
    browser: str | None
    hours: float


class SignIn:
    """The ways to a login. One a server."""

    def __init__(self, records: Records, throttle: LoginThrottle, *, clock: Clock = SYSTEM) -> None:
        self._records = records
        self._throttle = throttle
        self._clock = clock

    def with_key(self, snapshot: Snapshot, secret: str, visit: Visit) -> str:
        """The token of a new login with a key. Raises `Unauthorized`, `Forbidden`, `RateLimited`."""
        self._admit(None, "a key", visit)
        try:
            principal = sessions.identify(snapshot, secret)
        except AssayError as error:
            self._failed("a key", visit, error.message)
            raise
        self._throttle.succeeded(None, visit.address)
        acting.set(actor_of(principal, visit.address))
        with self._records.write() as tx:
            return sessions.begin(
                tx,
                principal,
                hours=visit.hours,
                address=visit.address,
                browser=visit.browser,
                clock=self._clock,
            )

    def with_password(self, snapshot: Snapshot, name: str, password: str, visit: Visit) -> str:
        """The token of a new login with an account. Raises `Unauthorized`, `Forbidden`, `RateLimited`."""
        user = name.strip().lower()
        # What stands in the field of the name may be a password that slipped; only a name that is one is written down.
        shown = user if user in snapshot[SESSIONS].users else "an unknown account"
        self._admit(user, shown, visit)
        try:
            checked, kept = accounts.check_password(self._records, user, password)
        except Unauthorized as error:
            self._failed(shown, visit, error.message)
            raise
        self._throttle.succeeded(user, visit.address)
        principal = snapshot[SESSIONS].somebody(user=checked.name)
        if principal is None:
            refused = Forbidden(
                "No project is open to this account", hint="Ask an admin of a project for a role in it."
            )
            self._failed(shown, visit, refused.message)
            raise refused
        acting.set(actor_of(principal, visit.address))
        return self._begin(principal, kept, visit, renewed=self._renewed(kept, password))

    def change_password(self, principal: Principal, current: str, new: str, visit: Visit) -> str:
        """Choose another password for one's own account; every login of it ends, and the token of a new one comes back.

        Raises `Unauthorized` when `current` is not right, `BadRequest` when `new` is too weak, `RateLimited`.
        """
        if principal.user is None:
            raise BadRequest(
                "A key has no password", hint="Sign in with an account; whoever runs the server makes one."
            )
        self._admit(principal.user, principal.user, visit)
        try:
            accounts.check_password(self._records, principal.user, current)
        except Unauthorized:
            self._failed(principal.user, visit, "The present password was not right")
            raise BadRequest("The present password is not right", param="current") from None
        self._throttle.succeeded(principal.user, visit.address)
        if new == current:
            raise BadRequest("This is the present password", param="new", hint="Choose another one.")
        kept = accounts.prepare_password(new, user=principal.user)
        with self._records.write() as tx:
            accounts.set_password(tx, principal.user, kept, must_change_password=False, clock=self._clock)
            return sessions.begin(
                tx,
                principal,
                hours=visit.hours,
                address=visit.address,
                browser=visit.browser,
                clock=self._clock,
            )

    def _begin(self, principal: Principal, kept: str, visit: Visit, *, renewed: str | None) -> str:
        with self._records.write() as tx:
            return accounts.begin_login(
                tx,
                principal,
                kept,
                new_hash=renewed,
                hours=visit.hours,
                address=visit.address,
                browser=visit.browser,
                clock=self._clock,
            )

    def _renewed(self, kept: str, password: str) -> str | None:
        return passwords.make_hash(password) if passwords.is_outdated(kept) else None

    def _admit(self, account: str | None, shown: str, visit: Visit) -> None:
        try:
            self._throttle.admit(account, visit.address)
        except RateLimited as error:
            if self._throttle.is_news(account, visit.address):
                self._failed(shown, visit, error.message)
            raise

    def _failed(self, subject: str, visit: Visit, why: str) -> None:
        if acting.get() is SERVER:  # nobody is known yet
            acting.set(Actor(name="nobody", via="login", address=visit.address))
        with self._records.write() as tx:
            note(tx, Change(action="login.failed", subject=subject, after={"why": why}))


def visit_of(request: HttpRequest, *, hours: float) -> Visit:
    """Where a request comes from."""
    return Visit(address_of(request), request.headers.get("user-agent"), hours)


def session_cookie(request: HttpRequest, token: str, *, hours: float) -> Cookie:
    """The cookie of a login; with no hours left, the one that removes it."""
    return Cookie(
        key=sessions.COOKIE,
        value=token,
        max_age=int(hours * _HOUR_S),
        path="/",
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https",
    )
