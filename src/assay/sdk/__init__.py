"""The light client: what applications and the command line use to talk to a server. Imports nothing of the server."""

from assay.sdk.client import Client

__all__ = ["Client"]
