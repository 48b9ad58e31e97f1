"""Named secrets, such as the keys of providers: set once, encrypted at rest, never shown again.

The configuration refers to one as `secret:NAME`, so that no key stands in a file or a variable. Who runs the server sets
them; a new value holds for the next call.
"""

from assay.secrets.types import Secret
from assay.secrets.vault import PREFIX, TOUCHED, Vault

__all__ = ["PREFIX", "TOUCHED", "Secret", "Vault"]
