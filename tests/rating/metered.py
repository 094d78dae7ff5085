"""Usage drawn as a table and matched to the rates of a plan, its billing periods, and what stands afterwards."""

from datetime import UTC, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

import polars as pl

from rating.core.frames import (
    BOUNDS,
    COUNTERS,
    GRANTS,
    MATCHED,
    MEMBERS,
    REFUSED,
    SEEN,
    TOTALS,
    Standing,
    empty,
)
from rating.core.ledger import price_usage
from rating.core.periods import month_bounds
from rating.core.plans.spec import Group, Plan, Rate, Tier
from rating.core.tariffs import Version, price_list

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
KEYS = {
    "counters": ["period_id", "account_id", "service_id", "rate_id", "key"],
    "seen": list(SEEN),
    "grants": ["bucket_id", "account_id", "service_id", "starts_at"],
    "totals": ["period_id", "account_id", "service_id", "usage_class_id"],
    "members": ["account_id", "plan_id", "shared"],
}
SCHEMAS = {"counters": COUNTERS, "seen": SEEN, "grants": GRANTS, "totals": TOTALS, "members": MEMBERS}

DEFAULTS = {
    "part": "0",
    "date": "2026-05-10T12:00:00Z",
    "feed_id": "1",
    "import_id": "1",
    "value": "1",
    "service_identifier_id": "1",
    "service_id": "1",
    "account_id": "1",
    "since": "2020-01-01T00:00:00Z",
    "account_currency": "EUR",
    "time_zone": "UTC",
    "counter_key": "",
}


def d(text):
    return Decimal(str(text))


def per_unit(price="1", name="Rate", usage_class="Class", **fields):
    return Rate(name=name, usage_class=usage_class, model="per_unit", price=d(price), **fields)


def graduated(*tiers, name="Rate", usage_class="Class", **fields):
    """A graduated rate of (bound, price) pairs; None: no end."""
    made = tuple(Tier(None if bound is None else d(bound), price=d(price)) for bound, price in tiers)
    return Rate(name=name, usage_class=usage_class, model="graduated", tiers=made, **fields)


def plan(*rates, buckets=(), precision=11, **fields):
    group = Group(name="Group", rates=rates, amount_precision=precision)
    return Plan(name="Gold", currency="EUR", groups=(group,), buckets=tuple(buckets), **fields)


def prices(*plans):
    """Versions of one plan; each next is valid from a month later, the second from June 2026. Numbers go by name."""
    classes, rates, buckets = {}, {}, {}
    versions = []
    for number, each in enumerate(plans):
        for group in (*each.groups, *each.cost_groups):
            for rate in group.rates:
                classes.setdefault(rate.usage_class, len(classes) + 1)
                rates.setdefault((group.name, rate.name), len(rates) + 1)
        for bucket in each.buckets:
            buckets.setdefault(bucket.name, len(buckets) + 1)
        starts_at = datetime(2026, 5 + number, 1, tzinfo=UTC) if number else None
        ends_at = datetime(2026, 6 + number, 1, tzinfo=UTC) if number + 1 < len(plans) else None
        versions.append(Version(number + 1, 1, starts_at, ends_at, each, rates, buckets))
    return price_list(versions, classes)


def usage(text, tariff):
    """MATCHED of a drawn table. `rate` names the rate of the first version; counted is the value unless drawn."""
    head, *lines = [line.split() for line in text.strip().splitlines()]
    rows = [_row(dict(zip(head, line, strict=True)), place, tariff) for place, line in enumerate(lines, 1)]
    return pl.DataFrame(rows, schema=MATCHED, orient="row")


def _row(drawn, place, tariff):
    rate = drawn.pop("rate", None)
    priced = next(each for each in tariff.rates if rate is None or each.rate.name == rate)
    given = {name: None if text == "-" else text for name, text in drawn.items()}
    texts = DEFAULTS | {"udr_id": str(place)} | given
    texts.setdefault("family_id", texts["account_id"])
    texts.setdefault("counted", texts["value"])
    row = {name: _value(texts.get(name), kind) for name, kind in MATCHED.items()}
    row |= {"plan_id": priced.version.plan_id, "rate_key": int(given.get("rate_key") or priced.key)}
    row["usage_class_id"] = row["usage_class_id"] or priced.usage_class_id
    row["barred"] = [int(key) for key in given["barred"].split(",")] if given.get("barred") else None
    row["month"] = row["date"].astimezone(ZoneInfo(row["time_zone"])).date().replace(day=1)
    return tuple(row[name] for name in MATCHED)


def _value(text, kind):
    if text is None or isinstance(kind, pl.List):
        return None
    if isinstance(kind, pl.Datetime):
        return moment(text)
    if isinstance(kind, pl.Decimal):
        return Decimal(text)
    return int(text) if kind == pl.Int64 else text


def moment(text):
    return datetime.fromisoformat(text if "T" in text else f"{text}T00:00:00+00:00")


def periods(matched):
    """A calendar month for each account and each topmost account, open or not."""
    rows = set()
    for account, family, month, zone in matched.select("account_id", "family_id", "month", "time_zone").iter_rows():
        for owner in (account, family):
            rows.add((owner, month, owner * 10000 + (month.year - 2000) * 12 + month.month, *month_bounds(month, zone)))
    return pl.DataFrame(sorted(rows), schema=BOUNDS, orient="row").unique(["account_id", "month"], maintain_order=True)


def standing(**frames):
    return Standing(**{name: frames.get(name, empty(schema)) for name, schema in SCHEMAS.items()})


def members(*rows):
    """MEMBERS of (account_id, shared, members)."""
    return pl.DataFrame([(account, 1, shared, count) for account, shared, count in rows], schema=MEMBERS, orient="row")


def after(before, priced):
    """What stands once the rows that changed are put in."""
    made = {}
    for name, keys in KEYS.items():
        old, new = getattr(before, name), getattr(priced.standing, name)
        made[name] = pl.concat([old.join(new, on=keys, how="anti"), new])
    return Standing(**made)


def price(matched, tariff, before=None, **options):
    before = standing() if before is None else before
    return price_usage(matched, prices=tariff, periods=periods(matched), standing=before, **options)


def priced(text, tariff, before=None, **options):
    return price(usage(text, tariff), tariff, before, **options)


def owed(result):
    """What each record is charged, after credit, by its number."""
    rows = result.rated.sort("udr_id", "part").select("charged_amount").to_series().to_list()
    return [plain(amount) for amount in rows]


def column(result, name):
    return [plain(value) for value in result.rated.sort("udr_id", "part")[name].to_list()]


def plain(value):
    """A decimal as a short text."""
    if not isinstance(value, Decimal):
        return value
    return f"{value.normalize():f}" if value else "0"


def draws(result, *names):
    names = names or ("udr_id", "kind", "quantity", "left")
    return [tuple(plain(value) for value in row) for row in result.draws.select(names).iter_rows()]


def tables(result):
    """All that pricing answers, put in order, to be compared."""
    found = [result.rated.sort("udr_id", "part"), result.refused.select(*REFUSED).sort("udr_id")]
    found.append(result.draws.sort(result.draws.columns[:-1]))
    for name, keys in KEYS.items():
        found.append(getattr(result.standing, name).sort(keys))
    return [[tuple(plain(value) for value in row) for row in frame.iter_rows()] for frame in found]
