"""Where the audit is tied in: connections that tell who acts, tasks that act as the house, triggers after a migrate."""

from contextlib import AbstractContextManager
from typing import Any

from django.db import connections
from django.db.backends.signals import connection_created
from django.db.models.signals import post_migrate
from django_q.signals import post_execute_in_worker, pre_execute

from config.auditing.triggers import audited_tables, set_triggers
from mediation import services as mediation
from mediation.store import copying

# The task that this worker is at: django-q2 says when one begins and when it has ended.
_at_work: list[AbstractContextManager[None]] = []


def tie_in(roof: Any) -> None:
    """Tie the audit in, once every model is there. roof: the config app, whose migrations come last."""
    tables = audited_tables()
    tell = mediation.teller(tables)
    copying.BEFORE_COPY[:] = [lambda table: mediation.tell_database() if table in tables else None]

    def listen(connection: Any, **_: Any) -> None:
        if tell not in connection.execute_wrappers:
            connection.execute_wrappers.append(tell)

    connection_created.connect(listen, dispatch_uid="audit", weak=False)
    for connection in connections.all(initialized_only=True):
        listen(connection)
    pre_execute.connect(_begin, dispatch_uid="audit")
    post_execute_in_worker.connect(_end, dispatch_uid="audit")
    post_migrate.connect(set_triggers, sender=roof, dispatch_uid="audit")


def _begin(task: dict[str, Any], **_: Any) -> None:
    called = f"{task['name']} {task['id']}"
    deed = mediation.coming_by(source="worker", who=lambda: None, request_id=lambda: called)
    deed.__enter__()
    _at_work.append(deed)


def _end(**_: Any) -> None:
    if _at_work:
        _at_work.pop().__exit__(None, None, None)
