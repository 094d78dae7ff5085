"""Records run through one counter, as the ledger does it, without buckets."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from rating.core.costs import Counter, Record, advance, cost_of, count, round_away
from rating.core.plans.spec import Aggregation, Counting, Rate, Tier

MAY = datetime(2026, 5, 1, tzinfo=UTC)
JUNE = datetime(2026, 6, 1, tzinfo=UTC)


def d(text):
    return None if text is None else Decimal(str(text))


def tiers(drawn):
    """Tiers from "5 7 | 10 6.5 | - 6": bound, price, and options as flat=…, per=…, increment=…, percent=…, maximum=…"""
    made = []
    for line in drawn.split("|"):
        bound, *rest = line.split()
        options = dict(word.split("=") for word in rest if "=" in word)
        prices = [word for word in rest if "=" not in word]
        made.append(
            Tier(
                None if bound == "-" else d(bound),
                price=d(prices[0]) if prices else Decimal(0),
                **{name: d(value) for name, value in options.items()},
            )
        )
    return tuple(made)


def rate(model, *, function="each", of="Value", within=None, then=None, restarts="period", **fields):
    texts = {"of_share", "rounding", "tier_by", "tiers"}
    said = {name: d(value) if isinstance(value, str) and name not in texts else value for name, value in fields.items()}
    if isinstance(said.get("tiers"), str):
        said["tiers"] = tiers(said["tiers"])
    if "of_share" in said:
        said["of"] = said.pop("of_share")
    return Rate(
        name="Rate",
        usage_class="Class",
        model=model,
        aggregation=Aggregation(function=function, of=of, within=within, then=then),
        counting=Counting(restarts=restarts),
        **said,
    )


def record(counted=None, *, minute=0, **fields):
    date = fields.pop("date", MAY + timedelta(minutes=minute))
    for name in ("amount", "cost"):
        fields[name] = d(fields.get(name))
    return Record(date=date, counted=d(counted), starts_at=MAY, ends_at=JUNE, **fields)


def charge(priced_by, counter, one, *, places=11, **context):
    """What one record is charged; the counter moves on."""
    counted = count(priced_by, counter, one)
    cost = cost_of(priced_by, counter, counted, one, billable=counted.remaining, **context)
    charged = round_away(cost.after, places) - round_away(cost.before, places)
    advance(counter, one, counted, cost.used)
    return charged


def charges(priced_by, *records, places=11, counter=None, **context):
    """What records are charged one after the other; a text or a number stands for a record that counts so much."""
    counter = Counter() if counter is None else counter
    made = [each if isinstance(each, Record) else record(each, minute=at) for at, each in enumerate(records)]
    return [
        charge(
            priced_by,
            Counter() if priced_by.counting.restarts == "record" else counter,
            each,
            places=places,
            **context,
        )
        for each in made
    ]
