"""Rating exceptions: rated again once their cause is mended, or written off."""

from datetime import datetime

import polars as pl
from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import QuerySet

from mediation import services as mediation
from mediation.models import UDR_ID_BITS, UdrBatch
from mediation.services import acts, require_permission
from rating import store
from rating.models import RatingException
from rating.services.claiming import count_uncharged, lock_batches
from rating.services.pricing import CountMismatchError, charge_usage

CHUNK = 50_000


class UnableToRerate(Exception):
    """Nothing of what was asked for can be rated again."""


class UnableToWriteOff(Exception):
    """The exceptions cannot be given up like this."""


@acts()
def rerate_exceptions(*, exceptions: QuerySet[RatingException], by: User | None, now: datetime) -> int:
    """Rate the UDRs of open rating exceptions again; returns how many are charged now.

    The others keep their exception, with its cause, message and last attempt as of now. Each chunk is a transaction.
    """
    require_permission(by, "rating.rerate_ratingexception")
    opened = mediation.seen(exceptions, by).filter(status=RatingException.Status.OPEN)
    waiting = opened.order_by("pk").select_related(None)
    charged, last = 0, 0
    while chunk := list(waiting.filter(pk__gt=last).values_list("pk", "udr_id")[:CHUNK]):
        first, last = chunk[0][0], chunk[-1][0]
        batch_ids = {udr_id >> UDR_ID_BITS for _, udr_id in chunk}
        together = waiting.filter(pk__range=(first, last))
        charged += rerate_together(waiting=together, batch_ids=batch_ids, by=by, now=now)
    if not last:
        raise UnableToRerate("None of these rating exceptions is open. Choose open ones.")
    return charged


@transaction.atomic
def rerate_together(*, waiting: QuerySet[RatingException], batch_ids: set[int], by: User | None, now: datetime) -> int:
    """Rate the UDRs of open exceptions, all of these batches, again in one transaction; returns how many it charged."""
    # The batches first, as rating and reversing do: a batch that was superseded meanwhile is none of ours.
    batches = lock_batches(batch_ids, UdrBatch.Status.RATED)
    locked = {batch.pk for batch in batches}
    rows = waiting.select_for_update(of=("self",)).values_list("udr_id", "udr_date")
    dates = {udr_id: date for udr_id, date in rows if udr_id >> UDR_ID_BITS in locked}
    if not dates:
        return 0
    book = store.book()
    earliest, latest = min(dates.values()), max(dates.values())
    usage = store.usage_of_udrs(list(dates), earliest, latest, with_extensions=book.prices.needs_extensions)
    entries = store.next_entries(list(dates), earliest, latest + book.prices.longest_record)
    outcome = charge_usage(usage=usage, book=book, now=now, entries=entries)
    charged = outcome.charged["udr_id"].unique()
    count_uncharged(batches, charged, by=-1)
    return _resolve(charged, by, now)


def _resolve(udr_ids: pl.Series, by: User | None, now: datetime) -> int:
    resolved = RatingException.objects.filter(udr_id__in=udr_ids.to_list(), status=RatingException.Status.OPEN)
    return resolved.update(
        status=RatingException.Status.RESOLVED,
        closed_at=now,
        closed_by=by,
        last_tried_at=now,
        close_reason="Charged when it was rated again.",
    )


def move_exceptions(*, before: pl.DataFrame, made: pl.DataFrame, refused: pl.DataFrame, now: datetime) -> None:
    """Resolve the exceptions of UDRs that are charged after all, and count those that are not any more.

    before: the CHARGES that stood; made: CHARGES; refused: REFUSED, written already. In the caller's transaction.
    """
    was_charged = pl.col("udr_id").is_in(before["udr_id"].implode())
    fresh = made.filter(~was_charged)["udr_id"].unique()
    lost = refused.filter(was_charged)["udr_id"].unique()
    wanted = {udr_id >> UDR_ID_BITS for udr_id in (*fresh, *lost)}
    # Nobody is waited for: batches are locked before periods, and this comes after.
    rated = UdrBatch.objects.select_for_update(nowait=True).filter(pk__in=wanted, status=UdrBatch.Status.RATED)
    batches = list(rated.order_by("pk"))
    if len(batches) < len(wanted):
        raise CountMismatchError("usage of a batch that was superseded meanwhile was priced again; it is tried anew")
    count_uncharged(batches, fresh, by=-1)
    count_uncharged(batches, lost, by=1)
    if _resolve(fresh, None, now) != len(fresh):
        raise CountMismatchError("usage that was written off meanwhile was charged; it is tried anew")


def lock_refused(periods: pl.DataFrame) -> None:
    """Lock the batches of usage that waits, refused, in the periods' accounts: before the periods, as rating does."""
    lock_batches(store.refused_batches_of(periods), UdrBatch.Status.RATED)


@acts(why="reason")
def write_off_rating_exceptions(
    *, exceptions: QuerySet[RatingException], reason: str, by: User | None, now: datetime
) -> int:
    """Give open rating exceptions up for good, with a reason; returns how many."""
    require_permission(by, "rating.writeoff_ratingexception")
    if not reason.strip():
        raise UnableToWriteOff("A write-off needs a reason. Say why this usage is not charged.")
    opened = mediation.seen(exceptions, by).filter(status=RatingException.Status.OPEN)
    _require_second_person(opened, reason.strip(), by)
    count = opened.update(
        status=RatingException.Status.WRITTEN_OFF, closed_at=now, closed_by=by, close_reason=reason.strip()
    )
    if not count:
        raise UnableToWriteOff("None of these rating exceptions is open. Choose open ones.")
    return count


def _require_second_person(opened: QuerySet[RatingException], reason: str, by: User | None) -> None:
    if not mediation.asks_for_second_person("write_off", by):
        return
    ids = list(opened.order_by("pk").values_list("pk", flat=True))
    if ids:
        mediation.require_second_person(
            kind="write_off",
            act="write_off_rating_exceptions",
            by=by,
            subject=("rating.RatingException", str(ids[0]) if len(ids) == 1 else ""),
            arguments={"ids": ids, "reason": reason},
            summary=f"Write off {len(ids):,} rating exception{'s' if len(ids) > 1 else ''}: {reason}",
            value=lambda: mediation.value_of(opened),
        )
