"""The chapters of an explanation that say who pays, by which plan, and by which of its rates."""

from collections.abc import Iterator
from datetime import datetime
from zoneinfo import ZoneInfo

import polars as pl

from rating.core.explaining import About, Chapter, Fact, search_of
from rating.core.plans.phrasing import rate_in_words
from rating.core.tariffs import PricedRate
from rating.models import Account, RatePlan

from .asking import Asked, in_utc

PAID_BY = {
    "usage": "UDR usage identifier",
    "originating": "originating identifier",
    "terminating": "terminating identifier",
}


def payer_of(asked: Asked) -> Chapter:
    """Which identifier row led to the service and the account."""
    charge = asked.charge
    owned, service, account = charge.service_identifier, charge.service, charge.account
    told = [Fact("identifier_used", _paid_by(asked))]
    owned_from = f"“{owned.identifier}” belonged to service {service} {_span(owned.starts_at, owned.ends_at)}"
    told.append(Fact("identifier", f"{owned_from}{_held(owned, charge.date)}.", about=About("identifier", owned.pk)))
    ran = _span(service.starts_at, service.ends_at)
    told.append(Fact("service", f"The service {service} runs {ran}.", about=About("service", service.pk)))
    where = f"billed in {account.currency} by calendar months of {account.time_zone}"
    told.append(Fact("account", f"It belongs to account {account}, {where}.", about=About("account", account.pk)))
    there = charge.date.astimezone(ZoneInfo(account.time_zone))
    also = f", which is {there:%Y-%m-%d %H:%M:%S} in {account.time_zone}" if there.utcoffset() else ""
    told.append(Fact("date", f"The usage happened at {in_utc(charge.date)}{also}."))
    return Chapter("payer", "Who pays", tuple(told))


def _paid_by(asked: Asked) -> str:
    if asked.usage.is_empty():
        return "The UDR is gone; the charge names its identifier."
    row = asked.usage.row(0, named=True)
    direction = ""
    classes = asked.book.classes
    if classes.filter(pl.col("usage_class_id") == row["usage_class_id"])["paid_by"].to_list() == ["direction"]:
        flow = "inbound" if row["inbound"] else "outbound"
        direction = f" of {flow} usage{' with reverse rating' if row['reverse_rating'] else ''}"
    return f"Class “{row['usage_class']}” is paid by the {PAID_BY[row['paid_by']]}{direction}: “{row['identifier']}”."


def _held(owned: object, date: datetime) -> str:
    starts_at, ends_at = owned.starts_at, owned.ends_at  # type: ignore[attr-defined]
    if starts_at <= date and (ends_at is None or date < ends_at):
        return ", so also when the usage happened"
    return "; that was changed after the usage was rated"


def _span(starts_at: datetime, ends_at: datetime | None) -> str:
    until = f"to before {in_utc(ends_at)}" if ends_at else "with no end"
    return f"from {in_utc(starts_at)} {until}"


def plan_of(asked: Asked) -> Chapter:
    """Why this plan: the first of service, package, account, accounts above and default that has one."""
    charge = asked.charge
    told: list[Fact] = []
    found: RatePlan | None = None
    for name, words, plan in _offers(asked):
        if plan is None:
            told.append(Fact(name, f"{words} has no plan." if words else "It came with no package."))
            continue
        found = plan
        told.append(Fact(name, f"{words} has plan {plan}.", about=About("plan", plan.pk)))
        break
    if found is None or found.pk != charge.plan_id:
        text = f"When the usage was rated, plan {charge.plan} was found; what stands above is of today."
        told.append(Fact("since", text, about=About("plan", charge.plan_id)))
    return Chapter("plan", "The plan", tuple(told))


def _offers(asked: Asked) -> Iterator[tuple[str, str, RatePlan | None]]:
    """Who may have a plan, in the order of precedence."""
    service, account = asked.charge.service, asked.charge.account
    yield "service", f"The service {service}", service.rate_plan
    if service.package is not None:
        yield "package", f"Its package {service.package}", service.package.rate_plan
    else:
        yield "package", "", None
    yield "account", f"The account {account}", account.rate_plan
    seen = {account.pk}
    above: Account | None = account.parent
    while above is not None and above.pk not in seen:
        yield "parent", f"The account above, {above},", above.rate_plan
        seen.add(above.pk)
        above = above.parent
    default = RatePlan.objects.filter(is_default=True, currency=account.currency).first()
    yield "default", f"Usage in {account.currency} that finds no other", default


def rate_of(asked: Asked) -> Chapter:
    """Which version and rate, and why none that is tried before it."""
    charge, priced = asked.charge, asked.priced
    version = charge.version
    if priced is None:
        text = f"Rate {charge.rate} of version {version.number}, which is not active any more."
        return Chapter("rate", "Version, group and rate", (Fact("rate", text, about=About("version", version.pk)),))
    ends_at = priced.version.ends_at
    until = f"until {in_utc(ends_at)}, when the next version starts" if ends_at else "on"
    text = f"Version {version.number} of {charge.plan} prices usage from {in_utc(version.starts_at)} {until}."
    told = [Fact("version", text, about=About("version", version.pk))]
    told += _search_facts(asked, priced)
    told.append(Fact("rate", f"Rate “{priced.group.name} / {priced.rate.name}”: {rate_in_words(priced.rate)}"))
    if priced.group.amount_precision < 11:
        told.append(Fact("precision", f"The group rounds amounts to {priced.group.amount_precision} decimals."))
    return Chapter("rate", "Version, group and rate", tuple(told))


def _search_facts(asked: Asked, priced: PricedRate) -> Iterator[Fact]:
    if asked.known.is_empty():
        return
    usage = asked.known.with_columns(version_id=pl.lit(priced.version.version_id, pl.Int64))
    search = search_of(usage, priced)
    if search.zone is not None:
        yield Fact("zone", f"The longest prefix of its {priced.group.zone_by} is of zone “{search.zone}”.")
    for tried in search.tried:
        if not tried.fits:
            place = f"Rate “{tried.group} / {tried.rate}”" if tried.rate else f"Group “{tried.group}”"
            yield Fact("tried", f"{place} comes before, but {', and '.join(tried.reasons)}.")
    if search.left_out:
        more = f"{search.left_out:,} more rates come before, of other zones or conditions."
        one = "1 more rate comes before, of another zone or condition."
        yield Fact("tried", one if search.left_out == 1 else more)
