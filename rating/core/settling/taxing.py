"""Tax of statement lines: codes by category and jurisdiction, their parts, and where it is rounded."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, localcontext
from functools import cached_property
from typing import Literal, Protocol

from rating.core.costs import EXACT, round_away
from rating.core.money import minor_unit_decimals

from .bills import ZERO


@dataclass(frozen=True)
class TaxPart:
    """A percentage of the base; if it is compound, of the base and the parts before it."""

    name: str
    percent: Decimal
    is_compound: bool = False


@dataclass(frozen=True)
class TaxCode:
    """The parts, in their order, that are owed on a category in a jurisdiction from `starts_at` to before `ends_at`."""

    name: str
    category: str
    jurisdiction: str
    parts: tuple[TaxPart, ...]
    starts_at: datetime | None = None
    ends_at: datetime | None = None

    def is_valid_at(self, moment: datetime) -> bool:
        """Whether the code holds at the moment."""
        return (self.starts_at is None or self.starts_at <= moment) and (self.ends_at is None or moment < self.ends_at)


@dataclass(frozen=True)
class TaxSettings:
    """How tax is reckoned.

    rounding: each part on each line by itself, or once over all lines of a jurisdiction whose codes have like parts.
    is_inclusive: amounts contain the tax.
    mixed_category: of a commitment's line that is about usage of several categories; None: such a line is a fault.
    """

    rounding: Literal["line", "total"] = "line"
    is_inclusive: bool = False
    mixed_category: str | None = None


@dataclass(frozen=True)
class TaxContext:
    """Who is taxed, in which currency. jurisdiction: the account's, which says how its tax is reckoned; "" for none."""

    currency: str
    is_exempt: bool = False
    exempt_categories: frozenset[str] = frozenset()
    jurisdiction: str = ""


@dataclass(frozen=True)
class TaxableLine:
    """What tax must know of a line. number: its place in the statement, 1 the first. amount: in minor units.

    at: the moment whose codes hold: of an adjustment, that of the statement that it adjusts. context: who was taxed
    there; None: as all of the statement is. mixed_categories: between which a category could not be told, "" for none.
    """

    number: int
    name: str
    category: str | None  # "": not taxed; None: could not be told
    jurisdiction: str
    amount: Decimal
    at: datetime
    context: TaxContext | None = None
    mixed_categories: tuple[str, ...] = ()


@dataclass(frozen=True)
class TaxAmount:
    """A part of a code on a line. base: what the percentage is taken of; amount: in minor units."""

    line: int
    code: str
    part: str
    percent: Decimal
    jurisdiction: str
    category: str
    base: Decimal
    amount: Decimal


@dataclass(frozen=True)
class TaxTotal:
    """A part of tax over a whole statement."""

    jurisdiction: str
    part: str
    percent: Decimal
    base: Decimal
    amount: Decimal


@dataclass(frozen=True)
class Taxed:
    """The tax of a statement. faults: why some lines could not be taxed, in words; nothing is guessed for them."""

    amounts: tuple[TaxAmount, ...]
    faults: tuple[str, ...] = ()
    is_inclusive: bool = False


class TaxEngine(Protocol):
    """Who can tell the tax of a statement: the table below, or a service outside that stands in for it."""

    def tax(self, lines: Sequence[TaxableLine], *, context: TaxContext) -> Taxed:
        """The tax of every line, in minor units of the context's currency."""
        ...


@dataclass(frozen=True)
class TableTax:
    """Tax by a table of codes.

    A line is taxed by the code of its category and jurisdiction that holds at the line's moment. Where codes of the
    jurisdiction exist but none for the category, that is a fault; where there are none at all, or the line has no
    category or jurisdiction, it is not taxed. Credits and adjustments below zero are taxed below zero.
    """

    codes: tuple[TaxCode, ...]
    settings: TaxSettings = TaxSettings()

    def tax(self, lines: Sequence[TaxableLine], *, context: TaxContext) -> Taxed:
        """The tax of every line; order of the amounts: by line, then by the part's place in its code."""
        coded: dict[tuple[str, tuple[TaxPart, ...]], list[tuple[TaxableLine, TaxCode]]] = defaultdict(list)
        faults: list[str] = []
        for line in lines:
            category = self.settings.mixed_category if line.category is None else line.category
            whose = line.context or context
            if whose.is_exempt or category in whose.exempt_categories:
                continue
            if category != "" and line.jurisdiction in self._codes:
                offered = self._codes[line.jurisdiction].get(category, [])
                found = [code for code in offered if code.is_valid_at(line.at)]
                if len(found) == 1:
                    coded[line.jurisdiction, found[0].parts].append((line, found[0]))
                else:
                    faults.append(_fault(line, category, found, context))
        amounts: list[TaxAmount] = []
        with localcontext(EXACT):
            for taxed in coded.values():
                for together in [[each] for each in taxed] if self.settings.rounding == "line" else [taxed]:
                    amounts.extend(_amounts(together, context.currency, self.settings.is_inclusive))
        # Stable: the parts of a line stay in the order of their code.
        return Taxed(tuple(sorted(amounts, key=lambda each: each.line)), tuple(faults), self.settings.is_inclusive)

    @cached_property
    def _codes(self) -> dict[str, dict[str | None, list[TaxCode]]]:
        """By jurisdiction, then category."""
        found: dict[str, dict[str | None, list[TaxCode]]] = defaultdict(lambda: defaultdict(list))
        for code in self.codes:
            if code.jurisdiction:
                found[code.jurisdiction][code.category].append(code)
        return dict(found)


def tax_totals(amounts: Iterable[TaxAmount]) -> tuple[TaxTotal, ...]:
    """The tax of all lines together, by jurisdiction, part and percentage; bases of unlike sign cancel."""
    bases: dict[tuple[str, str, Decimal], Decimal] = defaultdict(Decimal)
    taxes: dict[tuple[str, str, Decimal], Decimal] = defaultdict(Decimal)
    with localcontext(EXACT):
        for each in amounts:
            key = (each.jurisdiction, each.part, each.percent)
            bases[key] += each.base
            taxes[key] += each.amount
    return tuple(TaxTotal(*key, base=bases[key], amount=taxes[key]) for key in sorted(bases))


def _fault(line: TaxableLine, category: str | None, found: Sequence[TaxCode], context: TaxContext) -> str:
    where = f"Line {line.number} ({line.name})"
    if category is None:
        return f"{where} is about usage of several tax categories{_named(line)}. {_remedy(context)}"
    if found:
        names = ", ".join(sorted(code.name for code in found))
        return (
            f"{where} has several tax codes for category “{category}” in {line.jurisdiction}: {names}. End all but one."
        )
    return (
        f"{where} has no tax code: none for category “{category}” in jurisdiction {line.jurisdiction} is valid at "
        f"{line.at:%Y-%m-%d %H:%M} UTC. Add one (of 0 percent where nothing is owed)."
    )


def _named(line: TaxableLine) -> str:
    names = [f"“{each}”" if each else "none (a class without one)" for each in line.mixed_categories]
    return f": {', '.join(names)}" if names else ""


def _remedy(context: TaxContext) -> str:
    """How a commitment of several categories gets one: the account's jurisdiction tells it, wherever a service is."""
    if context.jurisdiction:
        told = f"Set the “Mixed category” of jurisdiction {context.jurisdiction}"
    else:
        told = "Give the account a jurisdiction with a “Mixed category”"
    return f"{told}, or let the commitment name usage classes of one category."


def _amounts(coded: Sequence[tuple[TaxableLine, TaxCode]], currency: str, is_inclusive: bool) -> Iterable[TaxAmount]:
    """Tax of lines that are rounded together, handed out to them so that it adds up; their codes have the same parts.

    Exclusive: part = (base + parts before it, if it is compound) x percent / 100, each rounded to the minor unit and
    compounded as printed. Inclusive: part = amount x its effective rate / (1 + all effective rates); the base is what
    the rounded parts leave of the amount, so that base and parts make the amount.
    """
    places = minor_unit_decimals(currency)
    lines = [line for line, _ in coded]
    parts = coded[0][1].parts
    total = sum((line.amount for line in lines), ZERO)
    taxes = _inclusive(parts, total, places) if is_inclusive else _exclusive(parts, total, places)
    shares = [_handed_out(tax, lines, total, places) for tax in taxes]
    for place, (line, code) in enumerate(coded):
        own = [share[place] for share in shares]
        base = line.amount - sum(own, ZERO) if is_inclusive else line.amount
        for nth, part in enumerate(parts):
            yield TaxAmount(
                line=line.number,
                code=code.name,
                part=part.name,
                percent=part.percent,
                jurisdiction=code.jurisdiction,
                category=code.category,
                base=base + sum(own[:nth], ZERO) if part.is_compound else base,
                amount=own[nth],
            )


def _exclusive(parts: Sequence[TaxPart], base: Decimal, places: int) -> list[Decimal]:
    taxes: list[Decimal] = []
    for part in parts:
        bears_on = base + sum(taxes, ZERO) if part.is_compound else base
        taxes.append(round_away(bears_on * part.percent / 100, places))
    return taxes


def _inclusive(parts: Sequence[TaxPart], amount: Decimal, places: int) -> list[Decimal]:
    rates: list[Decimal] = []
    for part in parts:
        bears_on = 1 + sum(rates, ZERO) if part.is_compound else Decimal(1)
        rates.append(bears_on * part.percent / 100)
    # One quotient of few digits, settled far beyond the minor unit before it is rounded: no tie is made or missed.
    return [round_away(amount * rate / (1 + sum(rates, ZERO)), places) for rate in rates]


def _handed_out(tax: Decimal, lines: Sequence[TaxableLine], total: Decimal, places: int) -> list[Decimal]:
    """Shares of the lines in a tax: each the rounded share of all lines up to it, less what those before it got."""
    shares: list[Decimal] = []
    running = given = ZERO
    for line in lines:
        running += line.amount
        share = (round_away(tax * running / total, places) if total else ZERO) - given
        shares.append(share)
        given += share
    return shares
