"""Accounts of people: making them, their passwords, their roles in projects, and shutting them out.

Passwords are checked and hashed before a transaction begins (`prepare_password`), since that takes long on purpose and
others wait for their turn to write. Whatever takes a right away also ends the logins that had it.
"""

import re
import secrets

import msgspec
from sqlalchemy import Connection

from assay.access import passwords, sessions, store
from assay.access.logins import SESSIONS
from assay.access.types import PROJECT, Principal, Right, Role, User
from assay.errors import BadRequest, Conflict, Forbidden, NotFound, Unauthorized
from assay.kit.clock import SYSTEM, Clock
from assay.records import Records, touch

_NAME = re.compile(r"[a-z0-9][a-z0-9._@+-]{0,99}")
_GENERATED = "abcdefghijkmnpqrstuvwxyz23456789"
_GROUPS, _GROUP = 4, 5
"""Four groups of five characters of 32: 100 bits, and readable aloud."""


class Member(msgspec.Struct, frozen=True):
    """An account with its roles by project, as far as whoever asks may know them."""

    user: User
    roles: dict[str, Role]


def account_name(name: str) -> str:
    """The name in the form in which it is kept. Raises `BadRequest`."""
    plain = name.strip().lower()
    if not _NAME.fullmatch(plain):
        raise BadRequest(
            f"{name!r} cannot name an account",
            param="name",
            hint="At most 100 letters, digits and . _ @ + -, beginning with a letter or digit; an e-mail address will do.",
        )
    return plain


def new_password() -> str:
    """A password that nobody knows yet, for a first login."""
    letters = [secrets.choice(_GENERATED) for _ in range(_GROUPS * _GROUP)]
    return "-".join("".join(letters[at : at + _GROUP]) for at in range(0, len(letters), _GROUP))


def prepare_password(password: str, *, user: str) -> str:
    """The hash to keep of a new password. Raises `BadRequest` when it is too weak."""
    passwords.check_strength(password, user=user)
    return passwords.make_hash(password)


def create_user(
    tx: Connection, name: str, password_hash: str, *, must_change_password: bool = True, clock: Clock = SYSTEM
) -> User:
    """Make an account that has no role yet. Raises `Conflict` when the name is taken."""
    now = clock.now_ns()
    user = User(
        name=account_name(name),
        created_at_ns=now,
        password_changed_at_ns=now,
        must_change_password=must_change_password,
    )
    if not store.add_user(tx, user, password_hash):
        raise Conflict(f"There is an account {user.name!r} already", hint="Give it a role: assay users role.")
    touch(tx, SESSIONS.name)
    return user


def get_user(tx: Connection, name: str) -> User:
    """One account. Raises `NotFound`."""
    found = store.find_user(tx, name.strip().lower())
    if found is None:
        raise NotFound(
            f"There is no account {name!r}", hint="Whoever runs the server makes one: assay users add."
        )
    return found[0]


def scope_of(principal: Principal, *, everywhere: bool) -> str | None:
    """The project whose accounts, or whose log, are shown; None for all. Raises `Forbidden` unless the server is theirs."""
    if not everywhere:
        return principal.project
    if not principal.may(Right.OPERATE):
        raise Forbidden("What belongs to every project is for whoever runs the server: an admin of 'default'")
    return None


def list_members(tx: Connection, *, project: str | None) -> list[Member]:
    """The accounts with a role in a project, with that role; without one every account, with all roles."""
    roles: dict[str, dict[str, Role]] = {}
    for at, user, role in store.roles(tx, project=project):
        roles.setdefault(user, {})[at] = role
    return [Member(user, roles.get(user.name, {})) for user in store.list_users(tx, member_of=project)]


def get_member(tx: Connection, name: str, *, seen_by: Principal) -> Member:
    """An account with its roles as far as whoever asks may know them. Raises `NotFound`."""
    user = get_user(tx, name)
    found = store.roles(tx, user=user.name)
    known = (each for each in found if seen_by.operator or each[0] == seen_by.project)
    return Member(user, {project: role for project, _, role in known})


def set_password(
    tx: Connection, name: str, password_hash: str, *, must_change_password: bool, clock: Clock = SYSTEM
) -> User:
    """Give an account another password and end all of its logins."""
    user = get_user(tx, name)
    store.change_user(
        tx,
        user.name,
        password_hash=password_hash,
        password_changed_at_ns=clock.now_ns(),
        must_change_password=must_change_password,
    )
    sessions.end_all(tx, user=user.name)
    touch(tx, SESSIONS.name)
    return get_user(tx, user.name)


def disable(tx: Connection, name: str, *, clock: Clock = SYSTEM) -> User:
    """Shut an account out at once; what it did keeps its name. Raises `Conflict` for the last who can run the server."""
    user = get_user(tx, name)
    if user.disabled_at_ns is None:
        store.change_user(tx, user.name, disabled_at_ns=clock.now_ns())
        sessions.end_all(tx, user=user.name)
        keep_an_admin(tx, PROJECT, user.name)
        touch(tx, SESSIONS.name)
    return get_user(tx, user.name)


def enable(tx: Connection, name: str) -> User:
    """Let a disabled account in again, with the roles and the password that it had."""
    user = get_user(tx, name)
    store.change_user(tx, user.name, disabled_at_ns=None)
    touch(tx, SESSIONS.name)
    return get_user(tx, user.name)


def set_role(tx: Connection, project: str, name: str, role: Role) -> None:
    """Give an account a role in a project, or another one. Raises `Conflict` for the last admin."""
    if role is Role.APP:
        raise BadRequest(
            "'app' is a role for keys of applications, not for people",
            param="role",
            hint="One of viewer, editor, admin.",
        )
    user = get_user(tx, name)
    was = _role(tx, project, user.name)
    store.set_role(tx, project, user.name, role)
    if was is Role.ADMIN and role is not Role.ADMIN:
        keep_an_admin(tx, project, user.name)
    touch(tx, SESSIONS.name)


def remove_role(tx: Connection, project: str, name: str) -> None:
    """Take an account's role in a project away. Raises `NotFound` when it has none, `Conflict` for the last admin."""
    user = name.strip().lower()
    was = _role(tx, project, user)
    if was is None:
        raise NotFound(f"{name!r} has no role in this project", hint="`assay users list` shows who has.")
    store.remove_role(tx, project, user)
    if was is Role.ADMIN:
        keep_an_admin(tx, project, user)
    if not store.roles(tx, user=user):
        sessions.end_all(tx, user=user)
    touch(tx, SESSIONS.name)


def keep_an_admin(tx: Connection, project: str, who: str) -> None:
    """After a right was taken away: raises `Conflict`, which undoes it, when nobody is left who could give it back."""
    store.hold_project(tx, project)
    if store.count_admins(tx, project) == 0:
        raise Conflict(
            f"{who!r} is the last admin of the project {project!r}",
            hint="Make another first: assay keys create NAME --role admin, or assay users role NAME admin.",
        )


def check_password(records: Records, name: str, password: str) -> tuple[User, str]:
    """The enabled account of this name and password, and the hash that was checked.

    Raises `Unauthorized`, in the same words and after the same work whether the name, the password or the account is at
    fault.
    """
    with records.read() as tx:
        found = store.find_user(tx, name)
    is_right = passwords.matches(None if found is None else found[1], password)
    if found is None or not is_right or found[0].disabled_at_ns is not None:
        raise Unauthorized(
            "This name and password do not belong together",
            hint="Whoever runs the server can set another password: assay users set-password NAME.",
        )
    return found


def begin_login(
    tx: Connection,
    principal: Principal,
    checked_hash: str,
    *,
    new_hash: str | None,
    hours: float,
    address: str | None,
    browser: str | None,
    clock: Clock = SYSTEM,
) -> str:
    """Begin the login of an account whose password was just checked, and keep `new_hash` if the old one is outdated.

    Raises `Unauthorized` if the password or the account changed in between.
    """
    found = store.find_user(tx, principal.user or "")
    if found is None or found[1] != checked_hash or found[0].disabled_at_ns is not None:
        raise Unauthorized("The account was changed just now", hint="Sign in again.")
    renewed = {} if new_hash is None else {"password_hash": new_hash}
    store.change_user(tx, found[0].name, signed_in_at_ns=clock.now_ns(), **renewed)
    return sessions.begin(tx, principal, hours=hours, address=address, browser=browser, clock=clock)


def _role(tx: Connection, project: str, user: str) -> Role | None:
    return next((role for _, _, role in store.roles(tx, project=project, user=user)), None)
