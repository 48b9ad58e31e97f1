"""Datasets: named examples in versions that never change.

A version is named by its cases, whatever their order, so importing the same file again makes nothing new. Each case has
an id that stays the same as long as its input does, so that runs over different versions can be told apart case by case.
Files are read whole or not at all, and every line that cannot be used is named.
"""

from assay.datasets.importing import read_csv, read_jsonl, read_upload
from assay.datasets.library import (
    diff,
    get_version,
    import_cases,
    iter_cases,
    list_cases,
    list_datasets,
    list_versions,
)
from assay.datasets.types import Case, DatasetDiff, DatasetSummary, DatasetVersion

__all__ = [
    "Case",
    "DatasetDiff",
    "DatasetSummary",
    "DatasetVersion",
    "diff",
    "get_version",
    "import_cases",
    "iter_cases",
    "list_cases",
    "list_datasets",
    "list_versions",
    "read_csv",
    "read_jsonl",
    "read_upload",
]
