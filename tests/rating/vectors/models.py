"""Cases of one rate: quantities, amounts and what is counted of them, priced by a model."""

import re
from datetime import datetime

from mediation.core.expressions import decimal_kind, evaluate, parse
from tests.rating.vectors.asking import (
    Asked,
    D,
    cents,
    in_turn,
    last,
    plan,
    rate_of,
    spends_of,
    subtotal,
    tiers_of,
    total,
    transform_of,
    with_tax,
)
from tests.rating.vectors.billing import taxed


def by_quantity(case):
    """One quantity, after what the counter held before, priced by its rate, with least and most spend."""
    inputs = case["inputs"]
    values = [inputs[name] for name in ("units_before_line", "units", "quantity") if name in inputs]
    spends = spends_of(inputs)
    asked = Asked(plan(rate_of(case), **spends), in_turn("value", values), total)
    if "already_billed" in inputs:
        asked.before = D(inputs["already_billed"])
    elif len(values) > 1:
        asked.read = last
    if case["id"] == "kb-rnd-01":
        asked.read = subtotal  # what was billed before was rounded to cents
    if case["kind"].endswith("_cents"):
        asked.read = cents(subtotal)
    if "unit_amount_minor" in inputs:
        asked.read = cents(total)
    return asked


def by_delta(case):
    """What a re-rating would change: a quote of all there is now, less the quote of what there was."""
    inputs = case["inputs"]
    document = plan(rate_of(case), **spends_of(inputs))
    then = [{"value": inputs["units_previously_rated"]}] if D(inputs["units_previously_rated"]) else []
    return Asked(document, [{"value": inputs["units_now"]}], total, before=(document, then))


def above_the_last_tier(case):
    def told(quote):
        causes = [each["cause"] for each in quote["exceptions"]]
        return case["expected"] if causes == ["no_rate"] and not quote["charges"] else f"{causes}"

    return Asked(plan(rate_of(case)), [{"value": case["inputs"]["units"]}], told)


def overridden(case):
    inputs = case["inputs"]
    rate = {"model": "per_unit", "price": inputs["unit_amount"], "factor": inputs["factor"]}
    return Asked(plan(rate), [{"value": inputs["units"]}], total)


def two_roles(case):
    inputs = case["inputs"]
    cost = {"usage_class": "usage", "model": "per_unit", "price": inputs["wholesale_unit_amount"]}
    document = plan(
        {"model": "per_unit", "price": inputs["retail_unit_amount"]},
        cost_groups=[{"name": "wholesale", "rates": [cost]}],
    )
    wholesale = (lambda quote: D(quote["charges"][0]["cost"]), D(case["expected_detail"]["wholesale"]))
    return Asked(document, [{"value": inputs["units"]}], total, more={"wholesale": wholesale})


def by_prefix(case):
    inputs = case["inputs"]
    zones = [{"name": rate["prefix"], "prefixes": [rate["prefix"]]} for rate in inputs["rates"]]
    rates = [{"name": r["name"], "zone": r["prefix"], "model": "per_unit", "price": "1"} for r in inputs["rates"]]
    usage = [{"terminating_identifier": f"{inputs['prefix']}5550100"}]
    return Asked(plan(rates, zones=zones), usage, lambda quote: quote["charges"][0]["rate"])


def time_of_day(case):
    inputs, groups, periods = case["inputs"], [], []
    for place, tariff in enumerate(inputs["tariff"]):
        ends = tariff["to"][:5].replace("24:00", "00:00")
        band = {"days": ["mon", "tue", "wed", "thu", "fri"], "starts": tariff["from"][:5], "ends": ends}
        periods.append({"name": f"band {place}", "bands": [band]})
        rate = {"usage_class": "usage", "model": "per_unit", "price": tariff["rate"], "per": tariff["unit_s"]}
        rate |= {"increment": tariff["increment_s"], "connect_fee": tariff["connect_fee"]}
        groups.append({"name": f"g{place}", "time_period": f"band {place}", "at_boundary": "split", "rates": [rate]})
    starts, ends = (datetime.fromisoformat(inputs[name]) for name in ("start", "end"))
    document = {"name": "Plan", "currency": "USD", "groups": groups, "time_periods": periods}
    return Asked(document, [{"date": inputs["start"], "value": str((ends - starts).seconds)}], total)


def duration(case):
    inputs = case["inputs"]
    by = inputs["rate_groups"][0] if "rate_groups" in inputs else inputs
    rate = {"model": "per_unit", "price": by["rate"], "per": by["unit"], "connect_fee": inputs.get("connect_fee", "0")}
    return Asked(plan(rate | ({"increment": by["inc"]} if "inc" in by else {})), [{"value": inputs["usage"]}], total)


def field_rules(case):
    """Rules by a field's value; what no rule is for costs nothing there, so the last rate says so."""
    inputs = case["inputs"]
    models = {"flat": "fixed", "rate": "per_unit"}
    rates = [
        {"condition": f"Extensions.{r['field']} = '{r['value']}'", "model": models[r["type"]], "price": r["cost"]}
        for r in inputs["rules"]
    ]
    used = dict(inputs["usage"])
    usage = [{"value": used.pop("qty"), "extensions": used}]
    return Asked(plan([*rates, {"model": "fixed", "price": "0"}]), usage, total)


def windows_of_the_highest(case):
    """The highest value in each window, here a day, is priced by itself."""
    inputs = case["inputs"]
    rate = rate_of(case) | {"aggregation": {"function": "max"}, "counting": {"restarts": "day"}}
    usage = [
        {"date": f"2026-02-{day:02}T12:00:00Z", "value": value} for day, value in enumerate(inputs["bucket_values"], 1)
    ]
    return Asked(plan(rate), usage, total)


def passed_through(case):
    """An amount that comes with the record, its factor, and what an account spends at least and at most."""
    inputs = case["inputs"]
    amounts = [inputs[name] for name in ("metered_before", "metered_amount", "amount") if name in inputs]
    if "precise_total_amount_cents" in inputs:
        amounts = [str(D(inputs["precise_total_amount_cents"]) / 100)]
    amounts = [str(D(each) / 100) for each in inputs.get("events_precise_cents", [])] or amounts
    rate = {"model": "pass_through", "factor": inputs.get("multiplier", "1")}
    document = plan(rate, group={"amount_precision": 2} if "multiplier" in inputs else {}, **spends_of(inputs))
    asked = Asked(document, in_turn("amount", amounts, value=inputs.get("units", "1")), total)
    asked.before = D(inputs.get("already_billed", "0"))
    if "mode" in inputs:
        asked.read = subtotal
    return Asked(**{**vars(asked), "read": cents(subtotal)}) if case["kind"] == "e2e_cents" else asked


def percentage(case):
    inputs = case["inputs"]
    names = {"rate_percent": "percent", "fixed_amount": "fixed", "free_events": "free_records"}
    names |= {"per_transaction_min": "minimum_charge", "per_transaction_max": "maximum_charge"}
    names |= {"free_amount": "free_amount"}
    given = {names[key]: value for key, value in inputs.items() if key in names and D(value)}
    amounts = inputs.get("events") or ["0"] * int(inputs["events_count"])
    asked = Asked(plan({"model": "percentage", **given}), in_turn("amount", amounts), total)
    if "tax_percent" in inputs:
        asked.document = taxed(asked.document, [inputs["tax_percent"]])
        asked.read = cents(with_tax)
    elif case["kind"] == "e2e_cents":
        asked.read = cents(subtotal)
    return asked


def graduated_percentage(case):
    inputs = case["inputs"]
    before = [inputs["before"]] if D(inputs.get("before", "0")) else []
    amounts = [*before, inputs.get("event_amount", inputs.get("units"))]
    rate = {"model": "graduated_percentage", **tiers_of(inputs)}
    return Asked(plan(rate), in_turn("amount", amounts), cents(subtotal) if case["kind"] == "e2e_cents" else last)


def capped_in_its_tier(case):
    inputs = case["inputs"]
    tier = {"up_to": None, "price": inputs["unit_amount"], "maximum": inputs["max_amount"]}
    return Asked(plan({"model": "graduated", "tiers": [tier]}), [{"value": inputs["units"]}], total)


def flat(case):
    inputs = case["inputs"]
    return Asked(plan({"model": "fixed", "price": inputs["amount"]}), [{"value": inputs["quantity"]}], total)


def expression(case):
    """What mediation makes of a record; then it is priced at 1."""
    inputs = case["inputs"]
    names = [name for name in inputs if name != "expression"]
    rounded = re.sub(r"round\((.*)\)", r"ROUND(\1, 0)", inputs["expression"])
    formula = parse(rounded, dict.fromkeys(names, decimal_kind(18, 6)))
    value = evaluate(formula, {name: D(inputs[name]) for name in names})
    return Asked(plan({"model": "per_unit", "price": "1"}), [{"value": str(value)}], total)


def conversion(case):
    rate = {"model": "per_unit", "price": "1", "transform": transform_of(case["inputs"])}
    usage = [{"value": case["inputs"]["quantity"]}]
    return Asked(plan(rate), usage, lambda quote: D(quote["charges"][0]["rated_quantity"]))
