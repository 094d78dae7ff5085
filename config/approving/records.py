"""What is done to records for which charged imports are mediated again as a whole, once a second person agrees."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from django.contrib.auth.models import User

from ingestion import services as ingestion
from ingestion.models import GroupCorrection, ImportException, UsageImport
from ingestion.selectors import Group

Arguments = Mapping[str, Any]


def _reprocess(arguments: Arguments, by: User, now: datetime) -> None:
    ingestion.reprocess_exceptions(exceptions=_exceptions(arguments), by=by, now=now)


def _retry_later(arguments: Arguments, by: User, now: datetime) -> None:
    ingestion.retry_later(exceptions=_exceptions(arguments), by=by, now=now)


def _correct(arguments: Arguments, by: User, now: datetime) -> None:
    said = {name: arguments[name] for name in ("raw", "changes", "reason")}
    ingestion.correct_exception(exception=_exceptions(arguments).get(), by=by, now=now, **said)


def _correct_group(arguments: Arguments, by: User, now: datetime) -> None:
    said = {name: arguments[name] for name in ("rule", "reason", "last_id")}
    ingestion.ask_correction(group=Group(**arguments["group"]), by=by, now=now, **said)


def _undo(arguments: Arguments, by: User, now: datetime) -> None:
    correction = GroupCorrection.objects.get(pk=arguments["correction"])
    ingestion.undo_correction(correction=correction, by=by, now=now, as_whole=arguments.get("as_whole", False))


DEEDS: dict[str, Callable[[Arguments, User, datetime], None]] = {
    "mediate exceptions again": _reprocess,
    "try exceptions again later": _retry_later,
    "correct a record": _correct,
    "correct a group of records": _correct_group,
    "undo a correction": _undo,
}


def mediate_records_again(arguments: Arguments, by: User, now: datetime) -> str:
    """Do what was asked for; workers mediate the imports."""
    DEEDS[arguments["does"]](arguments, by, now)
    return f"{len(arguments['imports']):,} imports will be mediated again; what they were charged is taken back."


def state_of_records(arguments: Arguments) -> Any:
    """The imports as they are, and the exceptions with what was corrected in them so far."""
    imports = UsageImport.objects.filter(pk__in=arguments["imports"]).order_by("pk")
    exceptions = _exceptions(arguments).order_by("pk")
    return [
        list(imports.values_list("pk", "status", "attempt")),
        list(exceptions.values_list("pk", "status", "revision_count")),
    ]


def feeds_of_records(arguments: Arguments) -> Any:
    """Of the imports, and of exceptions beside them that need nobody but are done with them."""
    imports = UsageImport.objects.filter(pk__in=arguments["imports"]).order_by()
    exceptions = _exceptions(arguments).order_by()
    return {*imports.values_list("feed_id", flat=True), *exceptions.values_list("feed_id", flat=True)}


def _exceptions(arguments: Arguments) -> Any:
    return ImportException.objects.filter(pk__in=arguments.get("ids", ()))
