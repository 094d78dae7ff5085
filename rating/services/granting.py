"""Grants given one by one: prepaid credit and one-off allowances, from buckets that give nothing by themselves."""

from datetime import UTC, datetime
from decimal import Decimal

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import QuerySet

from mediation import services as mediation
from mediation.services import acts, require_permission
from rating import selectors, store
from rating.core.tariffs import PricedBucket
from rating.models import Account, BillingPeriod, Bucket, BucketGrant, Service

LARGEST = Decimal(10) ** 15
DECIMALS = {"units": 6, "money": 11}
FOR_EVER = datetime.max.replace(tzinfo=UTC)


class UnableToGrant(Exception):
    """Such a grant cannot be given."""


@acts(why="reason")
@transaction.atomic
def grant_bucket(
    *,
    bucket: Bucket,
    account: Account,
    service: Service | None = None,
    size: Decimal,
    starts_at: datetime,
    ends_at: datetime | None,
    reason: str,
    by: User | None,
    now: datetime,
) -> BucketGrant:
    """Give an account, or a service of it, so much from a bucket whose grants are given one by one.

    size: units, or money of the plan's currency. It serves usage from `starts_at` to before `ends_at` (None: no end),
    also what was charged already in periods that are open: those are put in order again. A later top-up is another
    grant. Raises UnableToGrant.
    """
    require_permission(by, "rating.add_bucketgrant")
    if ends_at is not None and ends_at <= starts_at:
        raise UnableToGrant("The grant must end after it starts.")
    said = _said(bucket, starts_at, ends_at)
    _require_size(said, size)
    _require_owner(said, bucket, account, service)
    # The periods first, then the account, as whoever charges usage locks them.
    disturbed = _periods_served(said, account, starts_at)
    store.lock_periods(disturbed)
    store.lock_accounts([account.pk])
    service_id = service.pk if service else 0
    same = BucketGrant.objects.filter(bucket=bucket, account=account, service_id=service_id, starts_at=starts_at)
    if same.exists():
        raise UnableToGrant(
            f"Another grant of {bucket} to the same owner starts at {starts_at}. Choose another moment."
        )
    given = BucketGrant.objects.create(
        bucket=bucket,
        account=account,
        service_id=service_id,
        starts_at=starts_at,
        ends_at=ends_at,
        granted=size,
        carried=0,
        refills=0,
        used=0,
        reason=reason.strip(),
        given_by=by,
    )
    store.mark_unsettled(disturbed)
    mediation.ring(name="rate", now=now)
    return given


def grantable_buckets() -> QuerySet[Bucket]:
    """The buckets of active versions whose grants are given one by one."""
    numbers = {each.bucket_id for each in store.book().prices.buckets if each.bucket.recurs == "granted"}
    return Bucket.objects.filter(pk__in=numbers).select_related("plan").order_by("plan__name", "name")


def service_named(account: Account, name: str) -> Service | None:
    """The service of an account by its name; None where no name is given. Raises UnableToGrant."""
    if not name:
        return None
    found = list(Service.objects.filter(account=account, name=name)[:2])
    if len(found) == 1:
        return found[0]
    several = "several services" if found else "no service"
    raise UnableToGrant(f"Account {account} has {several} “{name}”.")


def _said(bucket: Bucket, starts_at: datetime, ends_at: datetime | None) -> PricedBucket:
    """The bucket as a version says it that prices usage in that time, and whose grants are given one by one."""
    for priced in store.book().prices.buckets:
        version = priced.version
        is_then = (version.starts_at is None or version.starts_at < (ends_at or FOR_EVER)) and (
            version.ends_at is None or version.ends_at > starts_at
        )
        if priced.bucket_id == bucket.pk and priced.bucket.recurs == "granted" and is_then:
            return priced
    raise UnableToGrant(
        f"No version of plan {bucket.plan} that is active then lets grants of {bucket.name} be given: let the bucket "
        "recur “granted” in a version, and activate that."
    )


def _require_size(said: PricedBucket, size: Decimal) -> None:
    decimals = DECIMALS[said.bucket.of]
    if not size.is_finite() or not 0 < size < LARGEST:
        raise UnableToGrant("A grant must be of more than zero, and below 1,000,000,000,000,000.")
    if size != round(size, decimals):
        raise UnableToGrant(f"A grant of {said.bucket.of} has {decimals} decimals at most.")


def _require_owner(said: PricedBucket, bucket: Bucket, account: Account, service: Service | None) -> None:
    """Raise UnableToGrant unless the bucket is shared by such an owner, in the plan's currency."""
    plan, shared = bucket.plan, said.bucket.shared
    if account.currency != plan.currency:
        raise UnableToGrant(f"Account {account} pays in {account.currency}, but plan {plan} is in {plan.currency}.")
    if shared == "service" and service is None:
        raise UnableToGrant(f"Each service has grants of {bucket.name} of its own. Name the service.")
    if shared != "service" and service is not None:
        raise UnableToGrant(f"{bucket.name} is shared by the services of an {shared}. Name no service.")
    if service is not None and service.account_id != account.pk:
        raise UnableToGrant(f"Service {service} is not one of account {account}.")
    if shared == "family" and account.parent is not None:
        topmost = selectors.topmost_account(account)
        raise UnableToGrant(f"{bucket.name} is shared by a whole family. Give it to its topmost account, {topmost}.")


def _periods_served(said: PricedBucket, account: Account, starts_at: datetime) -> list[int]:
    """The open periods whose usage the grant may serve."""
    own = list(BillingPeriod.objects.filter(account=account).values_list("pk", flat=True))
    beside = store.periods_beside(own, in_families=said.bucket.shared == "family")["period_id"].to_list()
    serving = BillingPeriod.objects.filter(pk__in=beside, status=BillingPeriod.Status.OPEN, ends_at__gt=starts_at)
    return list(serving.values_list("pk", flat=True))
