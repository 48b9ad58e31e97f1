"""Tasks: named jobs that an application asks of models, and the variants that are ways to do them.

Any OpenAI client calls a task as the model `task:<name>`. A variant is a prompt, a model and its sampling; it never
changes, so what was evaluated is what is released. Which variant answers is a `Chooser`'s word (releases, later
experiments).
"""

from assay.tasks.calling import TaskCalls
from assay.tasks.choosing import Choice, Chooser
from assay.tasks.definitions import apply_tasks, get_task, get_variant, list_tasks, put_variant
from assay.tasks.table import TASKS, CompiledTask, CompiledVariant
from assay.tasks.types import Task, Variant, VariantSpec

__all__ = [
    "TASKS",
    "Choice",
    "Chooser",
    "CompiledTask",
    "CompiledVariant",
    "Task",
    "TaskCalls",
    "Variant",
    "VariantSpec",
    "apply_tasks",
    "get_task",
    "get_variant",
    "list_tasks",
    "put_variant",
]
