"""Worked cases of other systems as quote documents and usage: each kind says what it is in our words."""

from decimal import ROUND_HALF_UP

from tests.rating.vectors.allowances import (
    billrun_lines,
    burnt_down,
    free_units,
    interval_tiers,
    money_buckets,
    most_spend,
    rolled_over,
)
from tests.rating.vectors.asking import D
from tests.rating.vectors.billing import (
    one_tax,
    subtotal_of_lines,
    taxes_by_line,
    true_up,
    window_commitment,
    window_commitment_by_time,
)
from tests.rating.vectors.blocks import blocks_of_units, capacity
from tests.rating.vectors.counting import (
    aggregated,
    aggregated_by_time,
    daily_sums,
    members_that_stay,
    prorated_graduated,
    rolled_up,
    rounded_units,
    tier_of_full_units,
    weighted,
)
from tests.rating.vectors.models import (
    above_the_last_tier,
    by_delta,
    by_prefix,
    by_quantity,
    capped_in_its_tier,
    conversion,
    duration,
    expression,
    field_rules,
    flat,
    graduated_percentage,
    overridden,
    passed_through,
    percentage,
    time_of_day,
    two_roles,
    windows_of_the_highest,
)

ADAPTERS = {
    **dict.fromkeys(["interval_tiers", "interval_tier_single"], interval_tiers),
    **dict.fromkeys(["money_buckets", "money_and_unit_buckets", "money_bucket_pool"], money_buckets),
    "graduated_then_credits": money_buckets,
    "price_override_percentage": overridden,
    "two_rate_roles": two_roles,
    "rate_match": by_prefix,
    "time_of_day": time_of_day,
    **dict.fromkeys(["duration_increments", "duration"], duration),
    "field_rules": field_rules,
    **dict.fromkeys(["graduated_percentage", "graduated_percentage_next_event"], graduated_percentage),
    **dict.fromkeys([f"bucketed_{m}" for m in ("standard", "package", "graduated", "volume")], windows_of_the_highest),
    "currency_rounding": passed_through,
    **dict.fromkeys(["dynamic", "dynamic_multiplier"], passed_through),
    **dict.fromkeys([f"dynamic_multiplier_{m}imum_spend" for m in ("max", "min")], passed_through),
    "subtotal_of_rounded_lines": subtotal_of_lines,
    **dict.fromkeys(["commitment_true_up", "minimum_true_up", "minimum_true_up_prorated"], true_up),
    "window_commitment": window_commitment,
    "window_commitment_time_of_day": window_commitment_by_time,
    **dict.fromkeys([f"tiers_of_blocks_{m}" for m in ("all", "top")], blocks_of_units),
    **dict.fromkeys(["incremental_billing", "incremental_billing_multi_unit"], blocks_of_units),
    **dict.fromkeys([f"multi_unit_consumable{m}" for m in ("", "_all", "_top")], blocks_of_units),
    **dict.fromkeys(["capacity_tier", "capacity_tier_incremental"], capacity),
    "rollup_between_dates": rolled_up,
    "volume_prorated": tier_of_full_units,
    "graduated_prorated": prorated_graduated,
    **dict.fromkeys(["percentage", "percentage_min_max", "percentage_with_tax"], percentage),
    "unit_rounding": rounded_units,
    **dict.fromkeys(["agg_sum", "agg_max", "agg_count", "sum", "unique_count", "max_then_graduated"], aggregated),
    "agg_latest": aggregated_by_time,
    "agg_unique_count": members_that_stay,
    "agg_weighted_sum": weighted,
    "max_of_daily_sums_then_graduated": daily_sums,
    "standard_capped": capped_in_its_tier,
    **dict.fromkeys(["percentage_tax", "percentage_tax_multiple", "tax_after_discount"], one_tax),
    **dict.fromkeys(["tax_after_coupon", "multi_tax", "tax", "percentage_tax_minor_units", "compound_tax"], one_tax),
    **dict.fromkeys(["invoice_total", "tax_by_rate", "tax_exempt_customer"], taxes_by_line),
    "flat": flat,
    "expression": expression,
    "unit_conversion": conversion,
    "free_units": free_units,
    "maximum_spend_discount": most_spend,
    "allowance_burn_down": burnt_down,
    "allowance_rollover": rolled_over,
}


def asked(case):
    """The quote that a worked case asks for."""
    if case["kind"] == "exception":
        return above_the_last_tier(case)
    if case["kind"] == "rerate":
        return by_delta(case)
    if "lines" in case["inputs"] and "buckets" in case["inputs"]:
        return billrun_lines(case)
    return ADAPTERS.get(case["model"], by_quantity)(case)


def answer(case, quote_of):
    """Our answer to a case, and to its details: {name: (ours, theirs)}. quote_of(document, usage) → the quote."""
    ask = asked(case)
    quote = quote_of(ask.document, ask.usage)
    ours = ask.read(quote)
    if isinstance(ask.before, tuple):
        ours -= ask.read(quote_of(*ask.before))
    elif ask.before:
        ours -= ask.before
    if ask.places is not None:
        ours = ours.quantize(D(1).scaleb(-ask.places), ROUND_HALF_UP)
    return ours, {name: (read(quote), theirs) for name, (read, theirs) in ask.more.items()}
