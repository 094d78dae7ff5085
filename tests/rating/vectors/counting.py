"""Cases of what is counted before it is priced."""

from datetime import datetime, timedelta

from tests.rating.vectors.asking import DAY_ONE, Asked, D, in_turn, moments, plan, rate_of, tiers_of, total


def rolled_up(case):
    starts, ends = (f"{day}T00:00:00Z" for day in case["inputs"]["window"])
    document = {"plan": plan({"model": "per_unit", "price": "1"}), "periods": [{"starts_at": starts, "ends_at": ends}]}
    usage = [{"date": f"{day}T00:00:00Z", "value": value} for day, value in case["inputs"]["records"]]
    return Asked(document, usage, total)


def tier_of_full_units(case):
    inputs = case["inputs"]
    rates = [
        {"name": "prorated", "usage_class": "prorated", "model": "volume", "tier_by": "full", **tiers_of(inputs)},
        {"name": "full", "usage_class": "full", "model": "fixed", "price": "0"},
    ]
    usage = [
        {"usage_class": "prorated", "value": inputs["units_prorated"]},
        {"usage_class": "full", "value": inputs["units_full_for_tier_choice"]},
    ]
    return Asked(plan(rates), usage, total)


def prorated_graduated(case):
    inputs = case["inputs"]
    held = sum(map(D, inputs["event_units_prorated"]))
    return Asked(plan(rate_of(case)), [{"value": str(held)}], total, places=2)


def rounded_units(case):
    inputs = case["inputs"]
    transform = {"rounding": "nearest", "decimals": inputs["precision"]}
    rate = {"model": "per_unit", "price": "1", "transform": transform}
    return Asked(plan(rate), [{"value": inputs["value"]}], lambda quote: D(quote["charges"][0]["rated_quantity"]))


def aggregated(case):
    """A function over records, priced at 1 or by its rate; what lies outside the period is in none."""
    inputs = case["inputs"]
    function = case["model"].removeprefix("agg_")
    rate = rate_of(case) if "tiers" in inputs else {"model": "per_unit", "price": "1"}
    rate["aggregation"] = {"function": "max" if "max" in function else function}
    values = inputs.get("events", inputs.get("values"))
    if function == "unique_count":
        rate["aggregation"]["of"] = "Extensions.id"
        return Asked(plan(rate), moments([{"id": None, "extensions": {"id": value}} for value in values]), total)
    usage = in_turn("value", values)
    usage += [{"date": "2026-03-01T00:00:00Z", "value": value} for value in inputs.get("outside_period", [])]
    periods = [{"starts_at": DAY_ONE, "ends_at": "2026-03-01T00:00:00Z"}]
    return Asked({"plan": plan(rate), "periods": periods}, usage, total)


def aggregated_by_time(case):
    inputs = case["inputs"]
    last_day = datetime.fromisoformat("2026-02-28T12:00:00Z")
    usage = [
        {"date": (last_day - timedelta(days=int(each["t_days_ago"]))).isoformat(), "value": each["v"]}
        for each in inputs["events"]
    ]
    return Asked(plan({"model": "per_unit", "price": "1", "aggregation": {"function": "latest"}}), usage, total)


def members_that_stay(case):
    inputs = case["inputs"]
    aggregation = {"function": "unique_count", "of": "Extensions.member", "carries_over": inputs["recurring"]}
    dates = {"before period": "2026-01-15T00:00:00Z", "in period": "2026-02-15T00:00:00Z"}
    usage = [{"date": dates[each["when"]], "extensions": {"member": each["id"]}} for each in inputs["events"]]
    document = plan({"model": "per_unit", "price": "1", "aggregation": aggregation})
    return Asked(document, usage, lambda quote: D(quote["statements"][-1]["amount"]))


def weighted(case):
    inputs = case["inputs"]
    aggregation = {"function": "weighted_sum", "of": "Extensions.change"}
    period = {"starts_at": inputs["period_start"], "ends_at": inputs["period_end_exclusive"]}
    usage = [{"date": each["t"], "extensions": {"change": each["v"]}} for each in inputs["events"]]
    document = {"plan": plan({"model": "per_unit", "price": "1", "aggregation": aggregation}), "periods": [period]}
    return Asked(document, usage, total, places=5)


def daily_sums(case):
    rate = rate_of(case) | {"aggregation": {"function": "sum", "within": "day", "then": "max"}}
    usage = [
        {"date": f"2026-02-{day:02}T12:00:00Z", "value": value}
        for day, values in enumerate(case["inputs"]["buckets"], 1)
        for value in values
    ]
    return Asked(plan(rate), usage, total)
