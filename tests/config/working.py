"""A worker's task, begun and ended as a worker does it, in this thread: the queue's own way waits without an end."""

from uuid import uuid4

from django.utils.module_loading import import_string
from django_q.signals import post_execute_in_worker, pre_execute


def worked(name, **kwargs):
    """Do the task of this name; returns its id."""
    task, func = {"id": uuid4().hex, "name": name, "func": name}, import_string(name)
    pre_execute.send(sender="django_q", func=func, task=task)
    try:
        func(**kwargs)
    finally:
        post_execute_in_worker.send(sender="django_q", func=func, task=task)
    return task["id"]
