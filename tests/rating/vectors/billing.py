"""Cases of a period: lines, promises and tax."""

from tests.rating.vectors.asking import Asked, D, cents, in_turn, lines, plan, subtotal, tax, total, with_tax


def subtotal_of_lines(case):
    amounts = case["inputs"]["lines"]
    classes = [f"class {at}" for at in range(len(amounts))]
    rates = [{"name": name, "usage_class": name, "model": "pass_through"} for name in classes]
    usage = [{"usage_class": name, "amount": amount} for name, amount in zip(classes, amounts, strict=True)]
    return Asked(plan(rates), usage, subtotal)


def true_up(case):
    inputs = case["inputs"]
    in_cents = case["kind"] == "rating_cents"
    share = 100 if in_cents else 1
    used = D(inputs.get("usage_cents", inputs.get("used_amount"))) / share
    least = D(inputs.get("minimum_cents", inputs.get("commitment"))) / share
    commitment = {"name": "least", "kind": "minimum", "amount": str(least)}
    document = plan({"model": "pass_through"}, commitments=[commitment])
    usage = [{"amount": str(used), "date": "2026-02-20T00:00:00Z"}]
    if "days_used" in inputs:
        commitment["prorate"] = True
        first = int(inputs["days_in_period"]) - int(inputs["days_used"]) + 1
        service = {"name": "1", "starts_at": f"2026-02-{first:02}T00:00:00Z"}
        document = {"plan": document, "accounts": [{"number": "1", "services": [service]}]}
    return Asked(document, usage, cents(lines("true_up")) if in_cents else lines("true_up"))


def commitment_of(inputs, **more):
    return {
        "kind": "commitment",
        "amount": inputs["commit_amount"],
        "overage_factor": inputs["overage_factor"],
        "true_up": inputs["true_up"],
        "within": "hour",
        **more,
    }


def window_commitment(case):
    inputs = case["inputs"]
    document = plan(
        {"model": "per_unit", "price": inputs["unit_amount"]}, commitments=[commitment_of(inputs, name="hour")]
    )
    usage = [{"date": f"2026-02-01T{at:02}:30:00Z", "value": value} for at, value in enumerate(inputs["windows"])]
    return Asked(document, usage, total)


def window_commitment_by_time(case):
    inputs = case["inputs"]
    band = inputs["buckets"][0]
    days = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
    period = {"name": "band", "bands": [{"days": days, "starts": band["from"], "ends": band["to"]}]}
    rates = [
        {"name": "in band", "time_period": "band", "model": "per_unit", "price": band["unit_amount"]},
        {"name": "else", "model": "per_unit", "price": inputs["line"]["unit_amount"]},
    ]
    commitments = [
        commitment_of(band, name="in band", rates=["all / in band"]),
        commitment_of(inputs["line"], name="else", rates=["all / else"]),
    ]
    usage = [{"date": f"2026-02-01T{time}:00Z", "value": value} for time, value in inputs["windows"]]
    return Asked(plan(rates, time_periods=[period], commitments=commitments), usage, total)


def taxed(document, percents, compound=(), exempt=False):
    """One class with one code of so many parts."""
    parts = [
        {"name": f"part {at}", "percent": percent, "is_compound": at in compound} for at, percent in enumerate(percents)
    ]
    return {
        "plan": document,
        "classes": [{"name": "usage", "tax_category": "standard"}],
        "accounts": [{"number": "1", "jurisdiction": "here", "tax_exempt": exempt}],
        "tax": {"codes": [{"name": "code", "category": "standard", "jurisdiction": "here", "parts": parts}]},
    }


def one_tax(case):
    """One base with its parts; a discount or a coupon's share is an amount below zero on the same line."""
    inputs = case["inputs"]
    in_minor = case["kind"] == "tax_cents" or "taxable_minor" in inputs
    share = 100 if in_minor else 1
    names = ("taxable", "taxable_minor", "amount", "fee_amount_cents")
    amounts = [str(D(inputs[name]) / share) for name in names if name in inputs]
    off = inputs.get("discount", inputs.get("expected_coupon_share_cents"))
    amounts += [str(-D(off) / share)] if off else []
    one = [inputs[name] for name in ("rate_percent", "tax_percent") if name in inputs]
    percents = one or inputs.get("rates_percent") or inputs.get("tax_percents") or [row[0] for row in inputs["rates"]]
    compound = [at for at, row in enumerate(inputs.get("rates", [])) if row[1]]
    document = taxed(plan({"model": "pass_through"}), percents, compound)
    return Asked(document, in_turn("amount", amounts), cents(tax) if in_minor else tax)


def taxes_by_line(case):
    """Lines of classes with a code each, in minor units; a coupon is shared out by amount."""
    inputs = case["inputs"]
    rows = inputs.get("lines") or list(zip(inputs["fees_cents"], inputs["tax_percents"], strict=True))
    fees, percents = zip(*(row if not isinstance(row, str) else (row, "0") for row in rows), strict=True)
    coupon, together = D(inputs.get("coupon_cents", "0")), sum(map(D, fees))
    names = [f"class {at}" for at in range(len(fees))]
    rates = [{"name": name, "usage_class": name, "model": "pass_through"} for name in names]
    usage = []
    for name, fee in zip(names, fees, strict=True):
        usage.append({"usage_class": name, "amount": str(D(fee) / 100)})
        if coupon:
            usage.append({"usage_class": name, "amount": str(-coupon * D(fee) / together / 100)})
    codes = [
        {"name": n, "category": n, "jurisdiction": "here", "parts": [{"name": "tax", "percent": percent}]}
        for n, percent in zip(names, percents, strict=True)
    ]
    account = {"number": "1", "jurisdiction": "here", "tax_exempt": case["model"] == "tax_exempt_customer"}
    document = {
        "plan": plan(rates),
        "classes": [{"name": name, "tax_category": name} for name in names],
        "accounts": [account],
        "tax": {"codes": codes},
    }
    read = cents(with_tax) if case["model"] == "invoice_total" else cents(tax)
    expected = case.get("expected_detail", {}).get("total_with_tax")
    return Asked(document, usage, read, more={"total": (cents(with_tax), D(expected))} if expected else {})
