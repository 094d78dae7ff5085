"""The usual usage, priced in columns: rounded, drawn from one plain bucket, laid along the tiers, priced, rounded."""

from collections import defaultdict
from decimal import Decimal

import polars as pl

from mediation.core.numbers import AMOUNT, PRICE, PRODUCT, QUANTITY, multiply, round_half_away
from rating.core.frames import (
    COUNTERS,
    DRAWS,
    GRANTS,
    LEVEL,
    MONEY,
    PRICED,
    REFUSED,
    TOTAL,
    Priced,
    Schema,
    Standing,
    empty,
    refuse,
)
from rating.core.tariffs import PricedRate, PriceList

from .ledger import LARGEST, LARGEST_AMOUNT, TOO_DEAR, TOO_HIGH, TOO_MUCH, told
from .routing import place_of
from .usage import in_order

ZERO = Decimal(0)

RATES: Schema = {  # what of a rate and its bucket the columns need
    "rate_key": pl.Int64,
    "rate_id": pl.Int64,
    "model": pl.String,
    "price": PRICE,
    "minimum": QUANTITY,
    "increment": QUANTITY,
    "places": pl.Int64,
    "last_unit": QUANTITY,
    "per": pl.String,
    "bucket_id": pl.Int64,
    "size": QUANTITY,
    "shared": pl.String,
}
TIERS: Schema = {"rate_key": pl.Int64, "place": pl.Int64, "above": TOTAL, "up_to": TOTAL, "tier_price": PRICE}

NO_END = Decimal(10) ** 31  # beyond every total

CLIMBS = pl.col("model") == "graduated"
GRANT = ["bucket_id", "grant_account", "grant_service", "grant_start"]
COUNTER = ["counter_period", "counter_account", "counter_service", "rate_id", "counter_key"]


def price_columns(usage: pl.DataFrame, prices: PriceList, standing: Standing) -> Priced:
    """Price usage of rates that `routing.columnar_keys` names; the answer is the ledger's to the last digit.

    usage: MATCHED with its periods, none of it without an amount that its rate passes through.
    """
    met = [prices.rates[key] for key in usage["rate_key"].unique().sort().to_list()]
    usage = usage.join(_rates(met, prices), on="rate_key", how="left", maintain_order="left")
    usage, too_much = _round_up(usage)
    too_dear = usage.filter((pl.col("model") == "pass_through") & (pl.col("amount").abs() > LARGEST_AMOUNT))
    if not too_dear.is_empty():
        usage = usage.join(too_dear, on="udr_id", how="anti", maintain_order="left")
    depends = pl.col("bucket_id").is_not_null() | CLIMBS
    alone, ordered = usage.filter(~depends), in_order(usage.filter(depends))
    allotted = _climb(_draw(_owned(ordered), standing.grants), standing.counters)
    allotted, too_high = _without_those_beyond(allotted, ordered, standing, prices)
    alone = alone.with_columns(
        bucket_quantity=pl.lit(0, TOTAL), billable="rated_quantity", tier_position=pl.lit(None, TOTAL)
    )
    charged = pl.concat([_price_flat(alone), _price_flat(allotted.filter(~CLIMBS)).select(*alone.columns, "exact")])
    charged = pl.concat([charged, _along_tiers(allotted.filter(CLIMBS), met).select(charged.columns)])
    refused = pl.concat([too_much, refuse(too_dear, "system_error", pl.lit(TOO_DEAR)), too_high])
    left = Standing(
        counters=_counters(allotted.filter(CLIMBS)),
        seen=standing.seen.clear(),
        grants=_grants(allotted),
        totals=standing.totals.clear(),
        members=standing.members.clear(),
    )
    return Priced(_rated(charged), refused, _draws(allotted), left)


def _rates(met: list[PricedRate], prices: PriceList) -> pl.DataFrame:
    rows = []
    for priced in met:
        rate = priced.rate
        bucket = prices.buckets[priced.bucket_keys[0]] if priced.bucket_keys else None
        last_unit = rate.tiers[-1].up_to if rate.tiers else None
        own = (priced.key, priced.rate_id, rate.model, rate.price, rate.minimum, rate.increment)
        drawn = (bucket.bucket_id, bucket.bucket.size, bucket.bucket.shared) if bucket else (None, None, None)
        rows.append((*own, priced.group.amount_precision, last_unit, rate.counting.per, *drawn))
    return pl.DataFrame(rows, schema=RATES, orient="row")


def _round_up(usage: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """(usage with rated_quantity, REFUSED). value <= minimum: minimum; else minimum + whole increments. Exact."""
    minimum, increment = pl.col("minimum").cast(TOTAL), pl.col("increment").cast(TOTAL)
    usage = usage.with_columns(_above=pl.col("value").cast(TOTAL) - minimum)
    above = pl.col("_above")
    usage = usage.with_columns(_rest=above % increment)
    rest = pl.col("_rest")
    stepped = pl.when(increment.is_null() | (rest == 0)).then(above).otherwise(above - rest + increment)
    usage = usage.with_columns(rated_quantity=pl.when(above <= 0).then(minimum).otherwise(minimum + stepped))
    usage = usage.drop("_above", "_rest", "minimum", "increment")
    over = usage.filter(pl.col("rated_quantity") > LARGEST)
    if over.is_empty():
        return usage, empty(REFUSED)
    messages = [TOO_MUCH.format(told(quantity)) for quantity in over["rated_quantity"]]
    refused = refuse(over, "system_error", pl.lit(pl.Series(messages)))
    return usage.filter(pl.col("rated_quantity") <= LARGEST), refused


def _owned(usage: pl.DataFrame) -> pl.DataFrame:
    """Add whose grant and whose counter it is: a service's, an account's (service 0), or the topmost account's."""
    named = {"grant": "shared", "counter": "per"}
    return usage.with_columns(
        column
        for prefix, shared in named.items()
        for column in (
            _by_owner(usage, shared, "account_id", "account_id", "family_id").alias(f"{prefix}_account"),
            _by_owner(usage, shared, "service_id", 0, 0).alias(f"{prefix}_service"),
            _by_owner(usage, shared, "period_id", "period_id", "family_period_id").alias(f"{prefix}_period"),
            _by_owner(usage, shared, "starts_at", "starts_at", "family_starts_at").alias(f"{prefix}_start"),
            _by_owner(usage, shared, "ends_at", "ends_at", "family_ends_at").alias(f"{prefix}_end"),
        )
    )


def _by_owner(usage: pl.DataFrame, shared: str, service: str, account: str | int, family: str | int) -> pl.Expr:
    met = set(usage[shared].unique().to_list())
    own = pl.col(service)
    if met <= {"service", None}:
        return own
    others = {"account": account, "family": family}
    for name, column in others.items():
        own = pl.when(pl.col(shared) == name).then(pl.lit(0) if column == 0 else pl.col(str(column))).otherwise(own)
    return own


def _draw(ordered: pl.DataFrame, grants: pl.DataFrame) -> pl.DataFrame:
    """What each record takes from its bucket: what it needs, as far as the grant goes. In the rows' order."""
    owner = {"account_id": "grant_account", "service_id": "grant_service", "starts_at": "grant_start"}
    known = grants.rename(owner).select(*GRANT, "granted", "carried", "refills", "used")
    drawn = ordered.join(known, on=GRANT, how="left", maintain_order="left").with_columns(
        pl.col("carried", "refills", "used").fill_null(0), _before=_before(ordered, "rated_quantity", GRANT)
    )
    # Without a bucket, `size` is null and nothing is granted. What was granted never shrinks.
    drawn = drawn.with_columns(granted=pl.max_horizontal("granted", pl.col("size").cast(MONEY) + pl.col("carried")))
    left = (pl.col("granted") - pl.col("used")).cast(TOTAL) - pl.col("_before")
    drawn = drawn.with_columns(left=pl.max_horizontal(left.fill_null(0), pl.lit(0, TOTAL)))
    drawn = drawn.with_columns(bucket_quantity=pl.min_horizontal("left", "rated_quantity"))
    return drawn.with_columns(
        billable=pl.col("rated_quantity") - pl.col("bucket_quantity"),
        left=pl.col("left") - pl.col("bucket_quantity"),
    ).drop("_before")


def _climb(drawn: pl.DataFrame, counters: pl.DataFrame) -> pl.DataFrame:
    """Where in its tiers each record of a graduated rate starts. In the rows' order."""
    owner = {"period_id": "counter_period", "account_id": "counter_account", "service_id": "counter_service"}
    known = counters.rename(owner | {"key": "counter_key", "credit": "credit_before"})
    climbing = drawn.join(known, on=COUNTER, how="left", maintain_order="left")
    start = pl.col("position").fill_null(0).cast(TOTAL) + _before(climbing, "billable", COUNTER)
    return climbing.with_columns(tier_position=pl.when(CLIMBS).then(start))


def _before(frame: pl.DataFrame, column: str, keys: list[str]) -> pl.Series:
    """The running total of a TOTAL before each row, within `keys`, in the rows' order.

    By one running total over rows sorted by key, less what it was where each key began: four times as fast as a total
    over each of many small groups. It holds: 10^15 units of 10^17 records fit a TOTAL.
    """
    telling = [key for key in keys if not frame[key].eq_missing(frame[key].first()).all()]
    rows = frame.select(*telling, column).with_row_index("_row").sort(*telling, "_row")
    begins = [pl.col(key).ne_missing(pl.col(key).shift(1)) for key in telling]
    is_first = pl.any_horizontal(pl.int_range(pl.len()) == 0, *begins)
    rows = rows.with_columns(_before=pl.col(column).cum_sum() - pl.col(column))
    rows = rows.with_columns(_began=pl.when(is_first).then("_before").forward_fill())
    return rows.select("_row", before=pl.col("_before") - pl.col("_began")).sort("_row")["before"]


def _without_those_beyond(
    allotted: pl.DataFrame, ordered: pl.DataFrame, standing: Standing, prices: PriceList
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Take out what reaches above its last tier, and allot again what is left: a refused record uses up nothing.

    It is found one by one, since each depends on those refused before it, but only in the families that it concerns.
    """
    over = allotted.filter(CLIMBS & (pl.col("tier_position") + pl.col("billable") > pl.col("last_unit")))
    if over.is_empty():
        return allotted, empty(REFUSED)
    concerned = in_order(allotted.join(over, on="family_id", how="semi"))
    reached = _beyond(concerned)
    beyond = concerned.filter(pl.col("udr_id").is_in(list(reached)))
    messages = [
        TOO_HIGH.format(told(reached[udr_id]), told(bound), place_of(prices.rates[key]))
        for udr_id, bound, key in beyond.select("udr_id", "last_unit", "rate_key").iter_rows()
    ]
    kept = ordered.join(beyond, on="udr_id", how="anti", maintain_order="left")
    refused = refuse(beyond, "no_rate", pl.lit(pl.Series(messages, dtype=pl.String)))
    return _climb(_draw(_owned(kept), standing.grants), standing.counters), refused


def _beyond(concerned: pl.DataFrame) -> dict[int, Decimal]:
    """The records that reach above their last tier, by number, with how far they reach."""
    drawn: dict[tuple[object, ...], Decimal] = defaultdict(Decimal)
    climbed: dict[tuple[object, ...], Decimal] = defaultdict(Decimal)
    reached = {}
    for row in concerned.iter_rows(named=True):
        grant, counter = tuple(row[key] for key in GRANT), tuple(row[key] for key in COUNTER)
        draw = ZERO
        if row["bucket_id"] is not None:
            draw = min(max(row["granted"] - row["used"] - drawn[grant], ZERO), row["rated_quantity"])
        if row["last_unit"] is not None:
            billable = row["rated_quantity"] - draw
            end = (row["position"] or ZERO) + climbed[counter] + billable
            if end > row["last_unit"]:
                reached[row["udr_id"]] = end
                continue
            climbed[counter] += billable
        drawn[grant] += draw
    return reached


def _price_flat(usage: pl.DataFrame) -> pl.DataFrame:
    """Add the exact amount of per-unit, fixed and passed-through usage."""
    model = pl.col("model")
    return usage.with_columns(
        exact=pl.when(model == "per_unit")
        .then(multiply(pl.col("billable").cast(QUANTITY), pl.col("price")))
        .when(model == "fixed")
        .then(pl.col("price").cast(PRODUCT))
        .otherwise(pl.col("amount").cast(PRODUCT))
    )


def _along_tiers(climbing: pl.DataFrame, met: list[PricedRate]) -> pl.DataFrame:
    """Add the exact amount of graduated usage: the stretch that it covers in each tier x the tier's price.

    exact = sum over tiers of max(0, min(end, up_to) - max(start, up_to of the tier before)) x price.
    """
    rows = []
    for priced in met:
        above = ZERO
        for place, tier in enumerate(priced.rate.tiers):
            rows.append((priced.key, place, above, NO_END if tier.up_to is None else tier.up_to, tier.price))
            above = tier.up_to or NO_END
    tiers = pl.DataFrame(rows, schema=TIERS, orient="row")
    start, end = pl.col("tier_position"), pl.col("_end")
    climbing = climbing.with_columns(exact=pl.lit(0, PRODUCT), _end=start + pl.col("billable"))
    for _, layer in sorted(tiers.partition_by("place", include_key=False, as_dict=True).items()):
        covered = pl.max_horizontal(
            pl.min_horizontal(end, "up_to") - pl.max_horizontal(start, "above"),
            pl.lit(0, TOTAL),
        )
        climbing = climbing.join(layer, on="rate_key", how="left", maintain_order="left")
        part = multiply(covered.cast(QUANTITY), pl.col("tier_price")).fill_null(0)
        climbing = climbing.with_columns(exact=pl.col("exact") + part).drop("up_to", "above", "tier_price")
    return climbing.drop("_end")


def _rated(charged: pl.DataFrame) -> pl.DataFrame:
    """PRICED, each amount rounded once, half away from zero, to its group's precision."""
    rounded = [
        pl.when(pl.col("places") == places).then(round_half_away(pl.col("exact"), places))
        for places in charged["places"].unique().to_list()
    ]
    return charged.with_columns(
        free_quantity=pl.lit(0, QUANTITY),
        rated_quantity=pl.col("rated_quantity").cast(QUANTITY),
        bucket_quantity=pl.col("bucket_quantity").cast(QUANTITY),
        tier_position=pl.col("tier_position").cast(LEVEL),
        credit=pl.lit(0, AMOUNT),
        charged_amount=(pl.coalesce(rounded) if rounded else pl.col("exact")).cast(AMOUNT),
    ).select(*PRICED)


def _counters(climbing: pl.DataFrame) -> pl.DataFrame:
    """COUNTERS of graduated usage, moved on by it."""
    moved = climbing.group_by(COUNTER).agg(
        level=pl.col("level").first().fill_null(0) + pl.col("rated_quantity").sum().cast(LEVEL),
        held=pl.col("held").first().fill_null(0),
        position=pl.col("position").first().fill_null(0) + pl.col("billable").sum().cast(LEVEL),
        records=pl.col("records").first().fill_null(0) + pl.len(),
        at=pl.max_horizontal(pl.col("at").first(), pl.col("date").max()),
        credit=pl.col("credit_before").first().fill_null(0),
    )
    return moved.rename(dict(zip(COUNTER, list(COUNTERS)[:5], strict=True))).cast(COUNTERS).select(*COUNTERS)  # type: ignore[arg-type]


def _grants(allotted: pl.DataFrame) -> pl.DataFrame:
    """GRANTS that something was drawn from."""
    drawn = allotted.filter(pl.col("bucket_quantity") > 0)
    moved = drawn.group_by(GRANT).agg(
        ends_at=pl.col("grant_end").first(),
        granted=pl.col("granted").first(),
        carried=pl.col("carried").first(),
        refills=pl.col("refills").first(),
        used=pl.col("used").first() + pl.col("bucket_quantity").sum().cast(MONEY),
    )
    return moved.rename(dict(zip(GRANT, list(GRANTS)[:4], strict=True))).cast(GRANTS).select(*GRANTS)  # type: ignore[arg-type]


def _draws(allotted: pl.DataFrame) -> pl.DataFrame:
    """DRAWS, in the order in which they happened."""
    drawn = allotted.filter(pl.col("bucket_quantity") > 0)
    return drawn.select(
        "udr_id",
        "part",
        "date",
        "bucket_id",
        account_id="grant_account",
        service_id="grant_service",
        starts_at="grant_start",
        kind=pl.lit("draw"),
        quantity="bucket_quantity",
        amount=pl.lit(0, AMOUNT),
        left="left",
    ).cast(DRAWS)  # type: ignore[arg-type]
