"""What periods come to: their charges, subscriptions and taxes gathered, and settled into statements."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

import polars as pl
from django.db.models import Q, prefetch_related_objects

from mediation.models import UsageClass
from rating import selectors, store
from rating.core.settling import (
    Adjusted,
    Bill,
    Statement,
    Subscription,
    TableTax,
    TaxedUsage,
    TaxEngine,
    TaxPart,
    TaxSettings,
    name_of,
    settle,
)
from rating.core.settling import TaxCode as Code
from rating.core.tariffs import PriceList
from rating.models import (
    BillingPeriod,
    ClassTaxCategory,
    Jurisdiction,
    StatementLine,
    StatementTax,
    TaxCode,
    TaxExemption,
)
from rating.models import Statement as StatementRow

INSTANT = timedelta(microseconds=1)

# An outside tax service that stands in for the tables of tax codes; the roof puts it here where the settings name one.
TAX_ENGINES: list[TaxEngine] = []


@dataclass(frozen=True)
class Sheet:
    """A period's statement as people read it. number: empty while it is a draft.

    faults: why it could not be closed; notices: what may not be meant, and keeps it from nothing. None once closed.
    """

    period: BillingPeriod
    number: str
    currency: str
    lines: list[StatementLine]
    taxes: list[StatementTax]
    amount: Decimal
    subtotal: Decimal
    tax_total: Decimal
    total: Decimal
    faults: tuple[str, ...] = ()
    notices: tuple[str, ...] = ()


def statement_of(*, period: BillingPeriod) -> Sheet:
    """The statement of a period (with its account): as it stands while open, as it was issued once closed."""
    issued = selectors.issued_statement(period)
    if issued is not None:
        return Sheet(
            period=period,
            number=str(issued),
            currency=issued.currency,
            lines=list(issued.lines.all()),
            taxes=list(issued.taxes.all()),
            amount=issued.amount,
            subtotal=issued.subtotal,
            tax_total=issued.tax_total,
            total=issued.total,
        )
    prices = store.book().prices
    [(bill, draft)] = drafted(periods=[period], prices=prices)
    lines = lines_of(draft, prices=prices)
    prefetch_related_objects(lines, "usage_class", "plan", "rate", "service")
    return Sheet(
        period=period,
        number="",
        currency=bill.currency,
        lines=lines,
        taxes=taxes_of(draft),
        amount=draft.amount,
        subtotal=draft.subtotal,
        tax_total=draft.tax_total,
        total=draft.total,
        faults=draft.faults,
        notices=_notices([(bill, draft)]),
    )


def tax_notices(*, periods: Sequence[BillingPeriod]) -> tuple[str, ...]:
    """What may not be meant about the tax of open periods (with their accounts): each usage class without category."""
    return _notices(drafted(periods=periods, prices=store.book().prices))


def _notices(drafts: Iterable[tuple[Bill, Statement]]) -> tuple[str, ...]:
    """The classes whose lines bear no tax, for want of a category alone, where the jurisdiction has tax codes."""
    if TAX_ENGINES:
        return ()
    coded = set(TaxCode.objects.values_list("jurisdiction__name", flat=True))
    untaxed = {
        line.usage_class_id
        for bill, draft in drafts
        for line in draft.lines
        if line.kind == "usage" and line.tax_category == "" and line.jurisdiction in coded and not bill.is_tax_exempt
        if line.usage_class_id is not None
    }
    return tuple(
        f"Usage class {name} has no tax category: its lines bear no tax. Set one under Tax categories if that is not "
        "meant."
        for name in UsageClass.objects.filter(pk__in=untaxed).order_by("name").values_list("name", flat=True)
    )


def drafted(*, periods: Sequence[BillingPeriod], prices: PriceList) -> list[tuple[Bill, Statement]]:
    """Periods (with their accounts) with what they come to as their charges and `prices` stand."""
    charges = store.billed_charges([period.pk for period in periods], prices)
    categories = dict(ClassTaxCategory.objects.values_list("usage_class_id", "category"))
    found: dict[int, tuple[Bill, Statement]] = {}
    for tax, bills in _by_tax(_bills(periods, charges)):
        settled = settle(charges, bills=bills, prices=prices, categories=categories, tax=tax)
        found.update({bill.period_id: (bill, draft) for bill, draft in zip(bills, settled, strict=True)})
    return [found[period.pk] for period in periods]


def _bills(periods: Sequence[BillingPeriod], charges: pl.DataFrame) -> list[tuple[Bill, Jurisdiction | None]]:
    accounts = {period.account_id: period.account for period in periods}
    subscriptions = defaultdict(list)
    for account_id, subscription in store.subscriptions_of(list(accounts)):
        subscriptions[account_id].append(subscription)
    exemptions = defaultdict(list)
    for exemption in TaxExemption.objects.filter(account__in=accounts):
        exemptions[exemption.account_id].append(exemption)
    adjusted = _adjusted(charges, exemptions)
    jurisdictions = Jurisdiction.objects.in_bulk()
    return [
        (
            _bill(
                period,
                subscriptions[period.account_id],
                exemptions[period.account_id],
                adjusted[period.account_id],
                jurisdiction,
            ),
            jurisdiction,
        )
        for period in periods
        for jurisdiction in [jurisdictions.get(period.account.jurisdiction_id)]
    ]


def _bill(
    period: BillingPeriod,
    subscriptions: Sequence[Subscription],
    exemptions: Iterable[TaxExemption],
    adjusted: dict[str, Adjusted],
    jurisdiction: Jurisdiction | None,
) -> Bill:
    is_exempt, categories = _exempt_at(exemptions, period.ends_at)
    return Bill(
        period_id=period.pk,
        currency=period.account.currency,
        time_zone=period.account.time_zone,
        starts_at=period.starts_at,
        ends_at=period.ends_at,
        subscriptions=tuple(subscriptions),
        jurisdiction=jurisdiction.name if jurisdiction else "",
        is_tax_exempt=is_exempt,
        exempt_categories=categories,
        adjusted=adjusted,
    )


def _exempt_at(exemptions: Iterable[TaxExemption], ends_at: datetime) -> tuple[bool, frozenset[str]]:
    """Whether no tax is borne at all, and the categories of which none is, at the last moment before `ends_at`."""
    valid = {
        each.category
        for each in exemptions
        if each.starts_at < ends_at and (each.ends_at is None or each.ends_at >= ends_at)
    }
    return "" in valid, frozenset(valid - {""})


def _adjusted(charges: pl.DataFrame, exemptions: dict[int, list[TaxExemption]]) -> dict[int, dict[str, Adjusted]]:
    """The issued statements that charges correct, with how they were taxed, by account and number."""
    found: dict[int, dict[str, Adjusted]] = defaultdict(dict)
    numbers = [int(number) for number in charges["adjusts"].drop_nulls().unique().to_list()]
    if not numbers:
        return found
    issued = list(StatementRow.objects.filter(number__in=numbers).select_related("period"))
    usage = _taxed_usage(issued)
    for statement in issued:
        period = statement.period
        found[period.account_id][str(statement)] = Adjusted(
            period.ends_at - INSTANT,
            *_exempt_at(exemptions[period.account_id], period.ends_at),
            usage=tuple(usage[str(statement)]),
        )
    return found


def _taxed_usage(statements: Sequence[StatementRow]) -> dict[str, set[TaxedUsage]]:
    """Where and as what statements taxed usage, and what has corrected them since, by the number of the statement."""
    own = Q(statement__in=statements, kind=StatementLine.Kind.USAGE)
    since = Q(adjusts__in=[str(each) for each in statements], kind=StatementLine.Kind.ADJUSTMENT)
    accounts = {each.period.account_id for each in statements}
    found: dict[str, set[TaxedUsage]] = defaultdict(set)
    lines = StatementLine.objects.filter(own | since, statement__period__account__in=accounts)
    for line in lines.select_related("statement"):
        taxed = TaxedUsage(line.usage_class_id, line.rate_id, line.jurisdiction, line.tax_category)
        found[line.adjusts or str(line.statement)].add(taxed)
    return found


def _by_tax(
    bills: Iterable[tuple[Bill, Jurisdiction | None]],
) -> Iterable[tuple[TaxEngine | None, list[Bill]]]:
    """The bills that one engine taxes: tables differ by how the account's jurisdiction reckons."""
    if TAX_ENGINES:
        return [(TAX_ENGINES[0], [bill for bill, _ in bills])]
    codes = _codes()
    groups: dict[TaxSettings, list[Bill]] = defaultdict(list)
    for bill, jurisdiction in bills:
        groups[_settings(jurisdiction)].append(bill)
    return [(TableTax(codes, settings), own) for settings, own in groups.items()]


def _settings(jurisdiction: Jurisdiction | None) -> TaxSettings:
    if jurisdiction is None:
        return TaxSettings()
    return TaxSettings(
        rounding="total" if jurisdiction.rounding == Jurisdiction.Rounding.TOTAL else "line",
        is_inclusive=jurisdiction.prices_include_tax,
        mixed_category=jurisdiction.mixed_category or None,
    )


def _codes() -> tuple[Code, ...]:
    return tuple(
        Code(
            name=code.name,
            category=code.category,
            jurisdiction=code.jurisdiction.name,
            parts=tuple(
                TaxPart(part.name, part.percent, part.is_compound)
                for part in sorted(code.parts.all(), key=lambda part: part.position)
            ),
            starts_at=code.starts_at,
            ends_at=code.ends_at,
        )
        for code in TaxCode.objects.select_related("jurisdiction").prefetch_related("parts").order_by("pk")
    )


def lines_of(draft: Statement, *, prices: PriceList, statement: StatementRow | None = None) -> list[StatementLine]:
    """The lines of a settled statement as rows, saved or not. prices: those it was drafted by."""
    return [
        StatementLine(
            statement=statement,
            position=position,
            kind=line.kind,
            description=name_of(line),
            plan_id=line.plan_id,
            usage_class_id=line.usage_class_id,
            rate_id=_rate_id(prices, line.rate_key),
            service_id=line.service_id,
            tier=line.tier,
            tier_above=line.tier_above,
            tier_up_to=line.tier_up_to,
            commitment=line.commitment,
            adjusts=line.adjusts or "",
            jurisdiction=line.jurisdiction,
            tax_category=line.tax_category or "",
            record_count=line.record_count,
            quantity=line.quantity,
            rated_quantity=line.rated_quantity,
            free_quantity=line.free_quantity,
            bucket_quantity=line.bucket_quantity,
            credit=line.credit,
            cost=line.cost,
            amount=line.amount,
            line_amount=line.line_amount,
        )
        for position, line in enumerate(draft.lines, start=1)
    ]


def _rate_id(prices: PriceList, rate_key: int | None) -> int | None:
    return None if rate_key is None else prices.rates[rate_key].rate_id


def taxes_of(draft: Statement, *, statement: StatementRow | None = None) -> list[StatementTax]:
    """The taxes of a settled statement as rows, saved or not."""
    return [
        StatementTax(
            statement=statement,
            position=position,
            line=each.line,
            jurisdiction=each.jurisdiction,
            category=each.category,
            code=each.code,
            name=each.part,
            percent=each.percent,
            base=each.base,
            amount=each.amount,
        )
        for position, each in enumerate(draft.tax_amounts, start=1)
    ]
