"""Tax of statement lines: codes, parts on one another, both roundings, prices with and without it."""

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rating.core.settling import (
    Adjusted,
    Bill,
    TableTax,
    TaxableLine,
    TaxCode,
    TaxContext,
    Taxed,
    TaxedUsage,
    TaxPart,
    TaxSettings,
    settle,
    tax_totals,
)

from .test_settling import PER_UNIT, charges, listed

D = Decimal
MAY = datetime(2026, 5, 1, tzinfo=UTC)
CONTEXT = TaxContext("EUR")


def parts(*percents, compound=()):
    return tuple(TaxPart(f"part {n}", D(percent), n in compound) for n, percent in enumerate(percents))


def code(*percents, category="usage", jurisdiction="AT", compound=(), **validity):
    return TaxCode(
        f"{jurisdiction} {category}", category, jurisdiction, parts(*percents, compound=compound), **validity
    )


def lines(*amounts, category="usage", jurisdiction="AT"):
    return [
        TaxableLine(n, f"line {n}", category, jurisdiction, D(amount), MAY) for n, amount in enumerate(amounts, start=1)
    ]


def total(taxed):
    return sum(each.amount for each in taxed.amounts)


@pytest.mark.parametrize(
    ("case", "taxable", "codes", "expected"),
    [
        ("fp-tax-01", lines("100"), [code("10")], "10"),
        ("fp-taxm-01 each part by itself on the same base", lines("100"), [code("8", "2")], "10"),
        ("fp-taxd-01 after a discount", lines("90"), [code("10")], "9"),
        ("lago-tax-01 after a coupon", lines("95.00"), [code("10")], "9.50"),
        ("lago-tax-06", lines("10.00"), [code("12", "5")], "1.70"),
        ("lago-tax-07", lines("10.00"), [code("12")], "1.20"),
        ("mt-tax-01", lines("100.00"), [code("15")], "15.00"),
        ("mt-wtax-01", lines("100"), [code("19")], "19"),
        ("mt-wtax-02 the second part bears on the first", lines("100"), [code("5", "7", compound=[1])], "12.35"),
        ("side by side they do not", lines("100"), [code("5", "7")], "12"),
        ("a half away from zero", lines("0.50"), [code("1")], "0.01"),
        ("an adjustment below zero", lines("-0.50"), [code("1")], "-0.01"),
        ("five places of percents", lines("100"), [code("9.97500")], "9.98"),
        ("nothing owed is told by a code of nothing", lines("100"), [code("0")], "0"),
    ],
)
def test_worked_taxes(case, taxable, codes, expected):
    taxed = TableTax(tuple(codes)).tax(taxable, context=CONTEXT)
    assert (total(taxed), taxed.faults) == (D(expected), ())


def test_lines_of_several_rates_are_taxed_by_their_own():
    """mt-tax-11: 100.00 and 50.00 at 20 percent, 80.00 at 5."""
    taxable = [*lines("100.00", "50.00"), TaxableLine(3, "books", "books", "AT", D("80.00"), MAY)]
    taxed = TableTax((code("20"), code("5", category="books"))).tax(taxable, context=CONTEXT)
    assert [(each.line, each.percent, each.amount) for each in taxed.amounts] == [(1, 20, 20), (2, 20, 10), (3, 5, 4)]


def test_a_coupon_spread_over_the_lines_lowers_their_tax():
    """lago-tax-05: 100, 50, 30 and 20 less a coupon of 10 in proportion, at 10, 0, 20 and 20 percent: 209.00."""
    amounts = ["95.00", "47.50", "28.50", "19.00"]
    categories = ["a", "b", "c", "c"]
    taxable = [replace(line, category=category) for line, category in zip(lines(*amounts), categories, strict=True)]
    codes = (code("10", category="a"), code("0", category="b"), code("20", category="c"))
    assert sum(map(D, amounts)) + total(TableTax(codes).tax(taxable, context=CONTEXT)) == D("209.00")


def test_an_exempt_account_pays_no_tax():
    """mt-tax-12."""
    table = TableTax((code("20"),))
    exempt = replace(CONTEXT, is_exempt=True)
    assert table.tax(lines("100.00", "50.00"), context=exempt) == Taxed(())
    only_books = replace(CONTEXT, exempt_categories=frozenset({"books"}))
    mixed = [*lines("100"), TaxableLine(2, "books", "books", "AT", D(100), MAY)]
    assert [each.line for each in table.tax(mixed, context=only_books).amounts] == [1]


def test_rounding_per_line_and_per_total_differ_and_both_add_up():
    taxable = lines("0.10", "0.10", "0.10")
    per_line = TableTax((code("15"),)).tax(taxable, context=CONTEXT)
    per_total = TableTax((code("15"),), TaxSettings(rounding="total")).tax(taxable, context=CONTEXT)
    assert [each.amount for each in per_line.amounts] == [D("0.02")] * 3
    assert [each.amount for each in per_total.amounts] == [D("0.02"), D("0.01"), D("0.02")]
    assert total(per_total) == D("0.05")


def test_codes_of_like_parts_are_rounded_together_per_total():
    taxable = [*lines("0.10"), TaxableLine(2, "voice", "voice", "AT", D("0.10"), MAY)]
    table = TableTax((code("15"), code("15", category="voice")), TaxSettings(rounding="total"))
    taxed = table.tax(taxable, context=CONTEXT)
    assert [(each.category, each.amount) for each in taxed.amounts] == [("usage", D("0.02")), ("voice", D("0.01"))]


def test_a_compound_part_bears_on_the_parts_before_it_as_printed():
    taxed = TableTax((code("5", "7", compound=[1]),)).tax(lines("10.10"), context=CONTEXT)
    assert [(each.base, each.amount) for each in taxed.amounts] == [(D("10.10"), D("0.51")), (D("10.61"), D("0.74"))]


@pytest.mark.parametrize(
    ("amount", "percents", "compound", "base", "taxes"),
    [
        ("120.00", ["20"], (), "100.00", ["20.00"]),
        ("100.00", ["20"], (), "83.33", ["16.67"]),
        ("113.00", ["5", "8"], (), "100.00", ["5.00", "8.00"]),
        ("112.35", ["5", "7"], (1,), "100.00", ["5.00", "7.35"]),
        ("-100.00", ["20"], (), "-83.33", ["-16.67"]),
        ("0.01", ["20"], (), "0.01", ["0.00"]),
    ],
)
def test_prices_that_contain_tax_are_parted_into_base_and_taxes(amount, percents, compound, base, taxes):
    table = TableTax((code(*percents, compound=compound),), TaxSettings(is_inclusive=True))
    taxed = table.tax(lines(amount), context=CONTEXT)
    assert [each.amount for each in taxed.amounts] == [D(tax) for tax in taxes]
    assert taxed.amounts[0].base == D(base)
    assert D(base) + total(taxed) == D(amount)


def test_a_line_of_a_taxed_jurisdiction_without_a_code_is_a_fault_that_names_it():
    taxed = TableTax((code("20"),)).tax(lines("1", category="books"), context=CONTEXT)
    assert taxed.amounts == ()
    assert taxed.faults == (
        "Line 1 (line 1) has no tax code: none for category “books” in jurisdiction AT is valid at 2026-05-01 00:00 "
        "UTC. Add one (of 0 percent where nothing is owed).",
    )


@pytest.mark.parametrize(
    "untaxed",
    [lines("1", category=""), lines("1", jurisdiction=""), lines("1", jurisdiction="CH")],
    ids=["no category", "no jurisdiction", "a jurisdiction without codes"],
)
def test_where_nothing_is_to_be_taxed_nothing_is(untaxed):
    assert TableTax((code("20"),)).tax(untaxed, context=CONTEXT) == Taxed(())


def test_two_codes_that_hold_at_once_are_a_fault():
    twice = (code("20"), replace(code("10"), name="Reduced"))
    (fault,) = TableTax(twice).tax(lines("1"), context=CONTEXT).faults
    assert "several tax codes for category “usage” in AT: AT usage, Reduced" in fault


def test_a_commitment_over_several_categories_needs_a_category_of_its_own():
    mixed = [TaxableLine(1, "Minimum", None, "AT", D(10), MAY, mixed_categories=("", "books", "usage"))]
    (fault,) = TableTax((code("20"),)).tax(mixed, context=CONTEXT).faults
    assert "usage of several tax categories: none (a class without one), “books”, “usage”. Give the account a" in fault
    (fault,) = TableTax((code("20"),)).tax(mixed, context=replace(CONTEXT, jurisdiction="DE")).faults
    assert "Set the “Mixed category” of jurisdiction DE, or let" in fault
    told = TableTax((code("20"),), TaxSettings(mixed_category="usage")).tax(mixed, context=CONTEXT)
    assert (total(told), told.amounts[0].category) == (D(2), "usage")


def test_the_code_that_holds_at_the_end_of_the_period_taxes_it():
    until_april = code("10", ends_at=datetime(2026, 3, 31, tzinfo=UTC))
    from_april = code("20", starts_at=datetime(2026, 3, 31, tzinfo=UTC), ends_at=datetime(2026, 4, 1, tzinfo=UTC))
    bill = Bill(1, "EUR", "UTC", datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 4, 1, tzinfo=UTC), jurisdiction="AT")
    (statement,) = settle(
        charges("jurisdiction rated_quantity amount\nAT 1 10.004\n"),
        bills=[bill],
        prices=listed(PER_UNIT),
        categories={1: "usage"},
        tax=TableTax((until_april, from_april)),
    )
    assert (statement.subtotal, statement.tax_total, statement.total) == (D("10.00"), D("2.00"), D("12.00"))


def test_an_adjustment_is_taxed_as_the_statement_was_that_it_adjusts():
    january = datetime(2026, 1, 31, 23, 59, tzinfo=UTC)
    codes = (
        code("10", ends_at=datetime(2026, 2, 1, tzinfo=UTC)),
        code("20", starts_at=datetime(2026, 2, 1, tzinfo=UTC)),
    )
    bill = Bill(
        1,
        "EUR",
        "UTC",
        datetime(2026, 3, 1, tzinfo=UTC),
        datetime(2026, 4, 1, tzinfo=UTC),
        adjusted={"S-1": Adjusted(january)},
    )
    (statement,) = settle(
        charges("adjusts jurisdiction rated_quantity amount\n- AT 1 100\nS-1 AT -1 -50"),
        bills=[bill],
        prices=listed(PER_UNIT),
        categories={1: "usage"},
        tax=TableTax(codes),
    )
    assert [(each.line, each.percent, each.amount) for each in statement.tax_amounts] == [(1, 20, 20), (2, 10, -5)]


VAT = TableTax((code("20"), code("19", jurisdiction="DE"), code("5", jurisdiction="DE", category="books")))


def corrected(drawn, *used, jurisdiction="DE", category="usage", **then):
    """Jurisdiction, percentage and tax of the lines that correct January, with what January's lines were taxed as."""
    january = Adjusted(MAY, usage=tuple(TaxedUsage(1, *place) for place in used), **then)
    march, april = datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 4, 1, tzinfo=UTC)
    bill = Bill(1, "EUR", "UTC", march, april, jurisdiction=jurisdiction, adjusted={"S-1": january})
    (statement,) = settle(charges(drawn), bills=[bill], prices=listed(PER_UNIT), categories={1: category}, tax=VAT)
    return sorted((each.jurisdiction, each.percent, each.amount) for each in statement.tax_amounts)


UNDONE = "kind adjusts service_id jurisdiction rated_quantity amount\nreversal S-1 7 DE -1 -100\n"
LATE = "adjusts service_id jurisdiction rated_quantity amount\nS-1 7 DE 1 100\n"


def test_an_adjustment_is_taxed_where_the_statement_was_that_it_adjusts():
    assert corrected(UNDONE, (0, "AT", "usage")) == [("AT", 20, -20)]
    assert corrected(LATE, (0, "AT", "usage")) == [("AT", 20, 20)]
    assert corrected(UNDONE, (0, "", "usage")) == []


def test_an_adjustment_is_taxed_as_its_class_was():
    assert corrected(UNDONE, (0, "DE", "books")) == [("DE", 5, -5)]
    assert corrected(UNDONE, (0, "DE", "usage"), category="books") == [("DE", 19, -19)]


def test_usage_in_the_period_itself_is_taxed_where_its_service_is():
    now_and_then = f"{UNDONE}charge - 7 DE 1 100\n"
    assert corrected(now_and_then, (0, "AT", "usage")) == [("AT", 20, -20), ("DE", 19, 19)]


def test_a_service_with_a_place_of_its_own_that_was_not_billed_there_is_taxed_where_it_is():
    assert corrected(LATE, (0, "AT", "usage"), jurisdiction="AT") == [("DE", 19, 19)]
    assert corrected(UNDONE, (0, "AT", "usage"), jurisdiction="AT") == [("AT", 20, -20)]


def test_lines_of_the_rate_tell_more_than_those_of_the_class_and_several_tell_nothing():
    assert corrected(UNDONE, (0, "AT", "usage"), (1, "DE", "usage")) == [("AT", 20, -20)]
    assert corrected(UNDONE, (1, "AT", "usage")) == [("AT", 20, -20)]
    assert corrected(UNDONE, (0, "AT", "usage"), (0, "DE", "usage")) == [("DE", 19, -19)]
    assert corrected(UNDONE) == [("DE", 19, -19)]


def test_what_is_undone_and_made_anew_stays_in_one_place():
    anew = f"{UNDONE}charge S-1 7 DE 1 100\n"
    assert corrected(anew, (0, "AT", "usage")) == []
    assert corrected(f"{anew}charge S-1 7 DE 1 50\n", (0, "AT", "usage")) == [("AT", 20, 10)]


def test_an_exemption_of_then_holds_for_adjustments_and_one_of_now_does_not():
    assert corrected(UNDONE, is_tax_exempt=True) == []
    assert corrected(UNDONE, exempt_categories=frozenset({"usage"})) == []
    taxable = [replace(line, context=CONTEXT) for line in lines("-100")]
    assert total(TableTax((code("20"),)).tax(taxable, context=replace(CONTEXT, is_exempt=True))) == -20


def test_the_taxes_of_a_statement_are_told_by_part_and_percentage():
    taxable = [*lines("100", "50"), TaxableLine(3, "books", "books", "AT", D(10), MAY)]
    taxed = TableTax((code("20", "1"), code("5", category="books"))).tax(taxable, context=CONTEXT)
    assert [(each.part, each.percent, each.base, each.amount) for each in tax_totals(taxed.amounts)] == [
        ("part 0", 5, 10, D("0.50")),
        ("part 0", 20, 150, 30),
        ("part 1", 1, 150, D("1.50")),
    ]


def test_the_total_of_prices_with_tax_is_what_the_lines_say():
    bill = Bill(1, "EUR", "UTC", datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 4, 1, tzinfo=UTC), jurisdiction="AT")
    (statement,) = settle(
        charges("jurisdiction rated_quantity amount\nAT 1 100"),
        bills=[bill],
        prices=listed(PER_UNIT),
        categories={1: "usage"},
        tax=TableTax((code("20"),), TaxSettings(is_inclusive=True)),
    )
    assert (statement.subtotal, statement.tax_total, statement.total) == (D("83.33"), D("16.67"), D("100.00"))


def test_an_engine_outside_can_stand_in_and_its_faults_keep_the_statement_open():
    class Elsewhere:
        def tax(self, lines, *, context):
            return Taxed((), (f"{len(lines)} lines in {context.currency} were not answered",))

    bill = Bill(1, "EUR", "UTC", datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 4, 1, tzinfo=UTC))
    (statement,) = settle(
        charges("rated_quantity amount\n1 1"), bills=[bill], prices=listed(PER_UNIT), categories={}, tax=Elsewhere()
    )
    assert statement.faults == ("1 lines in EUR were not answered",)


AMOUNTS = st.decimals(min_value=-1000, max_value=1000, places=2)
PERCENTS = st.decimals(min_value=0, max_value=40, places=3)


@settings(max_examples=50, deadline=None)
@given(
    amounts=st.lists(AMOUNTS, min_size=1, max_size=8),
    percents=st.lists(PERCENTS, min_size=1, max_size=3),
    compound=st.sets(st.integers(1, 2)),
    rounding=st.sampled_from(["line", "total"]),
    is_inclusive=st.booleans(),
)
def test_parts_add_up_to_the_tax_of_what_is_rounded_together(amounts, percents, compound, rounding, is_inclusive):
    table = TableTax((code(*percents, compound=compound),), TaxSettings(rounding, is_inclusive))
    taxable = lines(*amounts)
    taxed = table.tax(taxable, context=CONTEXT)
    assert len(taxed.amounts) == len(amounts) * len(percents)
    assert all(each.amount == each.amount.quantize(D("0.01")) for each in taxed.amounts)
    together = [[line] for line in taxable] if rounding == "line" else [taxable]
    for group in together:
        own = [each for each in taxed.amounts if each.line in {line.number for line in group}]
        whole = sum(line.amount for line in group)
        alone = table.tax([replace(group[0], amount=whole)], context=CONTEXT)
        for part in {each.part for each in own}:
            assert sum(each.amount for each in own if each.part == part) == sum(
                each.amount for each in alone.amounts if each.part == part
            )
    if is_inclusive:
        for line in taxable:
            own = [each for each in taxed.amounts if each.line == line.number]
            assert own[0].base + sum(each.amount for each in own) == line.amount
