"""How log lines look and where they go: always standard error, as JSON unless a developer reads them."""

import logging
from typing import Any

import structlog
import structlog.tracebacks
from structlog.typing import EventDict, Processor


def say_what_is_beside(_: Any, __: str, event: EventDict) -> EventDict:
    """What a line of Python's own logging bears beside its text. Of a request that is its id.

    Django tells of a refusal or a crash when the request's own context is gone already.
    """
    record = event.get("_record")
    if record is None:
        return event
    for name, value in vars(record).items():
        if name not in USUAL and name not in event:
            event[name] = value
    meta = getattr(event.pop("request", None), "META", None) or {}
    if "request_id" not in event and (request_id := meta.get("HTTP_X_REQUEST_ID")):
        event["request_id"] = request_id
    return event


# What every record has, and what Django puts on it of a request.
USUAL = {
    *vars(logging.makeLogRecord({})),
    "message",
    "asctime",
    "server_time",
    "status_code",
    "_logger",
    "_name",
    "_from_structlog",
}

SHARED: list[Processor] = [
    structlog.contextvars.merge_contextvars,
    say_what_is_beside,
    structlog.stdlib.add_logger_name,
    structlog.stdlib.add_log_level,
    structlog.stdlib.PositionalArgumentsFormatter(),
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.processors.StackInfoRenderer(),
    structlog.processors.UnicodeDecoder(),
]

# The values of a failed frame may be people's usage, keys and passwords: no log line bears them.
WITHOUT_VALUES = structlog.tracebacks.ExceptionDictTransformer(show_locals=False)


def logging_settings(level: str, *, is_for_eyes: bool) -> dict[str, Any]:
    """Django's LOGGING. Commands and tests run at WARNING; `up` gives its processes INFO."""
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, *SHARED, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "line": formatter(is_for_eyes=is_for_eyes),
        },
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
        "root": {"handlers": ["stderr"], "level": level},
        "loggers": {
            # These bring handlers of their own, and would say everything twice.
            "django": {"handlers": [], "propagate": True},
            "django.server": {"handlers": [], "propagate": True},
            # At INFO it has three lines for every task.
            "django-q": {"handlers": ["stderr"], "level": "WARNING", "propagate": False},
        },
    }


def formatter(*, is_for_eyes: bool) -> dict[str, Any]:
    """What makes a line of what was logged."""
    ending = (
        [structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)]
        if is_for_eyes
        else [structlog.processors.ExceptionRenderer(WITHOUT_VALUES), structlog.processors.JSONRenderer()]
    )
    return {
        "()": structlog.stdlib.ProcessorFormatter,
        "processors": [structlog.stdlib.ProcessorFormatter.remove_processors_meta, *ending],
        "foreign_pre_chain": SHARED,
    }
