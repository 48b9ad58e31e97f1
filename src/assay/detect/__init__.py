"""Pure detectors on text: secrets, personal identifiers with their checksums, and signs of prompt injection.

Each returns `Finding`s: where, what kind, how sure. Guards on calls, masking, scorers and signals use the same ones. They
run in linear time (RE2), and one pass over all patterns of a detector finds that there is nothing in a few microseconds per
kilobyte.
"""

from assay.detect.injection import RULES, InjectionRule, find_injection
from assay.detect.pii import PII_KINDS, find_pii
from assay.detect.secrets import SECRET_KINDS, find_secrets
from assay.detect.types import Finding, placeholder, redacted

__all__ = [
    "PII_KINDS",
    "RULES",
    "SECRET_KINDS",
    "Finding",
    "InjectionRule",
    "find_injection",
    "find_pii",
    "find_secrets",
    "placeholder",
    "redacted",
]
