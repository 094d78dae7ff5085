"""Plan documents and usage as hypothesis draws them: all models, aggregations and buckets, with numbers that hurt."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from hypothesis import strategies as st

SERVICES = {"s1": "A", "s2": "A", "s3": "B", "s4": "C"}
PARENTS = {"B": "A"}
ZONES = ["UTC", "Europe/Vienna", "Pacific/Auckland"]
START = datetime(2026, 1, 30, 22, 0, tzinfo=UTC)  # so that usage lies on both sides of the ends of months
KINDS = ["a", "b", "c"]
UNIT_MODELS = ["per_unit", "graduated", "volume", "stairstep", "package", "matrix"]
SHARE_MODELS = ["percentage", "graduated_percentage", "basis_points", "pass_through"]
ONE_BY_ONE = ["per_unit", "graduated", "matrix", "fixed", *SHARE_MODELS]  # whose charges know nothing of those before


def scaled(most, places):
    """Decimals as texts, from 0 to `most`, with at most so many places; round ones often."""
    exact = st.integers(0, most * 10**places).map(lambda n: format(Decimal(n).scaleb(-places), "f"))
    return st.one_of(st.integers(0, most).map(str), exact)


PRICES = st.one_of(st.sampled_from(["0", "0.1", "0.005", "1", "0.00000000001"]), scaled(9, 11), scaled(99, 2))
SIZES = st.one_of(st.sampled_from(["1", "6", "60", "0.000001", "1000"]), st.integers(1, 50).map(str))
QUANTITIES = st.one_of(st.sampled_from(["0", "1", "10", "10.000001", "9.999999"]), scaled(60, 0), scaled(60, 6))
AMOUNTS = st.one_of(st.sampled_from(["0", "10", "99.99999999999"]), scaled(50, 2))


def maybe(strategy, chance=3):
    """None more often than not: what a document leaves out."""
    return st.one_of(*[st.none()] * (chance - 1), strategy)


def present(**members):
    return st.fixed_dictionaries(members).map(lambda made: {k: v for k, v in made.items() if v is not None})


@st.composite
def tiers(draw, model):
    bounds = sorted(draw(st.sets(st.integers(1, 60), max_size=3)))
    cuts = [str(bound) if draw(st.booleans()) else f"{bound}.5" for bound in bounds]
    bounded = bool(cuts) and draw(st.integers(0, 5)) == 0
    rate = {"tiers": [draw(tier(model, cut)) for cut in cuts]} if bounded else {}
    rate = rate or {"tiers": [draw(tier(model, cut)) for cut in [*cuts, None]]}
    if bounded:
        rate["bounded"] = True
    if draw(st.booleans()) and Decimal(rate["tiers"][0].get("flat", "0")):
        rate["flat_at_zero"] = True
    return rate


def tier(model, up_to):
    flat, increment = maybe(AMOUNTS), maybe(SIZES, 5)
    keys = {
        "graduated": {"price": PRICES, "flat": flat, "per": maybe(SIZES), "increment": increment, "maximum": flat},
        "volume": {"price": PRICES, "flat": flat, "per": maybe(SIZES), "increment": increment},
        "stairstep": {"flat": AMOUNTS},
        "graduated_percentage": {"percent": PRICES, "flat": flat},
    }
    return present(**keys[model]).map(lambda made: {"up_to": up_to, **made})


@st.composite
def model_keys(draw, model):
    """What only the model asks for."""
    if model in ("graduated", "volume", "stairstep", "graduated_percentage"):
        rate = draw(tiers(model))
    elif model == "matrix":
        prices = [{"values": [kind], "price": draw(PRICES)} for kind in KINDS[: draw(st.integers(1, 3))]]
        rate = {"fields": ["Extensions.kind"], "prices": prices} | draw(present(default_price=maybe(PRICES, 2)))
    elif model == "percentage":
        of = {"percent": PRICES, "fixed": maybe(AMOUNTS), "free_amount": maybe(AMOUNTS)}
        rate = draw(present(**of, free_records=maybe(st.integers(1, 3))))
    else:
        of = {
            "per_unit": {"price": PRICES, "per": maybe(SIZES)},
            "fixed": {"price": PRICES},
            "package": {"price": PRICES, "size": SIZES, "rounding": maybe(st.sampled_from(["up", "down", "nearest"]))},
            "basis_points": {"points": PRICES},
            "pass_through": {"fixed": maybe(AMOUNTS), "price": maybe(PRICES)},
        }
        rate = draw(present(**of[model]))
    return {"model": model, **rate}


@st.composite
def aggregations(draw):
    function = draw(st.sampled_from(["sum", "count", "max", "latest", "unique_count", "weighted_sum"]))
    made = {"function": function}
    if function == "unique_count":
        made["of"] = "Extensions.kind"
    elif function != "count" and draw(st.booleans()):
        made["of"] = "Extensions.n"
    if function in ("latest", "unique_count", "weighted_sum") and draw(st.booleans()):
        made["carries_over"] = True
    elif function != "weighted_sum" and draw(st.booleans()):
        made |= {
            "within": draw(st.sampled_from(["hour", "day"])),
            "then": draw(st.sampled_from(["sum", "max", "latest"])),
        }
    return made


@st.composite
def rates(draw, usage_class, name, earlier):
    model = draw(st.sampled_from([*UNIT_MODELS, "fixed", *SHARE_MODELS]))
    rate = {"usage_class": usage_class, "name": name, **draw(model_keys(model))}
    restarts = ["period", "day", "hour", "record", "never"]
    if model in UNIT_MODELS and model != "matrix" and draw(st.integers(0, 2)) == 0:
        rate["aggregation"] = draw(aggregations())
        within = rate["aggregation"].get("within")
        is_bound = rate["aggregation"]["function"] == "weighted_sum" or "carries_over" in rate["aggregation"]
        restarts = ["period"] if is_bound else ["period", "day", "hour", "never"]
        restarts = {"hour": ["period", "day"], "day": ["period"]}.get(within, restarts)
    elif model in ONE_BY_ONE:
        fees = {
            "connect_fee": maybe(AMOUNTS),
            "minimum_charge": maybe(scaled(5, 2)),
            "maximum_charge": maybe(scaled(9, 2)),
        }
        rate |= draw(present(**fees))
        if Decimal(rate.get("minimum_charge", 0)) > Decimal(rate.get("maximum_charge", 9)):
            rate.pop("minimum_charge")
    if model in ("volume", "stairstep") and earlier and draw(st.booleans()):
        rate["tier_by"], restarts = draw(st.sampled_from(earlier)), ["period"]
    counting = present(
        per=maybe(st.sampled_from(["service", "account", "family"])),
        restarts=maybe(st.sampled_from(restarts), 2),
        by=maybe(st.just(["Extensions.kind"]), 5),
    )
    rate["counting"] = draw(counting)
    transform = present(
        multiply_by=maybe(SIZES), divide_by=maybe(SIZES), rounding=maybe(st.sampled_from(["up", "down", "nearest"]))
    )
    if draw(st.integers(0, 3)) == 0:
        rate["transform"] = draw(transform)
    rate |= draw(present(factor=maybe(st.sampled_from(["0.5", "1.1", "0.333"]), 5), condition=maybe(CONDITIONS, 5)))
    if model in UNIT_MODELS:
        rate |= draw(present(minimum=maybe(QUANTITIES), increment=maybe(SIZES), free_units=maybe(QUANTITIES)))
    return rate


CONDITIONS = st.sampled_from([f"Extensions.kind = '{kind}'" for kind in KINDS])


@st.composite
def buckets(draw, name, serving, others, classes):
    """A bucket of units for some of `serving`, or of money for anything."""
    of = draw(st.sampled_from(["units", "money"])) if serving else "money"
    made = {"name": name, "of": of, "size": draw(scaled(80, 2).filter(lambda size: Decimal(size) > 0))}
    shared = draw(st.sampled_from(["service", "account", "family"]))
    recurs = draw(st.sampled_from(["period", "period", "day", "once"]))
    made |= {"shared": shared, "recurs": recurs} | draw(
        present(priority=maybe(st.integers(1, 3)), condition=maybe(CONDITIONS, 4))
    )
    if recurs == "once":
        made["starts_at"] = (START + timedelta(hours=draw(st.integers(0, 30)))).isoformat()
        made |= draw(present(ends_at=maybe(st.just((START + timedelta(days=20)).isoformat()), 2)))
    if of == "units":
        some = draw(st.sets(st.sampled_from([rate["name"] for rate in serving]), min_size=1))
        made["rates"] = sorted(f"all / {name}" for name in some)
        if draw(st.integers(0, 2)) == 0:
            cuts = [str(bound) for bound in sorted(draw(st.sets(st.integers(1, 40), max_size=2)))]
            made["tiers"] = [
                draw(present(price=scaled(3, 2), flat=maybe(scaled(9, 2)))) | {"up_to": cut} for cut in [*cuts, None]
            ]
    if recurs == "period" and draw(st.integers(0, 2)) == 0:
        made["rollover"] = draw(present(cap=maybe(scaled(50, 0).filter(lambda cap: cap != "0"), 2)))
    elif shared == "account" and draw(st.booleans()):
        made["grows"] = True
    if draw(st.integers(0, 4)) == 0:
        times = maybe(st.integers(1, 3), 2)
        made["refill"] = draw(present(size=st.integers(1, 30).map(str), price=maybe(scaled(9, 2)), times=times))
    served = {rate["usage_class"] for rate in serving if f"all / {rate['name']}" in made.get("rates", [])}
    free = [each for each in classes if each not in served]
    if of == "units" and recurs == "period" and "rollover" not in made and free and draw(st.booleans()):
        made["follows"] = {"usage_class": draw(st.sampled_from(free)), "factor": draw(SIZES)}
        made.pop("grows", None)
    alike = [each["name"] for each in others if each["of"] == of]
    if alike and draw(st.integers(0, 3)) == 0:
        made["after"] = draw(st.sampled_from(alike))
    return made


@st.composite
def plans(draw):
    classes = ["c1", "c2", "c3"][: draw(st.integers(1, 3))]
    made = []
    for usage_class in classes:
        for nth in range(draw(st.integers(1, 2))):
            made.append(draw(rates(usage_class, f"{usage_class}.{nth}", classes[: classes.index(usage_class)])))
    rising = ("sum", "count", "max", "unique_count", "each")
    serving = [
        rate
        for rate in made
        if rate["model"] in UNIT_MODELS
        and rate.get("aggregation", {}).get("function", "each") in rising
        and rate.get("aggregation", {}).get("then") != "latest"
    ]
    kept = []
    for nth in range(draw(st.integers(0, 3))):
        kept.append(draw(buckets(f"b{nth}", serving, kept, classes)))
    group = {"name": "all", "rates": made} | draw(present(amount_precision=maybe(st.integers(0, 6))))
    return {"name": "P", "currency": "EUR", "groups": [group], "buckets": kept}


@st.composite
def usual_plans(draw):
    """What most plans are like, and what is priced in columns: no conditions, fees or functions, one simple bucket."""
    made = []
    for usage_class in ["c1", "c2", "c3"][: draw(st.integers(1, 3))]:
        model = draw(st.sampled_from(["per_unit", "fixed", "graduated", "pass_through"]))
        rate = {"usage_class": usage_class, "name": usage_class, "model": model}
        if model == "graduated":
            cuts = [str(bound) for bound in sorted(draw(st.sets(st.integers(1, 90), max_size=3)))]
            bounded = bool(cuts) and draw(st.booleans())
            rate["tiers"] = [{"up_to": cut, "price": draw(PRICES)} for cut in (cuts if bounded else [*cuts, None])]
            rate |= {"bounded": True} if bounded else {}
        elif model != "pass_through":
            rate["price"] = draw(PRICES)
        made.append(rate | draw(present(minimum=maybe(QUANTITIES), increment=maybe(SIZES))))
    serving = [rate["usage_class"] for rate in made if rate["model"] in ("per_unit", "graduated")]
    plan = {"name": "P", "currency": "EUR", "groups": [{"name": "all", "rates": made, "amount_precision": 11}]}
    if serving and draw(st.booleans()):
        shared = draw(st.sampled_from(["service", "account", "family"]))
        some = sorted(draw(st.sets(st.sampled_from(serving), min_size=1)))
        size = draw(st.integers(1, 200).map(str))
        plan["buckets"] = [{"name": "b", "size": size, "usage_classes": some, "shared": shared}]
    return plan


@st.composite
def usages(draw, classes, least, most):
    """Records on few moments, so that many are dated alike."""
    count = draw(st.integers(least, most))
    rnd = draw(st.randoms(use_true_random=False))
    values = ["0", "1", "10", "0.000001", "3.5", "60", "61"]
    numbers, seen = [*values, None, "no number"], {}
    records = []
    for place in range(count):
        value = rnd.choice(values) if rnd.random() < 0.5 else format(Decimal(rnd.randrange(80_000_000)).scaleb(-6), "f")
        record = {
            "id": str(place + 1),
            "date": START + timedelta(hours=rnd.choice([0, 1, 1, 2, 26, 30, 700, 720])),
            "usage_class": rnd.choice(classes),
            "service": rnd.choice(list(SERVICES)),
            "value": Decimal(value),
        }
        if rnd.random() < 0.9:
            record["amount"] = Decimal(rnd.randrange(-500, 9000)).scaleb(-2)
        n = rnd.choice(numbers) if rnd.random() < 0.3 else str(rnd.randrange(40))
        extensions = {"kind": rnd.choice([*KINDS, None]), "n": n}
        record["extensions"] = {name: text for name, text in extensions.items() if text is not None}
        # What is dated alike and differs in nothing that orders it must be the same.
        alike = (*(record[name] for name in ("date", "usage_class", "service", "value")), record.get("amount"))
        if seen.setdefault(alike, record["extensions"]) != record["extensions"]:
            record["date"] += timedelta(seconds=place + 1)
        records.append(record)
    return records
