"""The acts that may need a second person: how each is carried out, and by what one sees that its object has changed."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.contrib.auth.models import User
from django.db.models import QuerySet

from config.approving import records
from ingestion import services as ingestion
from ingestion.models import Backfill, Feed, ImportException, UsageImport
from mediation import selectors as mediation_selectors
from mediation import services as mediation
from mediation.models import ProfileVersion, UdrKey
from rating import services as rating
from rating.models import BillingPeriod, PlanVersion, RatingException, Repricing

Arguments = Mapping[str, Any]


@dataclass(frozen=True)
class Act:
    """An act that services may ask a second person for.

    kind: as the setting names it. run: does it as the person who asked, and says what was done. state: what it is
    about, as it is now, ready for JSON. rows: those that it is about; who decides must see all of them.
    """

    title: str
    kind: str
    permission: str
    run: Callable[[Arguments, User, datetime], str]
    state: Callable[[Arguments], Any]
    feeds: Callable[[Arguments], Iterable[int]] = lambda arguments: ()


def _version(arguments: Arguments) -> ProfileVersion:
    return ProfileVersion.objects.select_related("profile").get(pk=arguments["version"])


def _activate_profile(arguments: Arguments, by: User, now: datetime) -> str:
    version = _version(arguments)
    mediation.activate_version(version=version, by=by, now=now)
    return f"{version} is active."


def _profile_state(arguments: Arguments) -> Any:
    version = _version(arguments)
    active = version.profile.versions.filter(status=ProfileVersion.Status.ACTIVE).values_list("number", flat=True)
    return [version.status, version.spec, sorted(active)]


def _plan_version(arguments: Arguments) -> PlanVersion:
    return PlanVersion.objects.select_related("plan").get(pk=arguments["version"])


def _activate_plan(arguments: Arguments, by: User, now: datetime) -> str:
    version = _plan_version(arguments)
    starts_at = datetime.fromisoformat(arguments["starts_at"])
    rating.activate_version(version=version, starts_at=starts_at, by=by, now=now)
    return f"{version} is active from {arguments['starts_at']} on."


def _plan_state(arguments: Arguments) -> Any:
    version = _plan_version(arguments)
    active = version.plan.versions.filter(status=PlanVersion.Status.ACTIVE).order_by("starts_at")
    return [version.status, version.document, [[one.number, str(one.starts_at)] for one in active.defer("document")]]


def _import_exceptions(arguments: Arguments) -> QuerySet[ImportException]:
    return ImportException.objects.filter(pk__in=arguments["ids"])


def _write_off_import_exceptions(arguments: Arguments, by: User, now: datetime) -> str:
    rows = _import_exceptions(arguments)
    count = ingestion.write_off_exceptions(exceptions=rows, reason=arguments["reason"], by=by, now=now)
    return f"{count:,} records are written off."


def _rating_exceptions(arguments: Arguments) -> QuerySet[RatingException]:
    return RatingException.objects.filter(pk__in=arguments["ids"])


def _write_off_rating_exceptions(arguments: Arguments, by: User, now: datetime) -> str:
    rows = _rating_exceptions(arguments)
    count = rating.write_off_rating_exceptions(exceptions=rows, reason=arguments["reason"], by=by, now=now)
    return f"{count:,} UDRs are written off."


def _still_open(rows: QuerySet[Any]) -> Any:
    return list(rows.filter(status="open").order_by("pk").values_list("pk", flat=True))


def _feeds(rows: QuerySet[Any]) -> Iterable[int]:
    return rows.order_by().values_list("feed_id", flat=True).distinct()


def _periods(arguments: Arguments) -> QuerySet[BillingPeriod]:
    return BillingPeriod.objects.filter(pk__in=arguments["ids"])


def _close_periods(arguments: Arguments, by: User, now: datetime) -> str:
    count = rating.ask_to_close(periods=_periods(arguments), by=by, now=now)
    return f"{count:,} periods will be closed by the workers."


def _repricing(arguments: Arguments) -> Repricing:
    return Repricing.objects.get(pk=arguments["repricing"])


def _apply_rerate(arguments: Arguments, by: User, now: datetime) -> str:
    asked = _repricing(arguments)
    rating.apply_rerate(asked=asked, by=by, now=now)
    return f"{asked} is being applied, account by account."


def _rerate_state(arguments: Arguments) -> Any:
    asked = _repricing(arguments)
    return [asked.status, asked.filters, asked.totals]


def _imports(arguments: Arguments) -> QuerySet[UsageImport]:
    return UsageImport.objects.filter(pk__in=arguments["ids"])


def _reprocess_imports(arguments: Arguments, by: User, now: datetime) -> str:
    count = ingestion.reprocess_imports(imports=_imports(arguments), by=by, now=now)
    return f"{count:,} imports will be mediated again; what they were charged is taken back."


def _feed(arguments: Arguments) -> Feed:
    return Feed.objects.get(pk=arguments["feed"])


def _usage_to_void(arguments: Arguments) -> Any:
    """Which UDRs hold the keys: another one came after it was asked for."""
    held = UdrKey.objects.filter(feed_id=arguments["feed"], key__in=arguments["keys"])
    return list(held.order_by("key").values_list("key", "pk"))


def _reading_of(feed: Feed) -> Any:
    """By what the records are read."""
    version = mediation_selectors.active_version(feed.profile_id)
    return [feed.is_enabled, version.pk if version else None]


def _void_usage(arguments: Arguments, by: User, now: datetime) -> str:
    void = ingestion.ask_void(feed=_feed(arguments), keys=arguments["keys"], reason=arguments["reason"], by=by, now=now)
    return f"{void.key_count:,} records are being voided: {void.tracking_id}."


def _amend_usage(arguments: Arguments, by: User, now: datetime) -> str:
    body, shape = ingestion.body_told(arguments)
    received = ingestion.receive_usage(
        feed=_feed(arguments),
        body=body,
        shape=shape,
        idempotency_key=None,
        by=by,
        now=now,
        amend_reason=arguments["reason"],
    )
    return f"The records are being mediated as import {received.usage_import.tracking_id}."


def _backfill(arguments: Arguments) -> Backfill:
    return Backfill.objects.get(pk=arguments["backfill"])


def _close_backfill(arguments: Arguments, by: User, now: datetime) -> str:
    return f"The {ingestion.ask_close(backfill=_backfill(arguments), by=by, now=now)} is being closed."


def _revert_backfill(arguments: Arguments, by: User, now: datetime) -> str:
    return f"The {ingestion.ask_revert(backfill=_backfill(arguments), by=by, now=now)} is being reverted."


def _backfill_state(arguments: Arguments) -> Any:
    """What came by it: more may be sent while it waits for a decision."""
    backfill = _backfill(arguments)
    imports = backfill.imports.order_by("pk").values_list("pk", "status", "attempt", "imported_count")
    return [backfill.status, list(imports)]


ACTS = {
    "activate_profile": Act(
        title="Activate a version of a Data Profile",
        kind="activate_profile",
        permission="mediation.change_profileversion",
        run=_activate_profile,
        state=_profile_state,
    ),
    "activate_plan": Act(
        title="Activate a version of a rate plan",
        kind="activate_plan",
        permission="rating.activate_planversion",
        run=_activate_plan,
        state=_plan_state,
    ),
    "write_off_import_exceptions": Act(
        title="Write off import exceptions",
        kind="write_off",
        permission="ingestion.writeoff_importexception",
        run=_write_off_import_exceptions,
        state=lambda arguments: _still_open(_import_exceptions(arguments)),
        feeds=lambda arguments: _feeds(_import_exceptions(arguments)),
    ),
    "write_off_rating_exceptions": Act(
        title="Write off rating exceptions",
        kind="write_off",
        permission="rating.writeoff_ratingexception",
        run=_write_off_rating_exceptions,
        state=lambda arguments: _still_open(_rating_exceptions(arguments)),
        feeds=lambda arguments: _feeds(_rating_exceptions(arguments)),
    ),
    "close_periods": Act(
        title="Close billing periods",
        kind="close_period",
        permission="rating.close_billingperiod",
        run=_close_periods,
        state=lambda arguments: _still_open(_periods(arguments)),
    ),
    "apply_rerate": Act(
        title="Apply a rerate, which takes charges back",
        kind="void",
        permission="rating.rerate_charge",
        run=_apply_rerate,
        state=_rerate_state,
    ),
    "reprocess_imports": Act(
        title="Mediate imports again, which takes their charges back",
        kind="void",
        permission="ingestion.reprocess_usageimport",
        run=_reprocess_imports,
        state=lambda arguments: list(_imports(arguments).order_by("pk").values_list("pk", "status", "attempt")),
        feeds=lambda arguments: _feeds(_imports(arguments)),
    ),
    "mediate_records_again": Act(
        title="Change records whose imports are mediated again as a whole, which takes their charges back",
        kind="void",
        permission="ingestion.reprocess_usageimport",
        run=records.mediate_records_again,
        state=records.state_of_records,
        feeds=records.feeds_of_records,
    ),
    "void_usage": Act(
        title="Void usage, which takes its charges back",
        kind="void",
        permission="ingestion.void_usage",
        run=_void_usage,
        state=_usage_to_void,
        feeds=lambda arguments: (arguments["feed"],),
    ),
    "close_backfill": Act(
        title="Close a backfill, which takes back the charges of what it replaces",
        kind="void",
        permission="ingestion.backfill_usage",
        run=_close_backfill,
        state=_backfill_state,
        feeds=lambda arguments: (arguments["feed"],),
    ),
    "revert_backfill": Act(
        title="Revert a backfill, which takes its charges back",
        kind="void",
        permission="ingestion.backfill_usage",
        run=_revert_backfill,
        state=_backfill_state,
        feeds=lambda arguments: (arguments["feed"],),
    ),
    "amend_usage": Act(
        title="Amend usage, which takes its charges back",
        kind="void",
        permission="ingestion.void_usage",
        run=_amend_usage,
        state=lambda arguments: _reading_of(_feed(arguments)),
        feeds=lambda arguments: (arguments["feed"],),
    ),
}
