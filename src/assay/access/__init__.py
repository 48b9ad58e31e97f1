"""Who may do what: projects, keys, roles and browser logins.

A key is a secret of 256 random bits; only its SHA-256 is kept. The hot path finds the `Principal` of a request in the
snapshot (`authenticate`), without a database, and a revoked key is unknown from the moment `revoke_key` returns. A
browser exchanges a key for a session cookie, which is good for reading and, with a token that other sites cannot know,
for writing.
"""

from assay.access.authentication import KEYS, SESSIONS, authenticate, environment_of
from assay.access.keys import create_key, list_keys, prepare, revoke_key
from assay.access.types import ENVIRONMENT, PROJECT, Key, Principal, Right, Role

__all__ = [
    "ENVIRONMENT",
    "KEYS",
    "PROJECT",
    "SESSIONS",
    "Key",
    "Principal",
    "Right",
    "Role",
    "authenticate",
    "create_key",
    "environment_of",
    "list_keys",
    "prepare",
    "revoke_key",
]
