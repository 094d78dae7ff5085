"""What a worker logs bears the task that it is at."""

from typing import Any

import structlog
from django_q.signals import post_execute_in_worker, pre_execute


def name_tasks_in_logs() -> None:
    """Have each line between the beginning and the end of a task bear its name and its id."""
    pre_execute.connect(_begin, dispatch_uid="task in logs")
    post_execute_in_worker.connect(_end, dispatch_uid="task in logs")


def _begin(task: dict[str, Any], **_: Any) -> None:
    func = task["func"]
    name = func if isinstance(func, str) else f"{func.__module__}.{func.__qualname__}"
    structlog.contextvars.bind_contextvars(task=name, task_id=task["id"])


def _end(**_: Any) -> None:
    structlog.contextvars.unbind_contextvars("task", "task_id")
