"""Which rate prices a UDR: groups are searched top-down, the first with a matching rate wins."""

import polars as pl

from .frames import Rated, Tariff, refuse
from .payers import DATE, first_valid


def find_rates(udrs: pl.DataFrame, tariff: Tariff) -> Rated:
    """Find the rate of each UDR's class in the groups of its plan that are valid and of the account's currency.

    udrs: as `payers.require_plan` leaves them.
    """
    offers = tariff.groups.join(tariff.rates, on="rate_group_id")
    on = ["plan_id", "usage_class_id", "account_currency"]
    found, left = first_valid(udrs, offers, on=on, order="position")
    if left.is_empty():
        return Rated(found.drop("position"), refuse(left, "no_rate", pl.lit("")))
    return Rated(found.drop("position"), _without_rate(left, tariff))


def _without_rate(udrs: pl.DataFrame, tariff: Tariff) -> pl.DataFrame:
    """Tell a plan without a fitting group from one whose groups have no rate for the class."""
    named = udrs.join(tariff.classes, on="usage_class_id").join(tariff.plans, on="plan_id")
    groups = tariff.groups.select("plan_id", "account_currency", "position", "starts_at", "ends_at")
    in_group, in_none = first_valid(named, groups, on=["plan_id", "account_currency"], order="position")
    no_rate = pl.format(
        "Plan “{}” has groups in {} valid at {}, but none has a rate for class “{}”. Add the rate, then rerate.",
        "plan",
        "account_currency",
        DATE,
        "usage_class",
    )
    no_group = pl.format(
        "Plan “{}” has no rate group in {}, the currency of account {}, valid at {}. Add the group, then rerate.",
        "plan",
        "account_currency",
        "account_number",
        DATE,
    )
    return pl.concat([refuse(in_group, "no_rate", no_rate), refuse(in_none, "no_rate_group", no_group)])


def require_amount(udrs: pl.DataFrame, tariff: Tariff) -> Rated:
    """Refuse pass-through usage that brought no amount, or one in another currency than the account's."""
    is_passed = pl.col("model") == "pass_through"
    lacks = is_passed & pl.col("amount").is_null()
    differs = is_passed & ~lacks & ~pl.col("currency").eq_missing(pl.col("account_currency"))
    if not udrs.select((lacks | differs).any()).item():
        return Rated(udrs, refuse(udrs.clear(), "no_rate", pl.lit("")))
    no_amount = pl.lit(
        "The rate passes the record's amount through, but the record has none. Map the amount in the Data Profile and "
        "reprocess the import, or price the class otherwise and rerate."
    )
    other_currency = pl.format(
        "The record's amount is in {}, account {} is billed in {}. Move the service to an account of that currency, or "
        "correct the currency at its source.",
        pl.col("currency").fill_null("no currency"),
        "account_number",
        "account_currency",
    )
    return Rated(
        udrs.filter(~(lacks | differs)),
        pl.concat(
            [
                refuse(udrs.filter(lacks), "no_rate", no_amount),
                refuse(udrs.filter(differs), "no_rate_group", other_currency),
            ]
        ),
    )


def require_tiers(udrs: pl.DataFrame, tariff: Tariff) -> Rated:
    """Refuse usage of a graduated rate that has no tier."""
    lacks = (pl.col("model") == "graduated") & ~pl.col("rate_id").is_in(tariff.tiers["rate_id"].unique().implode())
    message = pl.lit("The rate is graduated but has no tiers. Add them, then rerate.")
    return Rated(udrs.filter(~lacks), refuse(udrs.filter(lacks), "no_rate", message))
