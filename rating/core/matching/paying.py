"""Who pays for usage and by which plan: the service that owned the identifier, its account, the plan nearest to it."""

import polars as pl

from rating.core.frames import Rated

from .book import PAID, Book
from .refusing import DATE, refuse
from .validity import first_fitting, placed

# The nearest plan wins; after these, the default plan of the account's currency.
PRECEDENCE = ("service_plan_id", "package_plan_id", "account_plan_id", "parent_plan_id")


def find_payers(chosen: pl.DataFrame, book: Book) -> Rated:
    """Find the service that owned the record's identifier at its date, with its account and plan.

    chosen: schema CHOSEN. Returns schema PAID. A service's own validity bounds that of its identifiers. Refuses an
    identifier that nobody has or had then, usage after the final bill, and usage without a plan.
    """
    payers = _payers(book)
    asked = chosen.select("identifier", "date").with_row_index("row")
    offered = payers.select("identifier", "starts_at", "ends_at").with_row_index("payer")
    found = first_fitting(asked, placed(offered, ["identifier"], "starts_at"), ["identifier"], "payer")
    has_payer = found.is_not_null() & chosen["identifier"].is_not_null()
    unpaid = _without_payer(chosen.filter(~has_payer), payers)
    paid = chosen.filter(has_payer) if unpaid.height else chosen
    owners = payers.drop("identifier", "starts_at", "ends_at")[found.filter(has_payer)]
    return _refuse_unbillable(pl.concat([paid, owners], how="horizontal"), unpaid)


def _payers(book: Book) -> pl.DataFrame:
    """Payers with the validity of both, their plan and its name."""
    defaults = book.plans.filter("is_default").select(account_currency="currency", default_plan_id="plan_id")
    defaults = defaults.unique("account_currency", keep="first", maintain_order=True)
    payers = book.payers.join(defaults, on="account_currency", how="left", maintain_order="left").with_columns(
        since="service_starts_at",
        starts_at=pl.max_horizontal("starts_at", "service_starts_at"),
        ends_at=pl.min_horizontal("ends_at", "service_ends_at"),
        plan_id=pl.coalesce(*PRECEDENCE, "default_plan_id"),
    )
    payers = payers.drop("service_starts_at", "service_ends_at", "default_plan_id", *PRECEDENCE)
    plans = book.plans.select("plan_id", "plan", plan_currency="currency")
    return payers.join(plans, on="plan_id", how="left", maintain_order="left")


def _without_payer(usage: pl.DataFrame, payers: pl.DataFrame) -> pl.DataFrame:
    """Tell an identifier that nobody ever had from one that had no owner at the date."""
    was_owned = pl.col("identifier").is_in(payers["identifier"].unique().implode()).fill_null(False)
    unnamed = pl.format(
        "The record has no {} identifier, by which class “{}” is paid. Correct it at its source.",
        "paid_by",
        "usage_class",
    )
    never = pl.format(
        "No service has the identifier “{}” ({} identifier, class “{}”). Give it to a service, then rerate.",
        "identifier",
        "paid_by",
        "usage_class",
    )
    not_then = pl.format(
        "No service had the identifier “{}” at {}. Widen the validity of the identifier or its service, then rerate.",
        "identifier",
        DATE,
    )
    has_none = pl.col("identifier").is_null()
    return pl.concat(
        [
            refuse(usage.filter(has_none), "no_identifier_match", unnamed),
            refuse(usage.filter(~has_none & ~was_owned), "no_identifier_match", never),
            refuse(usage.filter(was_owned), "identifier_not_valid_at_date", not_then),
        ]
    )


def _refuse_unbillable(paid: pl.DataFrame, refused: pl.DataFrame) -> Rated:
    """Refuse what comes after a final bill, has no plan, or has one in another currency than its account's."""
    for cause, is_refused, message in UNBILLABLE:
        hit = paid.select(is_refused.fill_null(True)).to_series()
        if hit.any():
            refused = pl.concat([refused, refuse(paid.filter(hit), cause, message)])
            paid = paid.filter(~hit)
    return Rated(paid.select(*PAID), refused)


UNBILLABLE = (
    (
        "final_bill_issued",
        pl.col("is_final_billed"),
        pl.format(
            "Account {} has had its final bill. Move the identifier “{}” to another account, reopen the account, or "
            "write the usage off.",
            "account_number",
            "identifier",
        ),
    ),
    (
        "no_rate_plan",
        pl.col("plan_id").is_null(),
        pl.format(
            "Neither the service nor its package nor account {} nor an account above it has a rate plan, and no plan "
            "is the default one in {}. Give one of them a plan, then rerate.",
            "account_number",
            "account_currency",
        ),
    ),
    (
        "no_rate_group",
        pl.col("plan_currency") != pl.col("account_currency"),
        pl.format(
            "Plan “{}” is in {}, but account {} is billed in {}. Give the account a plan in {}, then rerate.",
            "plan",
            pl.col("plan_currency").fill_null("no currency"),
            "account_number",
            "account_currency",
            "account_currency",
        ),
    ),
)
