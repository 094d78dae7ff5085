"""The chapters of an explanation that say how a charge is taxed and on which statement line it stands."""

from collections.abc import Iterator
from datetime import timedelta

from django.db.models import Q, QuerySet

from rating.core.costs.prices import plain
from rating.core.explaining import About, Chapter, Fact, Picture
from rating.models import (
    BillingPeriod,
    Charge,
    ClassTaxCategory,
    Jurisdiction,
    StatementLine,
    StatementTax,
    TaxCode,
    TaxExemption,
)
from rating.models import Statement as StatementRow

from .asking import Asked, in_utc

INSTANT = timedelta(microseconds=1)
MOST_LINES = 20


def statement_chapter(asked: Asked, billed: Charge, picture: Picture | None) -> Chapter:
    """Where the charge is billed: a line of an issued statement, or of the draft. billed: itself, or its reversal."""
    period = billed.period
    statement = StatementRow.objects.filter(period=period).first()
    told: list[Fact] = []
    if period.pk != billed.counting_period_id:
        counted = BillingPeriod.objects.get(pk=billed.counting_period_id)
        text = f"It counts in {counted}, which was closed when it was written; {period} bills it as an adjustment."
        told.append(Fact("adjustment", text, about=About("period", counted.pk)))
    about = About("statement", period.pk)
    if statement is None:
        where = f"{asked.priced.group.name} / {asked.priced.rate.name}" if asked.priced else str(billed.rate)
        text = f"The period {period} is open. The draft of its statement has it in the line “{where}”{_tiers(picture)}."
        told.append(Fact("draft", text, about=about))
        return Chapter("statement", "The statement", tuple(told))
    text = f"Statement {statement} of {period} was issued at {in_utc(statement.issued_at)}."
    told.append(Fact("issued", text, about=about))
    told += [_line_fact(line) for line in _lines(statement, billed)[:MOST_LINES]]
    return Chapter("statement", "The statement", tuple(told))


def _tiers(picture: Picture | None) -> str:
    places = [bar.place for bar in picture.record] if picture else []
    if not places:
        return ""
    return f", tier {places[0]}" if len(places) == 1 else f", tiers {places[0]} to {places[-1]}"


def _lines(statement: StatementRow, billed: Charge) -> QuerySet[StatementLine]:
    """The lines that the charge may stand on: of its class and rate, and of its kind."""
    own = Q(usage_class_id=billed.usage_class_id, plan_id=billed.plan_id, rate_id=billed.rate_id)
    is_late = billed.date < billed.period.starts_at or billed.counting_period_id != billed.period_id
    kind = StatementLine.Kind.ADJUSTMENT if is_late else StatementLine.Kind.USAGE
    return StatementLine.objects.filter(own, statement=statement, kind=kind).order_by("position")


def _line_fact(line: StatementLine) -> Fact:
    corrected = f", a correction of statement {line.adjusts}" if line.adjusts else ""
    s = "" if line.record_count == 1 else "s"
    text = (
        f"Line {line.position}, “{line.description}”{corrected}: {line.record_count:,} record{s}, "
        f"{plain(line.rated_quantity)} rated, {plain(line.amount)} exactly, {plain(line.line_amount)} billed."
    )
    return Fact("line", text, about=About("statement_line", line.pk))


def tax_chapter(asked: Asked, billed: Charge) -> Chapter:
    """The tax of its line: as it was issued, or the code that holds at the end of the period."""
    statement = StatementRow.objects.filter(period=billed.period).first()
    if statement is None:
        return Chapter("tax", "Tax", tuple(_expected(billed)))
    lines = list(_lines(statement, billed)[:MOST_LINES])
    taxes = list(
        StatementTax.objects.filter(statement=statement, line__in=[line.position for line in lines]).order_by(
            "position"
        )
    )
    told = [
        Fact(
            "tax",
            f"{tax.code}: {tax.name}, {plain(tax.percent)} % of {plain(tax.base)} on line {tax.line}: "
            f"{plain(tax.amount)}.",
        )
        for tax in taxes
    ]
    bare = {line.position for line in lines} - {tax.line for tax in taxes}
    told += dict.fromkeys(_untaxed(billed, line) for line in lines if line.position in bare)
    return Chapter("tax", "Tax", tuple(told) or (Fact("none", "The statement has no line for it, so no tax either."),))


def _untaxed(billed: Charge, line: StatementLine) -> Fact:
    """Why an issued line bears no tax: what the line itself says, else what was set for its moment."""
    no_tax = "Its line bears no tax"
    if not line.jurisdiction:
        return Fact("none", f"{no_tax}: it has no jurisdiction, as neither the service nor the account had one.")
    if not line.tax_category:
        return Fact("none", f"{no_tax}: it has no tax category, as class “{billed.usage_class}” had none.")
    # A correction is taxed as of the statement that it corrects.
    as_of = StatementRow.objects.filter(number=int(line.adjusts)).first() if line.adjusts else None
    exempt = _exemption(billed, line.tax_category, as_of.period if as_of else billed.period)
    if exempt is not None:
        return Fact("exempt", f"{no_tax}: the account is exempt ({exempt}).", about=About("account", billed.account_id))
    if not TaxCode.objects.filter(jurisdiction__name=line.jurisdiction).exists():
        return Fact("none", f"{no_tax}: {line.jurisdiction} has no tax codes.")
    why = f"category “{line.tax_category}” in {line.jurisdiction}, by what was set when it was issued"
    return Fact("none", f"{no_tax}: none was owed for {why}.")


def _valid_at_end(period: BillingPeriod) -> Q:
    """What holds at the last moment of a period, as of which tax is judged."""
    at = period.ends_at - INSTANT
    return Q(starts_at__lte=at) & (Q(ends_at__isnull=True) | Q(ends_at__gt=at))


def _exemption(billed: Charge, category: str, period: BillingPeriod) -> TaxExemption | None:
    """What frees the account of the tax of a category in a period."""
    valid = TaxExemption.objects.filter(_valid_at_end(period), account=billed.account_id)
    return valid.filter(category__in=("", category)).first()


def _expected(billed: Charge) -> Iterator[Fact]:
    place = billed.service.jurisdiction or billed.account.jurisdiction
    category = ClassTaxCategory.objects.filter(usage_class=billed.usage_class_id).values_list("category", flat=True)
    if place is None:
        yield Fact("none", "Neither the service nor the account has a jurisdiction, so that no tax is reckoned.")
        return
    whose = "service" if billed.service.jurisdiction_id else "account"
    yield Fact("jurisdiction", f"The {whose} is taxed in {place}.", about=About("jurisdiction", place.pk))
    if not category:
        yield Fact("none", f"Class “{billed.usage_class}” has no tax category, so that it is not taxed.")
        return
    exempt = _exemption(billed, category[0], billed.period)
    if exempt is not None:
        yield Fact("exempt", f"The account bears no tax on it: {exempt}.", about=About("account", billed.account_id))
        return
    yield from _codes(place, category[0], _valid_at_end(billed.period))


def _codes(place: Jurisdiction, category: str, is_valid: Q) -> Iterator[Fact]:
    codes = TaxCode.objects.filter(is_valid, jurisdiction=place, category=category).prefetch_related("parts")
    for code in codes:
        parts = ", ".join(
            f"{part.name} {plain(part.percent)} %{' on top of those before' if part.is_compound else ''}"
            for part in sorted(code.parts.all(), key=lambda part: part.position)
        )
        where = "prices contain it" if place.prices_include_tax else "it is added"
        text = f"Category “{category}” is taxed by {code}: {parts}; {where}, rounded by {place.get_rounding_display()}."
        yield Fact("code", text, about=About("tax_code", code.pk))
    if not codes:
        if place.tax_codes.exists():
            yield Fact("missing", f"No tax code of {place} for category “{category}” holds at the end of the period.")
        else:
            yield Fact("none", f"{place} has no tax codes, so that no tax is reckoned.")
