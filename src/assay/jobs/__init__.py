"""Durable background work: a job survives a kill of the process and goes on where it stopped.

A room registers a function for its kind of job. The function keeps each finished item in the records itself and skips
it when it runs again; DBOS sees to it that it does run again. A job begins when the transaction that adds it commits.
"""

from assay.jobs.context import JobContext
from assay.jobs.ledger import get_job, list_jobs
from assay.jobs.runner import Jobs
from assay.jobs.schedule import Schedule
from assay.jobs.types import Job, JobLine, Status

__all__ = ["Job", "JobContext", "JobLine", "Jobs", "Schedule", "Status", "get_job", "list_jobs"]
