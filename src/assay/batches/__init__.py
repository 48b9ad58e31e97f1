"""Batches: many calls in a file, made in the background, and a file of answers.

In OpenAI's shapes, run here against any model of the catalogue. A batch is a job whose lines are themselves durable: one that was
killed goes on where it stopped, and no line that was answered is asked again.
"""

from assay.batches.jobs import BatchRuns
from assay.batches.planning import KIND, Batches
from assay.batches.types import ENDPOINTS, Batch, BatchStatus

__all__ = ["ENDPOINTS", "KIND", "Batch", "BatchRuns", "BatchStatus", "Batches"]
