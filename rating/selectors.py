"""Questions about rating's tables, answered without changing anything."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.contrib.auth.models import User
from django.db.models import (
    Case,
    Count,
    Exists,
    F,
    Max,
    Min,
    OuterRef,
    Prefetch,
    Q,
    QuerySet,
    Subquery,
    Sum,
    Value,
    When,
    Window,
)

from mediation.models import UDR_ID_BITS, RestoredUdr, UdrBatch, UsageClass, VoidedUdr
from mediation.selectors import restored_uncharged, voids_unsettled
from mediation.services import feeds_seen
from mediation.store import RowsByBatch
from rating.core.frames import ENTRY_BITS
from rating.models import (
    Account,
    BillingPeriod,
    BucketGrant,
    Charge,
    CountedPeriod,
    ExceptionRerate,
    RatePlan,
    RatingException,
    RatingExceptionComment,
    RepricedAccount,
    Repricing,
    Service,
    Statement,
    StatementLine,
    StatementTax,
)

MAX_ATTEMPTS = 3  # of workers to put a period in order or to close it

READY = (UdrBatch.Status.MEDIATED, UdrBatch.Status.SUPERSEDED)
UNFINISHED = (*READY, UdrBatch.Status.STAGED, UdrBatch.Status.ERRORED)

# Charges less reversals.
RECORDS = Sum(Case(When(kind=Charge.Kind.CHARGE, then=Value(1)), default=Value(-1)))


def batches_waiting(now: datetime) -> QuerySet[UdrBatch]:
    """Batches that are to be rated or reversed, and that no worker has claimed."""
    return UdrBatch.objects.filter(Q(claimed_until__isnull=True) | Q(claimed_until__lt=now), status__in=READY)


def batches_unfinished() -> QuerySet[UdrBatch]:
    """Batches whose UDRs have no charge or exception yet, or whose charges are still to be reversed."""
    return UdrBatch.objects.filter(status__in=UNFINISHED)


def voids_waiting(now: datetime) -> QuerySet[VoidedUdr]:
    """Voided UDRs whose charges are to be taken back now."""
    return voids_unsettled().filter(Q(next_try_at=None) | Q(next_try_at__lte=now))


def restored_waiting(now: datetime) -> QuerySet[RestoredUdr]:
    """UDRs that count again and are to be charged now."""
    return restored_uncharged().filter(Q(next_try_at=None) | Q(next_try_at__lte=now))


def periods_to_count(now: datetime) -> QuerySet[CountedPeriod]:
    """Busy periods that are not counted, or not far enough: the one first that has waited longest.

    What was disturbed rests a while, so that late usage that trickles in is not counted row by row.
    """
    rested = Q(counted_at=None) | Q(counted_at__lt=now - timedelta(minutes=5))
    waiting = Q(before=None) & rested | Q(before__lt=now - timedelta(days=3))
    return CountedPeriod.objects.filter(waiting).order_by(F("counted_at").asc(nulls_first=True), "pk")


def topmost_account(account: Account) -> Account:
    """The account that stands above all others of its family, or itself."""
    seen = {account.pk}
    while account.parent is not None and account.parent.pk not in seen:
        account = account.parent
        seen.add(account.pk)
    return account


def bucket_grants() -> QuerySet[BucketGrant]:
    """What buckets gave, with whose it is and who gave it."""
    services = Service.objects.filter(pk=OuterRef("service_id")).values("name")
    named = BucketGrant.objects.annotate(service_name=Subquery(services), left=F("granted") - F("used"))
    return named.select_related("account", "bucket__plan", "given_by")


def periods_unsettled() -> QuerySet[BillingPeriod]:
    """Open periods in which something was taken back since they were last put in order."""
    return BillingPeriod.objects.filter(
        is_unsettled=True, status=BillingPeriod.Status.OPEN, work_attempts__lt=MAX_ATTEMPTS
    )


def periods_asked() -> QuerySet[BillingPeriod]:
    """Open periods that somebody asked to close."""
    return BillingPeriod.objects.filter(close_asked_at__isnull=False, status=BillingPeriod.Status.OPEN)


def periods_to_close() -> QuerySet[BillingPeriod]:
    """Open periods that somebody asked to close, once the work is done that was there by then.

    That is batches to rate or reverse, voids to settle, and what is to be charged again.
    """
    batch = batches_unfinished().order_by("mediated_at").values_list("mediated_at", flat=True).first()
    void = voids_unsettled().order_by("voided_at").values_list("voided_at", flat=True).first()
    restored = restored_uncharged().order_by("restored_at").values_list("restored_at", flat=True).first()
    asked = periods_asked().filter(work_attempts__lt=MAX_ATTEMPTS)
    oldest = min(filter(None, (batch, void, restored)), default=None)
    return asked.filter(close_asked_at__lt=oldest) if oldest else asked


def periods_after_open(period_ids: Sequence[int]) -> QuerySet[BillingPeriod]:
    """Those of these periods whose account has an earlier one that is open."""
    earlier = BillingPeriod.objects.filter(
        account_id=OuterRef("account_id"), starts_at__lt=OuterRef("starts_at"), status=BillingPeriod.Status.OPEN
    )
    return BillingPeriod.objects.filter(Exists(earlier), pk__in=period_ids)


def repricings_unfinished() -> QuerySet[Repricing]:
    """Repricings that workers are still to work out or to apply."""
    return Repricing.objects.filter(status__in=(Repricing.Status.COUNTING, Repricing.Status.WAITING))


def charges_seen(by: User | None) -> QuerySet[Charge]:
    """Charges of the feeds that `by` may see; a charge knows its feed by the batch of its UDR."""
    feeds = feeds_seen(by)
    if feeds is None:
        return Charge.objects.all()
    batch = UdrBatch.objects.filter(pk=OuterRef("udr_id").bitrightshift(UDR_ID_BITS), feed_id__in=feeds)
    charges: RowsByBatch[Charge] = RowsByBatch(Charge).filter(Exists(batch))
    return charges.walked(feeds, UDR_ID_BITS + ENTRY_BITS)


def issued_statement(period: BillingPeriod) -> Statement | None:
    """The statement that was written when the period was closed, with its lines and taxes."""
    statements = Statement.objects.filter(period=period).prefetch_related(
        Prefetch(
            "lines", StatementLine.objects.select_related("usage_class", "plan", "rate", "service").order_by("position")
        ),
        Prefetch("taxes", StatementTax.objects.order_by("position")),
    )
    return statements.first()


def usage_by_class(charges: QuerySet[Charge]) -> list[dict[str, Any]]:
    """The usage_class, currency, record_count, quantity and exact amount of each class among `charges`."""
    sums = (
        charges.order_by()
        .values("currency", class_name=F("usage_class__name"))
        .annotate(record_count=RECORDS, used=Sum("quantity"), owed=Sum("amount"))
        .order_by("class_name", "currency")
    )
    return [
        {
            "usage_class": one["class_name"],
            "currency": one["currency"],
            "record_count": one["record_count"],
            "quantity": one["used"],
            "amount": one["owed"],
        }
        for one in sums
    ]


def charges_by_account(charges: QuerySet[Charge] | None = None) -> list[dict[str, Any]]:
    """The number, name, currency, record_count and exact total of each charged account; of all charges by default."""
    rows = Charge.objects.all() if charges is None else charges
    sums = (
        rows.values("currency", number=F("account__number"), name=F("account__name"))
        .annotate(record_count=RECORDS, total=Sum("amount"))
        .order_by("number", "currency")
    )
    return [dict(row) for row in sums]


def repricings() -> QuerySet[Repricing]:
    """Rerates and what-ifs, with the version that is tried and who asked."""
    return Repricing.objects.select_related("version__plan", "created_by", "applied_by").defer("version__document")


def repriced_accounts() -> QuerySet[Any]:
    """Accounts of repricings, with the difference that each would see; none while it is not worked out."""
    return RepricedAccount.objects.select_related("account").annotate(difference=F("after") - F("before"))


def repriced_totals(repricing: Repricing) -> list[dict[str, Any]]:
    """Of each currency, by its letters: currency, account_count, before, after, changed and refused.

    Of what is worked out so far.
    """
    done = RepricedAccount.objects.filter(repricing=repricing, after__isnull=False)
    sums = (
        done.values(currency=F("account__currency"))
        .annotate(
            account_count=Count("pk"),
            before=Sum("before"),
            after=Sum("after"),
            changed=Sum("changed_count"),
            refused=Sum("refused_count"),
        )
        .order_by("currency")
    )
    return [dict(one) for one in sums]


def repricing_progress(repricing: Repricing) -> dict[str, int]:
    """How far the step that it is at has come: accounts, accounts_done, udrs, udrs_done."""
    done = Q(is_done=True)
    counted = RepricedAccount.objects.filter(repricing=repricing).aggregate(
        accounts=Count("pk"),
        accounts_done=Count("pk", filter=done),
        udrs=Sum("udr_count"),
        udrs_done=Sum("udr_count", filter=done),
    )
    return {name: count or 0 for name, count in counted.items()}


def filters_with_names(repricings: Iterable[Repricing]) -> dict[int, dict[str, Any]]:
    """The filters of each, by its number, with accounts, plans and usage classes in the place of their ids.

    One question for all of a kind; what does not exist any more stays a number.
    """
    rows = list(repricings)
    known: dict[str, dict[int, Any]] = {
        name: model._default_manager.in_bulk({row.filters[name] for row in rows if name in row.filters})
        for name, model in (("account", Account), ("plan", RatePlan), ("usage_class", UsageClass))
    }
    return {
        row.pk: {name: known.get(name, {}).get(value, value) for name, value in row.filters.items()} for row in rows
    }


# Rating exceptions in groups: those that lack the same.

MOST_GROUPS = 200


@dataclass(frozen=True)
class ExceptionGroup:
    """What open rating exceptions have in common. subject: what is missing, as `RatingException.subject`."""

    feed_id: int
    cause: str
    usage_class_id: int
    subject: str

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, said: Mapping[str, Any]) -> "ExceptionGroup":
        return cls(said["feed_id"], said["cause"], said["usage_class_id"], said["subject"])


@dataclass(frozen=True)
class GroupFigures:
    """A group with its count, quantity (in the base unit of its class) and first and last moment; who has it.

    assigned_id: the person whom some of its exceptions are assigned to; is_shared: where they are several people's.
    """

    group: ExceptionGroup
    count: int
    quantity: Decimal
    first_at: datetime
    last_at: datetime
    assigned_id: int | None
    assigned_count: int
    is_shared: bool


def open_rating_exceptions(
    *,
    feeds: frozenset[int] | None,
    feed: int | None = None,
    cause: str = "",
    usage_class: int | None = None,
    assigned_to: int | None = None,
    before: datetime | None = None,
) -> QuerySet[RatingException]:
    """Open exceptions of the feeds that somebody sees (None: of all). before: only those that came before then.

    assigned_to: the number of a person, 0 is nobody.
    """
    asked = {
        "feed_id": feed,
        "cause": cause or None,
        "usage_class": usage_class,
        "assigned_to": assigned_to or None,
        "assigned_to__isnull": True if assigned_to == 0 else None,
        "created_at__lt": before,
        "feed_id__in": feeds,
    }
    chosen = {name: value for name, value in asked.items() if value is not None}
    return RatingException.objects.filter(status=RatingException.Status.OPEN, **chosen)


def rating_exception_groups(
    exceptions: QuerySet[RatingException], *, most: int = MOST_GROUPS
) -> tuple[list[GroupFigures], int]:
    """The largest groups among `exceptions`, most first, and how many more there are."""
    key = ("feed_id", "cause", "usage_class_id", "subject")
    rows = (
        exceptions.order_by()
        .values(*key)
        .annotate(
            count=Count("*"),
            quantity=Sum("value"),
            first_at=Min("created_at"),
            last_at=Max("created_at"),
            assigned_id=Min("assigned_to"),
            assigned_last_id=Max("assigned_to"),
            assigned_count=Count("assigned_to"),
            group_count=Window(Count("*")),
        )
        .order_by("-count", *key)[:most]
    )
    found = [
        GroupFigures(
            group=ExceptionGroup(*(row[name] for name in key)),
            count=row["count"],
            quantity=row["quantity"],
            first_at=row["first_at"],
            last_at=row["last_at"],
            assigned_id=row["assigned_id"],
            assigned_count=row["assigned_count"],
            is_shared=row["assigned_id"] != row["assigned_last_id"],
        )
        for row in rows
    ]
    return found, (rows[0]["group_count"] - len(found) if found else 0)


def exceptions_of_group(group: ExceptionGroup) -> QuerySet[RatingException]:
    """The open exceptions of a group."""
    return RatingException.objects.filter(status=RatingException.Status.OPEN, **group.as_json())


def comments_on_group(group: ExceptionGroup) -> QuerySet[RatingExceptionComment]:
    """What was said about a group as a whole, the latest first."""
    said = RatingExceptionComment.objects.filter(exception=None, **group.as_json())
    return said.select_related("created_by").order_by("-pk")


def exception_rerates_waiting() -> QuerySet[ExceptionRerate]:
    """Rerates of exceptions that workers are still at."""
    return ExceptionRerate.objects.filter(status=ExceptionRerate.Status.WAITING)


def rating_exceptions_due(now: datetime) -> QuerySet[RatingException]:
    """Open exceptions whose time to be tried again has come."""
    return RatingException.objects.filter(status=RatingException.Status.OPEN, next_try_at__lte=now)
