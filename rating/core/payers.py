"""Who pays for a UDR, and by which plan."""

import polars as pl

from .frames import REFUSED, Rated, Tariff, empty, refuse

PAYING_IDENTIFIER = {  # by `paid_by` of the usage class
    "usage": "udr_usage_identifier",
    "originating": "originating_identifier",
    "terminating": "terminating_identifier",
}

DATE = pl.col("date").dt.strftime("%Y-%m-%d %H:%M:%S UTC")


def first_valid(
    udrs: pl.DataFrame, candidates: pl.DataFrame, on: list[str], order: str
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Join each UDR to the first of its candidates, by `order`, that is valid at its date; and the UDRs without one.

    candidates: has the columns of `on`, `order`, and a half-open validity `starts_at` to `ends_at` (null: no end).
    """
    ranked = candidates.with_columns(place=pl.col(order).rank("ordinal").over(on))
    is_valid = (pl.col("starts_at") <= pl.col("date")) & (
        pl.col("ends_at").is_null() | (pl.col("date") < pl.col("ends_at"))
    )
    found, left = [], udrs
    for _, layer in sorted(ranked.partition_by("place", include_key=False, as_dict=True).items()):
        tried = left.join(layer, on=on, how="left", maintain_order="left").with_columns(
            is_valid=is_valid.fill_null(False)
        )
        found.append(tried.filter("is_valid").drop("is_valid", "starts_at", "ends_at"))
        left = left.filter(~tried["is_valid"])
        if left.is_empty():
            break
    if not found:  # no candidates at all
        return udrs.clear().join(candidates, on=on).drop("starts_at", "ends_at"), udrs
    return pl.concat(found), left


def choose_identifiers(udrs: pl.DataFrame, tariff: Tariff) -> Rated:
    """Choose of each UDR's identifiers the one that its class is paid by. udrs: schema UDRS."""
    chosen = pl.coalesce(
        pl.when(pl.col("paid_by") == paid_by).then(column) for paid_by, column in PAYING_IDENTIFIER.items()
    )
    named = udrs.join(tariff.classes, on="usage_class_id", how="left", maintain_order="left")
    named = named.with_columns(identifier=chosen).drop(PAYING_IDENTIFIER.values())
    unknown = named.filter(pl.col("paid_by").is_null())
    if unknown.is_empty():
        return Rated(named, empty(REFUSED))
    message = pl.format("Usage class {} does not exist any more. Restore it, then rerate.", "usage_class_id")
    return Rated(named.filter(pl.col("paid_by").is_not_null()), refuse(unknown, "system_error", message))


def find_payers(udrs: pl.DataFrame, tariff: Tariff) -> Rated:
    """Find the service that owned the UDR's identifier at its date, with its account and plan.

    udrs: as `choose_identifiers` leaves them. A service's own validity bounds that of its identifiers.
    """
    payers = tariff.payers.with_columns(
        starts_at=pl.max_horizontal("starts_at", "service_starts_at"),
        ends_at=pl.min_horizontal("ends_at", "service_ends_at"),
        plan_id=pl.coalesce("service_plan_id", "account_plan_id", "parent_plan_id", pl.lit(_default_plan(tariff))),
    ).drop("service_starts_at", "service_ends_at", "service_plan_id", "account_plan_id", "parent_plan_id")
    paid, unpaid = first_valid(udrs, payers, on=["identifier"], order="starts_at")
    return Rated(paid.drop("paid_by", "usage_class"), _without_payer(unpaid, payers))


def _without_payer(udrs: pl.DataFrame, payers: pl.DataFrame) -> pl.DataFrame:
    """Tell an identifier that nobody ever had from one that had no owner at the date."""
    was_owned = pl.col("identifier").is_in(payers["identifier"].unique().implode()).fill_null(False)
    never = (
        pl.when(pl.col("identifier").is_null())
        .then(
            pl.format(
                "The record has no {} identifier, by which class “{}” is paid. Correct it at its source.",
                "paid_by",
                "usage_class",
            )
        )
        .otherwise(
            pl.format(
                "No service has the identifier “{}” ({} identifier, class “{}”). Give it to a service, then rerate.",
                "identifier",
                "paid_by",
                "usage_class",
            )
        )
    )
    not_then = pl.format(
        "No service had the identifier “{}” at {}. Widen the validity of the identifier or its service, then rerate.",
        "identifier",
        DATE,
    )
    return pl.concat(
        [
            refuse(udrs.filter(~was_owned), "no_identifier_match", never),
            refuse(udrs.filter(was_owned), "identifier_not_valid_at_date", not_then),
        ]
    )


def _default_plan(tariff: Tariff) -> int | None:
    """The plan of whoever has none."""
    defaults = tariff.plans.filter("is_default")["plan_id"]
    return int(defaults[0]) if len(defaults) else None


def refuse_final_billed(udrs: pl.DataFrame, tariff: Tariff) -> Rated:
    """Refuse what comes after an account's final bill."""
    message = pl.format(
        "Account {} has had its final bill. Move the identifier “{}” to another account, reopen the account, or "
        "write the usage off.",
        "account_number",
        "identifier",
    )
    return Rated(
        udrs.filter(~pl.col("is_final_billed")).drop("is_final_billed"),
        refuse(udrs.filter("is_final_billed"), "final_bill_issued", message),
    )


def require_plan(udrs: pl.DataFrame, tariff: Tariff) -> Rated:
    """Refuse usage for which neither service nor accounts have a plan, where there is no default plan either."""
    message = pl.format(
        "Neither the service nor account {} nor an account above it has a rate plan, and no plan is the default one. "
        "Give one of them a plan, then rerate.",
        "account_number",
    )
    has_plan = pl.col("plan_id").is_not_null()
    return Rated(udrs.filter(has_plan), refuse(udrs.filter(~has_plan), "no_rate_plan", message))
