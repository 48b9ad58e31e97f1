"""Assay: choose, adapt, evaluate, deploy and watch language models, with evidence behind each decision."""

__version__ = "0.1.0"

__all__ = ["__version__"]
