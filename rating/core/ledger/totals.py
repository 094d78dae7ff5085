"""How much was used of classes that others follow: sizes of buckets, and tiers chosen by another class's quantity."""

from collections import defaultdict
from collections.abc import Iterable
from decimal import Decimal

import polars as pl

from rating.core.costs import EXACT
from rating.core.frames import TOTAL, TOTALS

from .usage import Owner

KEY = ["period_id", "account_id", "service_id", "usage_class_id"]

Totals = dict[tuple[str, int, Owner, int], Decimal]  # by whose it is (shared), period_id, owner, usage_class_id


def totals_with(usage: pl.DataFrame, before: pl.DataFrame, class_ids: Iterable[int]) -> pl.DataFrame:
    """TOTALS of what was used before with all that the usage brings of these classes; only the rows that change.

    usage: MATCHED with its periods (see `usage.with_periods`). Measured values are added, before any rounding.
    """
    used = usage.filter(pl.col("usage_class_id").is_in(sorted(class_ids)))
    now = used.group_by(KEY).agg(quantity=pl.col("value").cast(TOTAL).sum())
    joined = now.join(before.rename({"quantity": "before"}), on=KEY, how="left")
    totals = joined.select(*KEY, quantity=pl.col("quantity") + pl.col("before").fill_null(0))
    return totals.cast(TOTALS)  # type: ignore[arg-type]


def by_owner(changed: pl.DataFrame, before: pl.DataFrame, usage: pl.DataFrame, class_ids: Iterable[int]) -> Totals:
    """What services, accounts and families used of these classes, by billing period.

    before: TOTALS, of every service of the accounts met; a row of service 0 is what accounts that are not met used of
    their family's. A family's total is that of its topmost account's period.
    """
    families = {row[:2]: row[2:] for row in _families(usage).iter_rows()}
    known = pl.concat([before.select(*TOTALS).join(changed, on=KEY, how="anti"), changed])
    found: Totals = defaultdict(Decimal)
    rows = known.filter(pl.col("usage_class_id").is_in(sorted(class_ids))).iter_rows()
    for period_id, account_id, service_id, class_id, quantity in rows:
        family_id, family_period_id = families.get((account_id, period_id), (account_id, period_id))
        keys = [("family", family_period_id, (family_id, 0), class_id)]
        if service_id:
            keys.append(("account", period_id, (account_id, 0), class_id))
            keys.append(("service", period_id, (account_id, service_id), class_id))
        for key in keys:
            found[key] = EXACT.add(found[key], quantity)
    return found


def _families(usage: pl.DataFrame) -> pl.DataFrame:
    """The topmost account of each account and period, and its period."""
    return usage.select("account_id", "period_id", "family_id", "family_period_id").unique(["account_id", "period_id"])
