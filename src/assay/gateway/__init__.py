"""The HTTP face of calls and tasks: raw ASGI, since every framework layer costs on the hot path.

A request is read, its key checked against the snapshot, its body decoded, its task (if any) rendered, the call made and
the answer written. No database, no framework, no vendor SDK.
"""

from assay.gateway.app import Gateway

__all__ = ["Gateway"]
