"""Cases in blocks and of several units: tiers of started blocks, and capacities."""

from tests.rating.vectors.asking import Asked, D, plan, total


def killbill_tiers(tiers, cumulative=False):
    """`max` blocks of `size` in each tier, or up to there where the limits are cumulative."""
    made, bound = [], D(0)
    for tier in tiers:
        reach = D(tier["size"]) * D(tier["max"])
        upper = reach if cumulative else bound + reach
        if upper > bound:  # what another tier covers already is never reached
            made.append({"up_to": str(upper), "price": tier["price"], "per": tier["size"], "increment": tier["size"]})
        bound = max(bound, upper)
    return {"tiers": made, "bounded": True}


def blocks_of_units(case):
    inputs = case["inputs"]
    model = "volume" if case["model"].endswith("top") else "graduated"
    units = inputs.get("units_now", inputs.get("units"))
    if not isinstance(units, dict):
        units = {"usage": units or str(sum(map(D, inputs["usage"])))}
    tiers = inputs["tiers"] if isinstance(inputs["tiers"], dict) else {"usage": inputs["tiers"]}
    cumulative = inputs.get("tier_limits") == "cumulative"
    rates = [
        {"name": name, "usage_class": name, "model": model, **killbill_tiers(tiers[name], cumulative)} for name in units
    ]
    usage = [{"usage_class": name, "value": value} for name, value in units.items()]
    billed = D(inputs.get("already_billed", inputs.get("billed_amount", "0")))
    return Asked(plan(rates), usage, total, before=billed)


def capacity(case):
    """One price for the highest of several units: the first rate whose limits hold all of them."""
    inputs = case["inputs"]
    rates = [
        {"model": "fixed", "price": tier["price"], **({"condition": limits(tier)} if tier["limits"] else {})}
        for tier in inputs["tiers"]
    ]
    usage = [{"extensions": inputs["max_units"]}]
    return Asked(plan(rates), usage, total, before=D(inputs.get("already_billed", "0")))


def limits(tier):
    return " AND ".join(f"CAST(Extensions.{name} AS DECIMAL(18, 6)) <= {most}" for name, most in tier["limits"].items())
