"""Plan documents priced once more, in plain Decimal, one record at a time, from the rules; it shares no code."""

import re
from collections import defaultdict
from datetime import datetime, timedelta
from decimal import ROUND_CEILING
from zoneinfo import ZoneInfo

from tests.rating.plan_oracle_prices import (
    LATER_THAN_ALL,
    TOTALLED,
    D,
    Refused,
    bucket_price,
    field,
    flats,
    holds,
    over,
    rounded,
    seconds,
    stretches,
    times,
    to_places,
)


class PlanOracle:
    """A plan document and who is on it. services: name → account; parents: account → the account above."""

    def __init__(self, plan, services, parents=None, zone="UTC", since=None):
        self.plan, self.services, self.parents = plan, services, parents or {}
        self.zone, self.since = ZoneInfo(zone), since
        self.classes = list(dict.fromkeys(r["usage_class"] for g in plan["groups"] for r in g["rates"]))
        self.counters = defaultdict(lambda: {"records": 0, "level": None, "rated": D(0), "position": D(0), "F": D(0)})
        self.grants, self.totals = {}, defaultdict(D)

    def price(self, usage):
        """Each record's outcome by its id, whatever the order of the records.

        What was refused was not used: where others follow its class, the rest is priced again without it.
        """
        followed = {bucket["follows"]["usage_class"] for bucket in self.plan.get("buckets", []) if "follows" in bucket}
        followed |= {rate["tier_by"] for _, rate in self.rates() if "tier_by" in rate}
        causes = {}
        while True:
            outcomes = self.price_once([record for record in usage if record["id"] not in causes])
            late = [each for each in usage if each["usage_class"] in followed and outcomes.get(each["id"]) == "no_rate"]
            if not late:
                return outcomes | causes
            causes |= {record["id"]: "no_rate" for record in late}

    def price_once(self, usage):
        self.counters.clear(), self.grants.clear(), self.totals.clear()
        for record in usage:
            self.total(record)
        outcomes = {}
        for record in sorted(usage, key=self.place):
            before = {key: dict(grant) for key, grant in self.grants.items()}
            try:
                outcomes[record["id"]] = self.one(record)
            except Refused as refused:
                outcomes[record["id"]] = str(refused)
                self.grants = before
        return outcomes

    def total(self, record):
        """Add a record to the quantities that buckets and tiers of other classes follow."""
        for bucket in self.plan.get("buckets", []):
            if bucket.get("follows", {}).get("usage_class") == record["usage_class"]:
                owner = self.owner(bucket, "shared", record)
                self.totals[(bucket["name"], owner, *self.window(bucket, record))] += record["value"]
        for group, rate in self.rates():
            if rate.get("tier_by") == record["usage_class"]:
                owner = self.owner(rate.get("counting", {}), "per", record)
                self.totals["tier", group["name"], rate["name"], owner, self.month(record)] += record["value"]

    def rates(self):
        return [(group, rate) for group in self.plan["groups"] for rate in group["rates"]]

    def place(self, record):
        try:
            _, rate = self.match(record)
            counted, member = self.counted(rate, record), self.member(rate, record)
        except Refused:
            counted, member = D(0), ""
        service = list(self.services).index(record["service"])
        amount = record.get("amount")
        shown = (
            self.classes.index(record["usage_class"]),
            service,
            record["value"],
            amount is not None,
            amount or D(0),
        )
        return (record["date"], *shown, counted, member or "", int(record["id"]))

    def match(self, record):
        for group, rate in self.rates():
            if rate["usage_class"] == record["usage_class"] and all(
                holds(each.get("condition"), record) for each in (group, rate)
            ):
                return group, rate
        raise Refused("no_rate")

    def local(self, moment):
        return moment.astimezone(self.zone)

    def month(self, record):
        """The bounds of the billing period."""
        start = self.local(record["date"]).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
        return start, (start + timedelta(days=32)).replace(day=1)

    def window(self, bucket, record):
        recurs, local = bucket.get("recurs", "period"), self.local(record["date"])
        day = local.replace(hour=0, minute=0, second=0, microsecond=0)
        if recurs == "day":
            return day, day + timedelta(days=1)
        if recurs == "once":
            ends = bucket.get("ends_at")
            return datetime.fromisoformat(bucket["starts_at"]), datetime.fromisoformat(ends) if ends else LATER_THAN_ALL
        return self.month(record)

    def owner(self, of, key, record):
        per, account = of.get(key, "service"), self.services[record["service"]]
        if per == "service":
            return per, record["service"]
        while per == "family" and account in self.parents:
            account = self.parents[account]
        return per, account

    def counted(self, rate, record):
        of = rate.get("aggregation", {}).get("of", "Value")
        if rate.get("aggregation", {}).get("function") == "unique_count":
            return D(0)
        found = field(record, of)
        if found is None or not re.fullmatch(r"[+-]?\d+(\.\d+)?", str(found)):
            raise Refused("no_rate")
        return D(str(found))

    def member(self, rate, record):
        of = rate.get("aggregation", {})
        if of.get("function") != "unique_count":
            return None
        found = field(record, of["of"])
        if found is None:
            raise Refused("no_rate")
        return str(found)

    def counter(self, group, rate, record):
        counting = rate.get("counting", {})
        restarts, local = counting.get("restarts", "period"), self.local(record["date"])
        starts = {
            "period": self.month(record),
            "day": (self.month(record), local.date()),
            "hour": (self.month(record), local.date(), local.hour),
            "record": record["id"],
            "never": None,
        }[restarts]
        by = tuple(field(record, name) for name in counting.get("by", []))
        return (group["name"], rate["name"], self.owner(counting, "per", record), starts, by)

    # What is counted

    def counts(self, rate, before, record):
        """The counter with the record in it: level, and what of the whole counter is rated."""
        of, counter = rate.get("aggregation", {}), dict(before)
        function, counted = of.get("function", "each"), self.counted(rate, record)
        counter["records"] += 1
        if function == "each":
            counter["rated"] = before["rated"] + rounded(rate, counted)
            return counter
        windows = dict(before.get("windows", {}))
        local = self.local(record["date"])
        window = {None: None, "day": local.date(), "hour": (local.date(), local.hour)}[of.get("within")]
        windows[window] = self.joined(function, windows.get(window), counted, record, rate)
        counter["windows"] = windows
        levels = [windows[each]["level"] for each in sorted(windows)] if of.get("within") else [windows[None]["level"]]
        level = {"sum": sum(levels), "max": max(levels), "latest": levels[-1]}[of.get("then") or "sum"]
        if function == "weighted_sum":
            start, end = self.month(record)
            level = over(level, seconds(start, end))
        counter["rated"] = rounded(rate, level)
        return counter

    def carry_over(self, key):
        """Begin a period with what the latest before it held: the level of a weighted sum, the members."""
        place, start = key[:3] + key[4:], key[3][0]
        earlier = [each for each in self.counters if each[:3] + each[4:] == place and each[3][0] < start]
        if earlier:
            held = self.counters[max(earlier, key=lambda each: each[3][0])].get("windows", {}).get(None)
            self.counters[key]["windows"] = {None: held and {**held, "level": None, "at": None}}

    def joined(self, function, before, counted, record, rate):
        before = before or {"level": None, "at": None, "members": frozenset(), "held": D(0)}
        level, at, members = before["level"], before["at"], before["members"]
        if function == "sum":
            level = (level or D(0)) + counted
        elif function == "count":
            level = (level or D(0)) + 1
        elif function == "max":
            level = counted if level is None else max(level, counted)
        elif function == "latest":
            level = counted if at is None or record["date"] >= at else level
        elif function == "unique_count":
            members = members | {self.member(rate, record)}
            level = D(len(members))
        elif function == "weighted_sum":
            level = times(before["held"], seconds(*self.month(record))) if level is None else level
            level += times(counted, seconds(record["date"], self.month(record)[1]))
        return {"level": level, "at": record["date"], "members": members, "held": before["held"] + counted}

    # What it costs

    def one(self, record):
        group, rate = self.match(record)
        key = self.counter(group, rate, record)
        if key not in self.counters and rate.get("aggregation", {}).get("carries_over"):
            self.carry_over(key)
        before = self.counters[key]
        after = self.counts(rate, before, record)
        limit = D(rate.get("free_units", 0))
        free = min(after["rated"], limit) - min(before["rated"], limit)
        quantity = after["rated"] - before["rated"]
        billable = quantity - free
        draws = self.drawn("units", group, rate, record, billable) if billable > 0 else []
        drawn = sum((draw["quantity"] for draw in draws if draw["kind"] == "draw"), D(0))
        paid_draws = sum((draw["amount"] for draw in draws), D(0))
        billable -= drawn
        after["position"] = before["position"] + billable
        places = int(group.get("amount_precision", 11))
        amount = self.amount(group, rate, record, before, after, billable, quantity, paid_draws, places)
        of_units = len(draws)
        credit = self.credit(group, rate, record, amount, after, draws)
        # What fills a bucket of money is owed itself, and is not paid from it.
        amount += to_places(sum((draw["amount"] for draw in draws[of_units:]), D(0)), places)
        self.counters[key] = after
        return {
            "rated_quantity": quantity,
            "free_quantity": free,
            "bucket_quantity": drawn,
            "credit": credit,
            "amount": amount - credit,
            "draws": draws,
        }

    def amount(self, group, rate, record, before, after, billable, quantity, paid_draws, places):
        model, factor = rate["model"], D(rate.get("factor", 1))
        function = rate.get("aggregation", {}).get("function", "each")
        chosen_by = None
        if "tier_by" in rate:
            owner = self.owner(rate.get("counting", {}), "per", record)
            chosen_by = self.totals["tier", group["name"], rate["name"], owner, self.month(record)]
        if model in TOTALLED:
            after["F"] = TOTALLED[model](rate, after["position"], chosen_by)
        if model in ("volume", "stairstep", "package") or function != "each":
            total = times(after["F"], factor) + paid_draws
            return to_places(total, places) - to_places(times(before["F"], factor), places)
        amount = (
            after["F"] - before["F"] if model in TOTALLED else self.by_record(rate, record, before, after, billable)
        )
        costs_nothing = amount is None
        amount = amount or D(0)
        if quantity > 0 and not costs_nothing:
            amount += D(rate.get("connect_fee", 0))
        if model != "pass_through":
            amount = times(amount, factor)
        if (billable > 0 or amount != 0) and not costs_nothing:
            amount = max(amount, D(rate["minimum_charge"])) if "minimum_charge" in rate and amount >= 0 else amount
            amount = min(amount, D(rate["maximum_charge"])) if "maximum_charge" in rate else amount
        return to_places(amount + paid_draws, places)

    def by_record(self, rate, record, before, after, billable):
        """What models cost that look at a record's own base; None for a record that is wholly free."""
        if rate["model"] == "fixed":
            return D(rate["price"])
        if rate["model"] == "matrix":
            values = [field(record, name) for name in rate["fields"]]
            listed = [price["price"] for price in rate["prices"] if price["values"] == values]
            if not listed and "default_price" not in rate:
                raise Refused("no_rate")
            return over(times(billable, D(listed[0] if listed else rate["default_price"])), D(rate.get("per", 1)))
        base = billable if rate.get("of") == "quantity" else record.get("amount")
        if base is None or (base < 0 and rate["model"] != "pass_through"):
            raise Refused("no_rate")
        if rate["model"] == "basis_points":
            return over(times(base, D(rate["points"])), 10000)
        if rate["model"] == "pass_through":
            by_unit = over(times(billable, D(rate.get("price", 0))), D(rate.get("per", 1)))
            return times(base, D(rate.get("factor", 1))) + D(rate.get("fixed", 0)) + by_unit
        after["base"] = before.get("base", D(0)) + base
        if rate["model"] == "graduated_percentage":
            after["F"] = sum(
                (
                    over(times(stretch, D(tier.get("percent", 0))), 100)
                    for tier, stretch in stretches(rate, after["base"])
                ),
                flats(rate, after["base"]),
            )
            return after["F"] - before["F"]
        return self.percentage(rate, before, after, base)

    def percentage(self, rate, before, after, base):
        records, most = int(rate.get("free_records", 0)), D(rate.get("free_amount", 0))
        total = after["base"]
        limits = []
        if records:
            after["free_total"] = total if after["records"] <= records else before.get("free_total", D(0))
            limits.append(after["free_total"])
        if most:
            limits.append(most)
        after["free"] = min([total, *limits]) if limits else D(0)
        taxed = base - (after["free"] - before.get("free", D(0)))
        spares = [after["records"] <= records] * bool(records) + [total < most] * bool(most)
        if limits and all(spares):
            return None
        return over(times(taxed, D(rate.get("percent", 0))), 100) + D(rate.get("fixed", 0))

    # What buckets give

    def serving(self, kind, group, rate, record):
        """The grants that serve a record, in the order in which they are drawn."""
        found = []
        for at, bucket in enumerate(self.plan.get("buckets", [])):
            named = bucket.get("usage_classes", []) or bucket.get("rates", [])
            is_named = rate["usage_class"] in bucket.get("usage_classes", []) or (
                f"{group['name']} / {rate['name']}" in bucket.get("rates", [])
            )
            if bucket.get("of", "units") != kind or (named and not is_named):
                continue
            start, end = self.window(bucket, record)
            if not holds(bucket.get("condition"), record) or not start <= record["date"] < end:
                continue
            grant = self.grant(bucket, self.owner(bucket, "shared", record), start, end)
            found.append(((int(bucket.get("priority", 100)), end, start, at), bucket, grant))
        return [(bucket, grant) for _, bucket, grant in sorted(found, key=lambda each: each[0])]

    def grant(self, bucket, owner, start, end):
        key = (bucket["name"], owner, start)
        if key not in self.grants:
            size = D(bucket.get("size", 0))
            if "follows" in bucket:
                size = to_places(
                    times(self.totals[bucket["name"], owner, start, end], D(bucket["follows"]["factor"])), 6
                )
            if bucket.get("grows"):
                size = times(size, sum(1 for account in self.services.values() if account == owner[1]))
            carried = self.carried(bucket, owner, start) if "rollover" in bucket else D(0)
            self.grants[key] = {"size": size, "granted": size + carried, "used": D(0), "refills": 0}
        return self.grants[key]

    def carried(self, bucket, owner, start):
        before = (start - timedelta(days=1)).replace(day=1)
        if before < self.since:
            return D(0)
        earlier = self.grant(bucket, owner, before, start)
        left = earlier["granted"] - earlier["used"]
        cap = bucket["rollover"].get("cap")
        own = earlier["size"] + earlier["refills"] * D(bucket.get("refill", {}).get("size", 0))
        left = min(left, own)  # what was carried is used first, and is lost after one grant
        return left if cap is None else min(left, D(cap))

    def drawn(self, kind, group, rate, record, wanted):
        """Take what the grants give. One that comes after another waits until that has been asked."""
        draws, waiting = [], self.serving(kind, group, rate, record)
        while wanted > 0:
            names = [bucket["name"] for bucket, _ in waiting]
            ready = [each for each in waiting if each[0].get("after") not in names]
            if not ready:
                break
            waiting.remove(ready[0])
            wanted -= self.take(*ready[0], wanted, draws)
        return draws

    def take(self, bucket, grant, wanted, draws):
        """What is left, then what fillings add."""
        taken = self.draw(bucket, grant, wanted, draws)
        refill = bucket.get("refill")
        if refill and taken < wanted:
            size, most = D(refill["size"]), refill.get("times")
            fillings = int(over(wanted - taken, size).to_integral_value(ROUND_CEILING))
            fillings = fillings if most is None else min(fillings, most - grant["refills"])
            if fillings > 0:
                grant["refills"] += fillings
                grant["granted"] += size * fillings
                draws.append(movement("refill", bucket, grant, size * fillings, D(refill.get("price", 0)) * fillings))
                taken += self.draw(bucket, grant, wanted - taken, draws)
        return taken

    def draw(self, bucket, grant, wanted, draws):
        quantity = min(wanted, grant["granted"] - grant["used"])
        if quantity > 0:
            cost = bucket_price(bucket, grant["used"] + quantity) - bucket_price(bucket, grant["used"])
            grant["used"] += quantity
            draws.append(movement("draw", bucket, grant, quantity, cost))
        return quantity

    def credit(self, group, rate, record, amount, after, draws):
        """What buckets of money pay of an amount, or get back of a negative one, latest grant first."""
        paid, credit = after.get("paid", D(0)), D(0)
        if amount > 0:
            paying = self.drawn("money", group, rate, record, amount)
            credit = sum((each["quantity"] for each in paying if each["kind"] == "draw"), D(0))
            draws += paying
        elif amount < 0:
            wanted = min(-amount, paid)
            for bucket, grant in reversed(self.serving("money", group, rate, record)):
                back = min(wanted, grant["used"])
                if back > 0:
                    grant["used"] -= back
                    wanted, credit = wanted - back, credit - back
                    draws.append(movement("give_back", bucket, grant, back, D(0)))
        after["paid"] = paid + credit
        return credit


def movement(kind, bucket, grant, quantity, cost):
    left = grant["granted"] - grant["used"]
    return {"kind": kind, "bucket": bucket["name"], "quantity": quantity, "amount": cost, "left": left}
