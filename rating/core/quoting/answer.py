"""A quote as one JSON object: every number and moment a text, every name as the document has it."""

from collections import defaultdict
from collections.abc import Iterable
from decimal import Decimal, localcontext
from typing import Any

from rating.core.costs import EXACT
from rating.core.money import minor_unit_decimals
from rating.core.plans.spec import Rate
from rating.core.quoting.pricing import Quote
from rating.core.quoting.values import moment_text, text_of
from rating.core.settling import Bill, Line, Statement, TaxAmount

Row = dict[str, Any]
ZERO = Decimal(0)
TIERED = frozenset({"graduated", "volume", "stairstep"})


def answer(quoted: Quote) -> Row:
    """What `quote --json` prints; its members are documented in `rating/README.md`."""
    with localcontext(EXACT):
        return {
            "charges": _charges(quoted),
            "exceptions": [
                {"id": quoted.records[row["udr_id"] - 1].id, "cause": row["cause"], "message": row["message"]}
                for row in quoted.refused.iter_rows(named=True)
            ],
            "statements": _statements(quoted),
            "buckets": _buckets(quoted),
            **_totals(quoted),
        }


def _charges(quoted: Quote) -> list[Row]:
    world = quoted.world
    draws: dict[tuple[int, int], list[Row]] = defaultdict(list)
    for row in quoted.priced.draws.iter_rows(named=True):
        draws[row["udr_id"], row["part"]].append(_draw(quoted, row))
    charges = []
    for row in quoted.priced.rated.sort("udr_id", "part").iter_rows(named=True):
        place = world.prices.rates[row["rate_key"]]
        service = world.services[row["service_id"] - 1]
        charges.append(
            {
                "id": quoted.records[row["udr_id"] - 1].id,
                "part": row["part"],
                "account": service.account.number,
                "service": service.service.name,
                "usage_class": place.rate.usage_class,
                "plan": place.version.plan.name,
                "group": place.group.name,
                "rate": place.rate.name,
                "zone": row["zone"],
                "tier": _tier(place.rate, row),
                "date": moment_text(row["date"]),
                "value": text_of(row["value"]),
                "rated_quantity": text_of(row["rated_quantity"]),
                "free_quantity": text_of(row["free_quantity"]),
                "bucket_quantity": text_of(row["bucket_quantity"]),
                "tier_position": text_of(row["tier_position"]),
                "draws": draws[row["udr_id"], row["part"]],
                "credit": text_of(row["credit"]),
                "amount": text_of(row["charged_amount"]),
                "cost": text_of(row["cost"]),
            }
        )
    return charges


def _draw(quoted: Quote, row: Row) -> Row:
    return {
        "bucket": quoted.world.bucket_names[row["bucket_id"]],
        "kind": row["kind"],
        "starts_at": moment_text(row["starts_at"]),
        "quantity": text_of(row["quantity"]),
        "amount": text_of(row["amount"]),
        "left": text_of(row["left"]),
    }


def _tier(rate: Rate, row: Row) -> int | None:
    """The tier in which the charge's last unit lies, 1 the first; None where it is not chosen by the counter."""
    if rate.model not in TIERED or rate.tier_by or row["tier_position"] is None:
        return None
    reached = row["tier_position"] + row["rated_quantity"] - row["free_quantity"] - row["bucket_quantity"]
    above = (place for place, tier in enumerate(rate.tiers, 1) if tier.up_to is None or reached <= tier.up_to)
    return next(above, None)


def _buckets(quoted: Quote) -> list[Row]:
    """The grants that were drawn on, by bucket, owner and time."""
    world = quoted.world
    grants = quoted.priced.standing.grants.sort("bucket_id", "account_id", "service_id", "starts_at")
    return [
        {
            "bucket": quoted.world.bucket_names[row["bucket_id"]],
            "account": world.accounts[row["account_id"] - 1].number,
            "service": world.services[row["service_id"] - 1].service.name if row["service_id"] else None,
            "starts_at": moment_text(row["starts_at"]),
            "ends_at": moment_text(row["ends_at"]),
            "granted": text_of(row["granted"]),
            "carried": text_of(row["carried"]),
            "refills": row["refills"],
            "used": text_of(row["used"]),
            "left": text_of(row["granted"] - row["used"]),
        }
        for row in grants.iter_rows(named=True)
    ]


def _statements(quoted: Quote) -> list[Row]:
    owners = dict(zip(quoted.periods["period_id"], quoted.periods["account_id"], strict=True))
    return [
        _statement(quoted, quoted.world.accounts[owners[bill.period_id] - 1].number, bill, statement)
        for bill, statement in zip(quoted.bills, quoted.statements, strict=True)
    ]


def _statement(quoted: Quote, number: str, bill: Bill, statement: Statement) -> Row:
    return {
        "account": number,
        "currency": bill.currency,
        "starts_at": moment_text(bill.starts_at),
        "ends_at": moment_text(bill.ends_at),
        "lines": [_line(quoted, bill, line) for line in statement.lines],
        "tax": [_tax(bill, each) for each in statement.tax_amounts],
        "amount": text_of(statement.amount),
        "subtotal": _minor(bill.currency, statement.subtotal),
        "tax_total": _minor(bill.currency, statement.tax_total),
        "total": _minor(bill.currency, statement.total),
        "faults": list(statement.faults),
    }


def _line(quoted: Quote, bill: Bill, line: Line) -> Row:
    world = quoted.world
    return {
        "kind": line.kind,
        "usage_class": world.classes[line.usage_class_id - 1].name if line.usage_class_id else None,
        "plan": world.setting.plans[line.plan_id - 1].name if line.plan_id else None,
        "group": line.group or None,
        "rate": line.rate or None,
        "tier": line.tier,
        "commitment": line.commitment or None,
        "service": world.services[line.service_id - 1].service.name if line.service_id else None,
        "records": line.record_count,
        "quantity": text_of(line.quantity),
        "rated_quantity": text_of(line.rated_quantity),
        "free_quantity": text_of(line.free_quantity),
        "bucket_quantity": text_of(line.bucket_quantity),
        "credit": text_of(line.credit),
        "amount": text_of(line.amount),
        "line_amount": _minor(bill.currency, line.line_amount),
    }


def _tax(bill: Bill, tax: TaxAmount) -> Row:
    return {
        "line": tax.line,
        "code": tax.code,
        "part": tax.part,
        "percent": text_of(tax.percent),
        "jurisdiction": tax.jurisdiction,
        "category": tax.category,
        "base": _minor(bill.currency, tax.base),
        "amount": _minor(bill.currency, tax.amount),
    }


def _totals(quoted: Quote) -> Row:
    """Totals by currency, and the totals where there is only one."""
    sums: dict[str, list[Decimal]] = {}
    for bill, statement in zip(quoted.bills, quoted.statements, strict=True):
        own = (statement.amount, statement.subtotal, statement.tax_total, statement.total)
        sums[bill.currency] = [a + b for a, b in zip(sums.get(bill.currency, [ZERO] * 4), own, strict=True)]
    if not sums:
        sums = {quoted.world.setting.plans[0].currency: [ZERO] * 4}
    names = ("subtotal", "tax", "total")
    totals = [
        {"currency": currency, "amount": text_of(amount)}
        | {name: _minor(currency, each) for name, each in zip(names, rounded, strict=True)}
        for currency, (amount, *rounded) in sorted(sums.items())
    ]
    return {"totals": totals[0] if len(totals) == 1 else None, "totals_by_currency": totals}


def _minor(currency: str, amount: Decimal) -> str:
    """Money with the decimals of its currency."""
    return format(amount.quantize(Decimal(1).scaleb(-minor_unit_decimals(currency)), context=EXACT), "f")


def faulty(faults: Iterable[Any]) -> Row:
    """What is printed instead where document or usage cannot be read."""
    return {"faults": [{"pointer": fault.pointer, "message": fault.message} for fault in faults]}
