"""Who may do what: projects, keys, roles, accounts and browser logins.

A key is a secret of 256 random bits; only its SHA-256 is kept. The hot path finds the `Principal` of a request in the
snapshot (`authenticate`), without a database, and a revoked key is unknown from the moment `revoke_key` returns. A
browser exchanges a key, or a name and a password, for a session cookie, which is good for reading and, with a token that
other sites cannot know, for writing. A person may have another role in each project.
"""

from assay.access.accounts import create_user, prepare_password, set_role
from assay.access.authentication import KEYS, authenticate, check_project, environment_of
from assay.access.keys import create_key, list_keys, prepare, revoke_key
from assay.access.logins import SESSIONS
from assay.access.projects import archive_project, create_project
from assay.access.throttle import LoginThrottle
from assay.access.types import ENVIRONMENT, PROJECT, Key, Principal, Right, Role

__all__ = [
    "ENVIRONMENT",
    "KEYS",
    "PROJECT",
    "SESSIONS",
    "Key",
    "LoginThrottle",
    "Principal",
    "Right",
    "Role",
    "archive_project",
    "authenticate",
    "check_project",
    "create_key",
    "create_project",
    "create_user",
    "environment_of",
    "list_keys",
    "prepare",
    "prepare_password",
    "revoke_key",
    "set_role",
]
