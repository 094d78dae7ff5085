"""Cases of buckets: stacked, shared, of money, free units, and what rolls over."""

from datetime import datetime, timedelta

from tests.rating.vectors.asking import Asked, D, in_turn, last, lines, moments, plan, rate_of, spends_of, total


def billrun_lines(case):
    """Lines of subscribers of one account, priced in blocks (`interval`) after buckets that stack in their order."""
    inputs = case["inputs"]
    rates = [{"name": name, "usage_class": name, **blocks(tiers)} for name, tiers in inputs["rates"].items()]
    buckets = [billrun_bucket(bucket, inputs["rates"]) for bucket in inputs["buckets"]]
    usage = [
        {"usage_class": line["rate"], "service": line["subscriber"], "value": line["units"], **at(line, place)}
        for place, line in enumerate(inputs["lines"])
    ]
    document = {"plan": plan(rates, buckets=buckets), **({"accounts": zoned(inputs)} if "at" in usage[0] else {})}
    details = [D(line["amount"]) for line in case.get("expected_detail", {}).get("lines", [])]
    of_line = {charge: place for place, charge in enumerate(map(str, range(1, len(usage) + 1)))}

    def by_line(quote):
        amounts = [D(0)] * len(usage)
        for charge in quote["charges"]:
            amounts[of_line[charge["id"]]] = D(charge["amount"])
        return amounts

    return Asked(document, moments(usage), total, more={"lines": (by_line, details)} if details else {})


def zoned(inputs):
    services = [{"name": name} for name in dict.fromkeys(line["subscriber"] for line in inputs["lines"])]
    return [{"number": "1", "time_zone": "Asia/Jerusalem", "services": services}]


def at(line, place):
    """When a line happened; lines of one moment happened in the order in which they are told."""
    if "at" not in line:
        return {}
    moment = datetime.fromisoformat(local_moment(line["at"])) + timedelta(seconds=place)
    return {"date": moment.isoformat()}


def local_moment(text):
    return text.replace(" ", "T") if len(text) > 10 else f"{text}T00:00:00+03:00"


def billrun_bucket(bucket, rates):
    size = str(D(bucket["size"]) * int(bucket.get("members", "1")))
    made = {"name": bucket["name"], "size": size, "usage_classes": [name for name in bucket["rates"] if name in rates]}
    if bucket.get("shared"):
        made["shared"] = "account"
    if "from" in bucket:
        ends = {"starts_at": local_moment(bucket["from"]), "ends_at": local_moment(bucket["to"])}
        made |= {"recurs": "once", **ends}
    return made


def blocks(tiers):
    """Tiers by width or bound, each in started blocks of its own size."""
    made, bound = [], D(0)
    for tier in tiers:
        width = tier.get("width", tier.get("to"))
        bound = None if width is None else bound + D(width)
        step = tier["interval"]
        made.append({"up_to": bound and str(bound), "price": tier["price"], "per": step, "increment": step})
    return {"model": "graduated", "tiers": made, "bounded": bound is not None}


def interval_tiers(case):
    return Asked(plan(blocks(case["inputs"]["tiers"])), [{"value": case["inputs"]["volume"]}], total)


def money_buckets(case):
    inputs = case["inputs"]
    named = [("units", size) for size in inputs.get("unit_buckets", [])]
    named += [("money", size) for size in inputs.get("money_buckets", inputs.get("credits", []))]
    buckets = [{"name": f"bucket {at}", "of": of, "size": size} for at, (of, size) in enumerate(named, 1)]
    return Asked(plan(rate_of(case), buckets=buckets), [{"value": inputs["units"]}], total)


def free_units(case):
    inputs = case["inputs"]
    rate = {"model": "per_unit", "price": "1", "free_units": inputs["free_units"]}
    detail = case["expected_detail"]
    more = {
        "free_used_now": (lambda quote: D(quote["charges"][-1]["free_quantity"]), D(detail["free_used_now"])),
        "billable_before": (lambda quote: D(quote["charges"][0]["amount"]), D(detail["billable_before"])),
    }
    return Asked(plan(rate), in_turn("value", [inputs["units_before_line"], inputs["units"]]), last, more=more)


def most_spend(case):
    inputs = case["inputs"]
    document = plan({"model": "pass_through"}, **spends_of(inputs))
    return Asked(document, in_turn("amount", [inputs["already_billed"], inputs["line_amount"]]), lines("maximum"))


def burnt_down(case):
    inputs = case["inputs"]
    usage = in_turn("value", [each["amount"] for each in inputs["usage"]])
    buckets = [{"name": f"grant {at}", "size": grant["amount"]} for at, grant in enumerate(inputs["grants"])]
    document = plan({"model": "per_unit", "price": "1"}, buckets=buckets)
    more = {"overage": (total, D(case["expected_detail"]["overage"]))}
    return Asked(document, usage, lambda quote: sum((D(each["left"]) for each in quote["buckets"]), D(0)), more=more)


def rolled_over(case):
    inputs = case["inputs"]
    bucket = {"name": "balance", "size": inputs["balance_before"], "rollover": {"cap": inputs["rollover_max"]}}
    document = plan({"model": "per_unit", "price": "1"}, buckets=[bucket])
    usage = [*in_turn("value", inputs["usage_in_period"]), {"date": "2026-03-01T00:00:00Z", "value": "1"}]
    return Asked(document, usage, lambda quote: D(quote["buckets"][-1]["carried"]))
