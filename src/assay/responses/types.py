"""A kept answer."""

import msgspec


class StoredResponse(msgspec.Struct, frozen=True, kw_only=True):
    """`items` is the JSON list of what was new in the question, `output` that of what was answered, `body` the whole answer as
    the client got it."""

    project: str
    id: str
    previous_id: str | None = None
    created_at_ns: int
    user_id: str | None = None
    items: str
    output: str
    body: str
