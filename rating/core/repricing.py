"""Usage that was charged before, priced again in the order of its dates: what stays, what goes, what is new."""

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from rating.core.frames import COUNTERS, GRANTS, LEVEL, MONEY, Standing
from rating.core.matching import KNOWN, share_amounts
from rating.core.tariffs import PriceList

# What makes a charge another one. Draws are compared beside them.
SAME = (
    "service_id",
    "account_id",
    "counting_period_id",
    "version_id",
    "rate_id",
    "rated_quantity",
    "free_quantity",
    "bucket_quantity",
    "tier_position",
    "credit",
    "cost",
    "amount",
)
COUNTER = ["period_id", "account_id", "service_id", "rate_id", "key"]
COUNTED = ["level", "position", "records", "credit"]
GRANT = ["account_id", "bucket_id", "service_id", "starts_at"]


@dataclass(frozen=True)
class Difference:
    """taken: CHARGES that do not stand any more; made: the CHARGES in their place; both without those that stay."""

    taken: pl.DataFrame
    made: pl.DataFrame


def with_rate_keys(charges: pl.DataFrame, prices: PriceList) -> pl.DataFrame:
    """Add rate_key, the rate's place in the price list, by version and rate; null for one that is not in it."""
    rows = [(each.version.version_id, each.rate_id, each.key) for each in prices.rates if not each.is_cost]
    keys = pl.DataFrame(
        rows, schema={"version_id": pl.Int64, "rate_id": pl.Int64, "rate_key": pl.Int64}, orient="row"
    ).unique(["version_id", "rate_id"], keep="first", maintain_order=True)
    return charges.join(keys, on=["version_id", "rate_id"], how="left", maintain_order="left")


def priced_together(asked: Sequence[int], known: pl.DataFrame, met: pl.DataFrame, prices: PriceList) -> pl.DataFrame:
    """The rows of `known` that are priced again in one go with the periods asked for, since one decides the other.

    A family's periods of a month go together, closed ones too: they share what they count. Where something outlasts a
    period, so do all months from the first on that is asked for or open; what counts for ever takes all that was.
    known: period_id, family_id, month, is_closed and more: every period of the families. met: period_id, rate_key, of
    those that are asked for or open.
    """
    links = [each.key for each in prices.rates if prices.links_periods(each)]
    for_ever = [each.key for each in prices.rates if prices.counts_for_ever(each)]
    rates = met.join(known, on="period_id")
    linked = rates.filter(pl.col("rate_key").is_in(links))["family_id"].unique()
    whole = rates.filter(pl.col("rate_key").is_in(for_ever))["family_id"].unique()
    is_asked = pl.col("period_id").is_in(list(asked))
    months = known.filter(is_asked).select("family_id", "month", _together=pl.lit(True)).unique()
    unfinished = known.filter(is_asked | ~pl.col("is_closed"))
    since = unfinished.group_by("family_id").agg(_since=pl.col("month").min())
    placed = known.join(months, on=["family_id", "month"], how="left", maintain_order="left")
    placed = placed.join(since, on="family_id", how="left", maintain_order="left")
    is_linked = pl.col("family_id").is_in(linked.implode()) & (pl.col("month") >= pl.col("_since"))
    is_chosen = pl.col("_together").fill_null(False) | is_linked | pl.col("family_id").is_in(whole.implode())
    return placed.filter(is_chosen).select(*known.columns)


def known_usage(
    charges: pl.DataFrame, usage: pl.DataFrame, payers: pl.DataFrame, periods: pl.DataFrame
) -> pl.DataFrame:
    """Charged usage as matching left it, schema KNOWN with cost.

    charges: CHARGES with rate_key. usage: USAGE, of whole UDRs. payers: service_id, family_id, since, time_zone.
    periods: period_id, month (the first day of the period, which stands for the month of what is counted in it).
    """
    of_udr = usage.drop("part", "date", "value", "import_id", "usage_class_id", "feed_id").rename({"currency": "own"})
    feeds = usage.select("udr_id", "feed_id")
    known = (
        charges.rename({"quantity": "value"})
        .drop("amount")
        .join(of_udr, on="udr_id", how="left", maintain_order="left")
        .join(feeds, on="udr_id", how="left", maintain_order="left")
        .join(payers, on="service_id", how="left", maintain_order="left")
        .join(
            periods.select("month", counting_period_id="period_id"),
            on="counting_period_id",
            how="left",
            maintain_order="left",
        )
        .with_columns(account_currency="currency")
        .with_columns(currency="own")
    )
    return share_amounts(known).select(*KNOWN, "cost")


def difference(charges: pl.DataFrame, draws: pl.DataFrame, made: pl.DataFrame, made_draws: pl.DataFrame) -> Difference:
    """What differs between charges that stand and those that pricing makes now. All CHARGES with their DRAW_ROWS."""
    old, new = _told(charges, draws), _told(made, made_draws)
    same = old.join(new, on=["udr_id", "part", *SAME, "drawn"], nulls_equal=True, how="inner").select("udr_id", "part")
    return Difference(
        taken=charges.join(same, on=["udr_id", "part"], how="anti", maintain_order="left"),
        made=made.join(same, on=["udr_id", "part"], how="anti", maintain_order="left"),
    )


def _told(charges: pl.DataFrame, draws: pl.DataFrame) -> pl.DataFrame:
    """Charges by what must be the same, and what they drew as one text."""
    text = pl.concat_str(
        pl.col("bucket_id"),
        pl.col("starts_at").dt.epoch("us"),
        "service_id",
        "kind",
        "quantity",
        "amount",
        separator=" ",
    )
    drawn = draws.sort("charge_id", "place").group_by("charge_id").agg(drawn=text.str.join("; "))
    told = charges.join(drawn, left_on="id", right_on="charge_id", how="left", maintain_order="left")
    return told.select("udr_id", "part", *SAME, "drawn")


def without(
    standing: Standing, charges: pl.DataFrame, draws: pl.DataFrame, prices: PriceList, period_ids: pl.Series
) -> Standing:
    """What stood before these charges: the counters of the periods gone, their draws given back to the grants.

    charges: CHARGES with rate_key; draws: their DRAW_ROWS. period_ids: those that are priced again; a family's counter
    stands in its topmost account's, which may have charged nothing itself. A grant that nothing is drawn of any more is
    left out, and pricing makes it anew; not so what somebody was given, which pricing cannot make.
    """
    numbers = period_ids.implode()
    is_anew = pl.col("rate_id").is_in(sorted({each.rate_id for each in prices.rates if prices.counts_for_ever(each)}))
    given = sorted({each.bucket_id for each in prices.buckets if each.bucket.recurs == "granted"})
    moved = draws.group_by(GRANT).agg(
        back=pl.col("quantity").filter(pl.col("kind") != "refill").sum().cast(MONEY),
        refilled=pl.col("quantity").filter(pl.col("kind") == "refill").sum().cast(MONEY),
        times=(pl.col("kind") == "refill").sum().cast(pl.Int64),
    )
    grants = standing.grants.join(moved, on=GRANT, how="left", maintain_order="left").with_columns(
        used=(pl.col("used") - pl.col("back").fill_null(0)).cast(MONEY),
        granted=(pl.col("granted") - pl.col("refilled").fill_null(0)).cast(MONEY),
        refills=pl.col("refills") - pl.col("times").fill_null(0),
    )
    return Standing(
        counters=_without_lasting(standing.counters.filter(~pl.col("period_id").is_in(numbers)), charges, prices),
        seen=standing.seen.filter(~pl.col("period_id").is_in(numbers) & ((pl.col("period_id") != 0) | ~is_anew)),
        grants=grants.filter((pl.col("used") > 0) | pl.col("bucket_id").is_in(given)).select(*GRANTS),
        totals=standing.totals.filter(~pl.col("period_id").is_in(numbers)),
        members=standing.members,
    )


def _without_lasting(counters: pl.DataFrame, charges: pl.DataFrame, prices: PriceList) -> pl.DataFrame:
    """Counters that never restart, without what these charges counted in them.

    Those that cannot be told from sums begin anew: all that they counted is among these charges.
    """
    lasting = [each.key for each in prices.rates if each.rate.counting.restarts == "never"]
    anew = sorted({each.rate_id for each in prices.rates if prices.counts_for_ever(each)})
    counters = counters.filter((pl.col("period_id") != 0) | ~pl.col("rate_id").is_in(anew))
    counted = counted_by(charges.filter(pl.col("rate_key").is_in(lasting)), prices)
    if counted.is_empty():
        return counters
    less = {name: (pl.col(name) - pl.col(f"{name}_right").fill_null(0)).cast(COUNTERS[name]) for name in COUNTED}
    joined = counters.join(counted, on=COUNTER, how="left", maintain_order="left")
    return joined.with_columns(**less).select(*COUNTERS)


def counted_by(charges: pl.DataFrame, prices: PriceList) -> pl.DataFrame:
    """What charges moved their counters by, of rates whose counters add up: COUNTER and COUNTED.

    charges: CHARGES with rate_key. A counter that never restarts has the period 0.
    """
    lasting = [each.key for each in prices.rates if each.rate.counting.restarts == "never"]
    owners = {each.key: each.rate.counting.per for each in prices.rates if prices.keeps_counter(each) and each.adds_up}
    per = pl.col("rate_key").replace_strict(owners, default=None, return_dtype=pl.String)
    counted = charges.with_columns(per=per).filter(
        pl.col("tier_position").is_not_null() & pl.col("per").is_in(["service", "account"])
    )
    owned = counted.with_columns(
        period_id=pl.when(pl.col("rate_key").is_in(lasting)).then(0).otherwise("counting_period_id"),
        service_id=pl.when(pl.col("per") == "service").then("service_id").otherwise(0),
        key=pl.lit(""),
    )
    billable = pl.col("rated_quantity") - pl.col("free_quantity") - pl.col("bucket_quantity")
    return owned.group_by(COUNTER).agg(
        level=pl.col("rated_quantity").cast(LEVEL).sum(),
        position=billable.cast(LEVEL).sum(),
        records=pl.len().cast(pl.Int64),
        credit=pl.col("credit").cast(MONEY).sum(),
    )


def refilled_by(draws: pl.DataFrame) -> pl.DataFrame:
    """What refills among DRAW_ROWS added to their grants: GRANT, granted, refills."""
    refills = draws.filter(pl.col("kind") == "refill").group_by(GRANT)
    return refills.agg(granted=pl.col("quantity").sum().cast(MONEY), refills=pl.len().cast(pl.Int64))


def drawn_by(back: pl.DataFrame) -> pl.DataFrame:
    """What rows that give back (DRAW_ROWS, below zero) take off their grants: GRANT, used."""
    return back.group_by(GRANT).agg(used=pl.col("quantity").sum().neg().cast(MONEY))


def untouched(grants: pl.DataFrame, opening: pl.DataFrame) -> pl.DataFrame:
    """The grants (their keys) that stood and are not in the opening: to be dropped unless pricing makes them again."""
    return grants.join(opening, on=GRANT, how="anti").select(GRANT)


def totals_by_account(before: pl.DataFrame, rated: pl.DataFrame, refused: pl.DataFrame) -> pl.DataFrame:
    """What accounts were charged and would be: account_id, before, after, changed, refused.

    before: CHARGES; rated: PRICED, of all that was looked at; refused: REFUSED. changed: records, of all their parts,
    that cost the account something else, or that only one side has; of those at the same amount none, though their
    charges may be made anew. What cannot be charged any more counts as refused for the account that was charged.
    """
    was = _by_record(before, "amount", "before")
    now = _by_record(rated, "charged_amount", "after")
    both = was.join(now, on=["account_id", "udr_id"], how="full", coalesce=True)
    both = both.join(refused.select("udr_id", is_refused=pl.lit(True)).unique(), on="udr_id", how="left")
    is_changed = pl.col("is_refused").is_null() & pl.col("before").ne_missing(pl.col("after"))
    told = both.group_by("account_id").agg(
        before=pl.col("before").sum().cast(MONEY),
        after=pl.col("after").sum().cast(MONEY),
        changed=is_changed.sum().cast(pl.Int64),
    )
    lost = before.join(refused, on="udr_id", how="semi").group_by("account_id").agg(refused=pl.len().cast(pl.Int64))
    told = told.join(lost, on="account_id", how="left").with_columns(pl.col("refused").fill_null(0))
    return told.sort("account_id")


def _by_record(charges: pl.DataFrame, amount: str, name: str) -> pl.DataFrame:
    """What each record costs each account: account_id, udr_id and the sum under its name."""
    return charges.group_by("account_id", "udr_id").agg(pl.col(amount).cast(MONEY).sum().alias(name))
