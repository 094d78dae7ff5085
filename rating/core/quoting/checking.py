"""What a quote document must hold together: names that are met, names that are unique, periods apart."""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta

from mediation.core.spec.document import Fault
from rating.core.plans.spec import Bucket
from rating.core.quoting.settings import Account, Opening, Setting

NEVER, EVER = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
SHORTEST_PERIOD = timedelta(hours=23)  # a day on which the clocks go forward; periods are told apart by their first day


def check(setting: Setting) -> list[Fault]:
    """Every fault that only the whole document shows."""
    return [
        *_repeated((plan.name for plan in setting.plans), "/plans", "name"),
        *_repeated((each.name for each in setting.classes), "/classes", "name"),
        *_repeated((account.number for account in setting.accounts), "/accounts", "number"),
        *_accounts(setting),
        *_parents(setting.accounts),
        *_identifiers(setting.accounts),
        *_periods(setting),
        *(fault for place, opening in enumerate(setting.grants) for fault in _opening(setting, opening, place)),
        *_repeated_grants(setting.grants),
    ]


def _repeated(names: Iterable[str], pointer: str, key: str) -> Iterator[Fault]:
    seen: set[str] = set()
    for place, name in enumerate(names):
        if name in seen:
            yield Fault(f"{pointer}/{place}/{key}", f"“{name}” is there already")
        seen.add(name)


def _accounts(setting: Setting) -> Iterator[Fault]:
    plans = {plan.name for plan in setting.plans}
    if not setting.accounts and len(plans) > 1:
        yield Fault("/accounts", "is missing: with several plans, say which account is on which")
    for place, account in enumerate(setting.accounts):
        named = [(f"/accounts/{place}/plan", account.plan)]
        yield from _repeated((each.name for each in account.services), f"/accounts/{place}/services", "name")
        for at, service in enumerate(account.services):
            pointer = f"/accounts/{place}/services/{at}"
            named += [(f"{pointer}/plan", service.plan), (f"{pointer}/package", service.package)]
            if service.starts_at and service.ends_at and service.starts_at >= service.ends_at:
                yield Fault(f"{pointer}/ends_at", "must be after starts_at")
        for pointer, name in named:
            if name is not None and name not in plans:
                yield Fault(pointer, f"there is no plan “{name}” in this document")


def _parents(accounts: tuple[Account, ...]) -> Iterator[Fault]:
    above = {account.number: account.parent for account in accounts}
    for place, account in enumerate(accounts):
        met, parent = {account.number}, account.parent
        while parent is not None and parent not in met:
            if parent not in above:
                yield Fault(f"/accounts/{place}/parent", f"there is no account “{parent}” in this document")
                break
            met.add(parent)
            parent = above[parent]
        else:
            if parent is not None:
                yield Fault(f"/accounts/{place}/parent", "leads in a circle")


def _identifiers(accounts: tuple[Account, ...]) -> Iterator[Fault]:
    """An identifier has one owner at a moment."""
    owned: dict[str, list[tuple[datetime, datetime]]] = {}
    for place, account in enumerate(accounts):
        for at, service in enumerate(account.services):
            for nth, each in enumerate(service.identifiers):
                pointer = f"/accounts/{place}/services/{at}/identifiers/{nth}"
                bounds = (each.starts_at or service.starts_at or NEVER, each.ends_at or service.ends_at or EVER)
                if each.starts_at and each.ends_at and each.starts_at >= each.ends_at:
                    yield Fault(f"{pointer}/ends_at", "must be after starts_at")
                if any(start < bounds[1] and bounds[0] < end for start, end in owned.get(each.identifier, [])):
                    yield Fault(pointer, f"“{each.identifier}” is owned by another service at the same time")
                owned.setdefault(each.identifier, []).append(bounds)


def _periods(setting: Setting) -> Iterator[Fault]:
    for place, period in enumerate(setting.periods):
        if period.starts_at >= period.ends_at:
            yield Fault(f"/periods/{place}/ends_at", "must be after starts_at")
        elif period.ends_at - period.starts_at < SHORTEST_PERIOD:
            yield Fault(f"/periods/{place}/ends_at", "must be a day at least after starts_at")
        if place and period.starts_at < setting.periods[place - 1].ends_at:
            yield Fault(f"/periods/{place}/starts_at", "must not be before the end of the period above")


def _opening(setting: Setting, opening: Opening, place: int) -> Iterator[Fault]:
    pointer = f"/grants/{place}"
    plans = [plan for plan in setting.plans if opening.plan in (None, plan.name)]
    buckets = [bucket for plan in plans for bucket in plan.buckets if bucket.name == opening.bucket]
    if not buckets:
        yield Fault(f"{pointer}/bucket", f"there is no bucket “{opening.bucket}” in this document")
    elif len(buckets) > 1:
        yield Fault(f"{pointer}/plan", "is missing: several plans have a bucket of this name")
    else:
        yield from _grant(opening, buckets[0], pointer)
    account = next((each for each in setting.accounts if each.number == opening.account), None)
    if opening.account is not None and setting.accounts and account is None:
        yield Fault(f"{pointer}/account", f"there is no account “{opening.account}” in this document")
    if account and account.services and opening.service not in (None, *(each.name for each in account.services)):
        yield Fault(f"{pointer}/service", f"account “{account.number}” has no service “{opening.service}”")


def _repeated_grants(grants: tuple[Opening, ...]) -> Iterator[Fault]:
    """Two grants of one bucket to one owner cannot start at the same moment."""
    for place, opening in enumerate(grants):
        if any(_are_one(opening, other) for other in grants[:place]):
            yield Fault(f"/grants/{place}/starts_at", "is that of another grant of this bucket to the same owner")


def _are_one(one: Opening, other: Opening) -> bool:
    both = [(getattr(one, name), getattr(other, name)) for name in ("plan", "account", "service")]
    is_same = (one.bucket, one.starts_at) == (other.bucket, other.starts_at)
    return is_same and all(a == b or None in (a, b) for a, b in both)


def _grant(opening: Opening, bucket: Bucket, pointer: str) -> Iterator[Fault]:
    """What is said of a grant that is given, or of one that the plan gives by itself."""
    if bucket.recurs != "granted":
        for name, value in (("size", opening.size), ("ends_at", opening.ends_at)):
            if value:
                told = "is what the plan says of this bucket; only one that recurs “granted” takes it from here"
                yield Fault(f"{pointer}/{name}", told)
        return
    if opening.size <= 0:
        yield Fault(f"{pointer}/size", "must be more than zero: how much is given")
    if opening.carried:
        yield Fault(f"{pointer}/carried", "is not used: nothing goes from one grant that is given into another")
    if opening.used > opening.size > 0:
        yield Fault(f"{pointer}/used", "is more than the size")
    if opening.starts_at and opening.ends_at and opening.starts_at >= opening.ends_at:
        yield Fault(f"{pointer}/ends_at", "must be after starts_at")
