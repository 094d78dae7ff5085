"""What log lines tell of a failure and of the task at hand, and what they keep to themselves."""

import logging
import logging.config

import pytest
import structlog
from django_q.signals import post_execute_in_worker, pre_execute

from config.logging import logging_settings


@pytest.fixture(params=[True, False], ids=["for eyes", "as JSON"])
def line(request):
    """The log line of a failure in a frame that held a secret."""
    said = logging_settings("INFO", is_for_eyes=request.param)["formatters"]["line"]
    formatter = logging.config.DictConfigurator({"version": 1}).configure_formatter(dict(said))
    try:
        fail("".join(["sec", "ret"]))
    except ZeroDivisionError as fault:
        record = logging.makeLogRecord(
            {"name": "room", "msg": "failed", "exc_info": (type(fault), fault, fault.__traceback__)}
        )
    return formatter.format(record)


def fail(held):
    return len(held) / 0


def test_a_failure_is_told_with_the_place_where_it_happened(line):
    assert "ZeroDivisionError" in line
    assert "test_logging.py" in line


def test_the_values_of_a_failed_frame_are_not_logged(line):
    assert "secret" not in line


def test_what_a_worker_logs_bears_its_task_until_that_has_ended():
    task = {"id": "abc", "name": "blue-moon", "func": "ingestion.tasks.mediate_waiting"}
    pre_execute.send(sender="worker", func=len, task=task)
    try:
        said = structlog.contextvars.merge_contextvars(None, "info", {"event": "chunk done"})
        assert (said["task"], said["task_id"]) == ("ingestion.tasks.mediate_waiting", "abc")
    finally:
        post_execute_in_worker.send(sender="worker", func=len, task=task)
    assert "task_id" not in structlog.contextvars.get_contextvars()
