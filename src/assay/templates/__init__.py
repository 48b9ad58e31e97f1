"""The template language of prompts: one implementation for the server that serves them and for applications that fetch them.

What people and programs store is rendered by others, so a template can reach nothing and grow only so far, on either side.
"""

from assay.templates.language import CompiledTemplate

__all__ = ["CompiledTemplate"]
