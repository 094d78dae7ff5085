"""Both engines of expressions agree, and what is written back parses to the same tree: hypothesis looks for a lie."""

import os
from datetime import UTC, datetime, timedelta
from fractions import Fraction

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mediation.core.expressions import (
    BOOLEAN,
    MOMENT,
    TEXT,
    ExpressionError,
    decimal_kind,
    evaluate,
    parse,
    to_polars,
    unparse,
)
from mediation.core.expressions.kinds import decimal_of, units_of

FIELDS = {
    "t": TEXT,
    "Extensions.region": TEXT,
    "number text": TEXT,
    "i": decimal_kind(6),
    "q": decimal_kind(21, 6),
    "p": decimal_kind(17, 11),
    "d": decimal_kind(5, 2),
    "m": MOMENT,
    "n": MOMENT,
    "b": BOOLEAN,
}
DTYPES = {"text": pl.String, "moment": pl.Datetime("us", "UTC"), "boolean": pl.Boolean}
SCHEMA = {
    name: pl.Decimal(kind.digits, kind.scale) if kind.is_number else DTYPES[kind.name] for name, kind in FIELDS.items()
}
ROWS = 6
PARTS = ["YEAR", "MONTH", "DAY", "HOUR", "MINUTE", "SECOND", "DOW", "EPOCH"]
STEPS = ["year", "quarter", "month", "week", "day", "hour", "minute", "second"]
NUMBERS = ["INTEGER", "DECIMAL(9, 2)", "DECIMAL(7, 5)", "DECIMAL(38, 17)"]
TOO_LARGE = ("digits", "decimals", "long text", "does too much")

few = st.sampled_from
words = few(
    ["", "a", "ab", "A", "straße", "ΑΣ", "ΣΑΣ.", "İ", "%", "_", "a.b", "$1", "\\", "a,b", " a ", "\u00a0x\t", "žluť"]
)
letters = st.text(alphabet="abAB01 .,%_$\\-éßΣσİ\u00a0\n'\U0001f600", max_size=8)
numeric_texts = few(
    ["1", "-0.005", "+12.345", "1e5", "", " 1", "999999999999999999999", "0.9999999999999999999999999999999", "007.10",
     "-1.5", "2.675", "12.", ".5", "1" * 40, "2026-02-28T23:59:59.9999999Z", "2026-05-01", "2026-02-30", "true", "No",
     "2024-02-29 12:30:00.5+05:30", "0001-01-01T00:00+05:00", "9999-12-31 23:59-0100", "2026-05-01T24:00", "YES",
     "1969-12-31T23:59:59.9999999Z", "0000-01-01", "2026-05-01 12:00+24:00", "٣"]
)  # fmt: skip
moments = st.one_of(
    few([datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
         datetime(1969, 12, 31, 23, 59, 59, 999999, tzinfo=UTC), datetime(2024, 2, 29, tzinfo=UTC)]),
    st.datetimes(timezones=st.just(UTC)),
)  # fmt: skip


def numbers_of(digits, scale):
    most = 10**digits - 1
    edges = [0, 1, -1, most, -most, 5, -5, 15, -25, 10**scale, 5 * 10**scale // 10, -5 * 10**scale // 10]
    units = st.one_of(few([edge for edge in edges if abs(edge) <= most]), st.integers(-most, most))
    return units.map(lambda unit: decimal_of(unit, scale))


values = {
    "text": st.one_of(words, letters),
    "moment": moments,
    "boolean": st.booleans(),
}


def value_of(name):
    kind = FIELDS[name]
    if name == "number text":
        return numeric_texts
    return numbers_of(kind.digits, kind.scale) if kind.is_number else values[kind.name]


records = st.fixed_dictionaries({name: st.none() | value_of(name) for name in FIELDS})


def quoted(text):
    return "'" + text.replace("'", "''") + "'"


class Sentences:
    """Draws expressions as text, kind by kind, so that what is parsed is mostly well typed."""

    def __init__(self, draw):
        self.draw = draw

    def pick(self, depth, leaves, branches):
        return self.draw(few(branches if depth > 0 else leaves))()

    def written(self):
        return quoted(self.draw(st.one_of(words, letters)))

    def integer(self):
        return str(self.draw(st.integers(-3, 7)))

    def text(self, depth):
        t, n = (lambda: self.text(depth - 1)), (lambda: self.number(depth - 1, small=True))
        return self.pick(depth, [
            lambda: self.draw(few(["t", "Extensions.region", '"number text"', '"Extensions"."region"'])), self.written,
        ], [
            lambda: f"{self.draw(few(['UPPER', 'LOWER', 'TRIM', 'LTRIM', 'RTRIM']))}({t()})",
            lambda: f"{self.draw(few(['TRIM', 'LTRIM', 'RTRIM']))}({t()}, {self.written()})",
            lambda: f"SUBSTR({t()}, {self.integer()})",
            lambda: f"SUBSTRING({t()} FROM {n()} FOR {self.integer()})",
            lambda: f"{self.draw(few(['LEFT', 'RIGHT']))}({t()}, {self.integer()})",
            lambda: f"CONCAT({t()}, {t()})", lambda: f"({t()} || {t()})",
            lambda: f"REPLACE({t()}, {self.written()}, {self.written()})",
            lambda: f"LPAD({t()}, {self.draw(st.integers(0, 9))}, {quoted(self.draw(few('0 é$')))})",
            lambda: f"SPLIT_PART({t()}, {quoted(self.draw(few([',', 'a', 'ab'])))}, {self.draw(st.integers(1, 3))})",
            lambda: f"REGEXP_REPLACE({t()}, {self.regex()}, {quoted(self.draw(few(['', '$1', 'x', '[&]', '$'])))}"
                    + self.draw(few(["", ", 'g'"])) + ")",
            lambda: f"REGEXP_REPLACE({t()}, '(a)|(.)', {quoted(self.draw(few([chr(92) + '2', chr(92) + '&-'])))}, 'g')",
            lambda: f"REGEXP_SUBSTR({t()}, {self.regex()})",
            lambda: f"REGEXP_EXTRACT({t()}, '(a)|(.)', {self.draw(st.integers(0, 2))})",
            lambda: f"CAST({self.number(depth - 1)} AS TEXT)", lambda: f"CAST({self.moment(depth - 1)} AS TEXT)",
            lambda: f"CAST({self.boolean(depth - 1)} AS TEXT)",
            lambda: self.either(self.text, depth),
        ])  # fmt: skip

    def regex(self):
        return quoted(self.draw(few(["a", "^a", "[0-9]+", "", "(?i)É", r"\s$", ".", "a*", r"\w", "(a|b)+?$", r"\$"])))

    def number(self, depth, small=False):
        n = lambda: self.number(depth - 1, small)  # noqa: E731
        leaves = [
            lambda: self.draw(few(["i", "d"] if small else ["i", "q", "p", "d"])),
            lambda: self.draw(few(["0", "1", "-1", "0.5", "2.50", "-7", "1000", "0.001"])),
            lambda: f'CAST("number text" AS {self.draw(few(["INTEGER", "DECIMAL(9, 2)", "DECIMAL(5, 3)"]))})',
        ]
        if small:
            return f"CAST({self.number(depth - 1)} AS INTEGER)" if depth > 0 else "i"
        return self.pick(depth, leaves, [
            lambda: f"({n()} {self.draw(few('+-*%'))} {n()})",
            lambda: f"({n()} {self.draw(few('+*-'))} {n()})",
            lambda: f"({n()} {self.draw(few('*-'))} {n()})",
            lambda: f"(d {self.draw(few('+-*%'))} {n()})",
            lambda: f"ROUND({n()} / {n()}, {self.draw(st.integers(0, 6))})",
            lambda: f"ROUND({n()} / {self.draw(few(['3', '0', '-1024', '0.07']))}, {self.draw(st.integers(0, 9))})",
            lambda: f"ROUND({n()}, {self.draw(st.integers(0, 8))})",
            lambda: f"{self.draw(few(['ROUND', 'FLOOR', 'CEIL', 'ABS', '-']))}({n()})",
            lambda: f"MOD({n()}, {n()})",
            lambda: f"CAST({n()} AS {self.draw(few(NUMBERS))})",
            lambda: f"CAST({self.text(depth - 1)} AS {self.draw(few(['INTEGER', 'DECIMAL(12, 4)']))})",
            lambda: f"LENGTH({self.text(depth - 1)})",
            lambda: f"STRPOS({self.text(depth - 1)}, {self.written()})",
            lambda: f"EXTRACT({self.draw(few(PARTS))} FROM "
                    + self.moment(depth - 1) + ")",
            lambda: f"EXTRACT(EPOCH FROM {self.moment(depth - 1)} - {self.moment(depth - 1)})",
            lambda: f"SECONDS_BETWEEN({self.moment(depth - 1)}, {self.moment(depth - 1)})",
            lambda: self.either(self.number, depth),
            lambda: f"{self.draw(few(['GREATEST', 'LEAST']))}({n()}, {n()}, {self.draw(few(['NULL', 'd']))})",
        ])  # fmt: skip

    def moment(self, depth):
        m = lambda: self.moment(depth - 1)  # noqa: E731
        unit = lambda: self.draw(few(["SECOND", "MINUTE", "HOUR", "DAY"]))  # noqa: E731
        return self.pick(depth, [
            lambda: self.draw(few(["m", "n"])), lambda: "TIMESTAMP '2026-03-31 12:00:00.5+02:00'",
        ], [
            lambda: f"({m()} {self.draw(few('+-'))} INTERVAL '{self.draw(few([0, 1, 90, 400, 10**9]))}' {unit()})",
            lambda: f"({m()} {self.draw(few('+-'))} {self.draw(few(['i', 'd', 'q']))} * INTERVAL '1' {unit()})",
            lambda: f"DATE_TRUNC('{self.draw(few(STEPS))}', {m()})",
            lambda: f"CAST({self.draw(few(['t', chr(34) + 'number text' + chr(34)]))} AS TIMESTAMP)",
            lambda: f"CAST(CAST({m()} AS TEXT) AS TIMESTAMP)",
            lambda: self.either(self.moment, depth), lambda: f"GREATEST({m()}, {m()})", lambda: f"LEAST({m()}, {m()})",
        ])  # fmt: skip

    def either(self, kind, depth):
        a, b = (lambda: kind(depth - 1)), (lambda: self.boolean(depth - 1))
        return self.draw(few([
            lambda: f"COALESCE({a()}, {a()})", lambda: f"NULLIF({a()}, {a()})",
            lambda: f"CASE WHEN {b()} THEN {a()} ELSE {a()} END",
            lambda: f"CASE WHEN {b()} THEN NULL WHEN {b()} THEN {a()} END",
            lambda: f"CASE {a()} WHEN {a()} THEN {a()} ELSE NULL END",
        ]))()  # fmt: skip

    def boolean(self, depth):
        b = lambda: self.boolean(depth - 1)  # noqa: E731
        kind = self.draw(few([self.text, self.number, self.moment]))
        a = lambda: kind(depth - 1)  # noqa: E731
        t = lambda: self.text(depth - 1)  # noqa: E731
        no = lambda: self.draw(few(["", "NOT "]))  # noqa: E731
        return self.pick(depth, [lambda: "b", lambda: self.draw(few(["TRUE", "FALSE"]))], [
            lambda: f"({a()} {self.draw(few(['=', '<>', '<', '<=', '>', '>=']))} {a()})",
            lambda: f"({b()} AND {b()})", lambda: f"({b()} OR {b()} OR {b()})", lambda: f"(NOT {b()})",
            lambda: f"({b()} IS {no()}{self.draw(few(['TRUE', 'FALSE', 'NULL']))})", lambda: f"({a()} IS {no()}NULL)",
            lambda: f"({b()} {self.draw(few(['=', '<>']))} {b()})",
            lambda: f"({a()} {no()}BETWEEN {a()} AND {a()})", lambda: f"({a()} {no()}IN ({a()}, {a()}))",
            lambda: f"(d {no()}IN (1, 2.50, -7, {self.number(0)}))", lambda: "(t IN ('a', 'ab', ''))",
            lambda: "(m IN (TIMESTAMP '2024-02-29', TIMESTAMP '0001-01-01'))",
            lambda: f"({t()} {no()}LIKE {self.like()})", lambda: f"({t()} LIKE {self.like('!')} ESCAPE '!')",
            lambda: f"({t()} {self.draw(few(['~', '!~']))} {self.regex()})",
            lambda: f"REGEXP_LIKE({t()}, {self.regex()})", lambda: f"STARTS_WITH({t()}, {t()})",
            lambda: f"CAST({t()} AS BOOLEAN)", lambda: self.either(self.boolean, depth),
        ])  # fmt: skip

    def like(self, escape="\\"):
        pieces = st.lists(few(["%", "_", "a", "A", ".", "$", "é", escape + "%", escape + "_", escape * 2]), max_size=5)
        return quoted("".join(self.draw(pieces)))


@st.composite
def sentences(draw):
    spoken = Sentences(draw)
    depth = draw(few([3, 2, 4, 1]))
    return draw(few([spoken.text, spoken.number, spoken.moment, spoken.boolean]))(depth)


def frame_of(rows):
    """The rows, and beside them the same rows with what is equal throughout as a literal: polars treats it apart."""
    frame = pl.DataFrame(rows, schema=SCHEMA, orient="row")
    same = [name for name in FIELDS if all(row[name] == rows[0][name] for row in rows)]
    return frame, frame.with_columns(pl.lit(rows[0][name], SCHEMA[name]).alias(name) for name in same)


def agree(text, rows):
    """Parse `text`, write it back, and compare both engines on `rows`; False where it was refused for its size."""
    try:
        expression = parse(text, FIELDS)
    except ExpressionError as fault:
        if any(word in fault.message for word in TOO_LARGE):
            return False
        raise
    assert parse(unparse(expression), FIELDS) == expression
    frame, constant = frame_of(rows)
    came = frame.with_columns(came=to_polars(expression, pl.col))["came"]
    assert came.equals(constant.with_columns(came=to_polars(expression, pl.col))["came"])
    if expression.kind.is_number:
        assert came.dtype == pl.Decimal(38, expression.kind.scale)
    for row, columnar in zip(rows, came.to_list(), strict=True):
        plain = evaluate(expression, row)
        assert (plain, str(plain)) == (columnar, str(columnar)), (text, row)
        if expression.kind.is_number and plain is not None:
            assert abs(units_of(plain, expression.kind.scale)) <= expression.kind.limit, text
    return True


EXAMPLES = int(os.environ.get("SLUICE_EXAMPLES", "2000"))
one_after_another = st.lists(records, min_size=ROWS, max_size=ROWS)
mostly_alike = st.tuples(records, records, st.sets(st.sampled_from(list(FIELDS)))).map(
    lambda drawn: [drawn[0] | {name: drawn[1][name] for name in drawn[2]}, *[drawn[0]] * (ROWS - 1)]
)
rows = one_after_another | mostly_alike


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(sentences(), rows)
def test_both_engines_agree_and_what_is_written_back_parses_to_the_same_tree(text, rows):
    agree(text, rows)


@pytest.mark.slow
@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), database=None)
@given(sentences(), rows)
def test_both_engines_agree_on_a_great_many_expressions(text, rows):
    agree(text, rows)


@settings(max_examples=200, deadline=None)
@given(numbers_of(20, 6), numbers_of(12, 6).filter(bool), st.integers(0, 4))
def test_a_rounded_division_is_the_exact_quotient_half_away_from_zero(a, b, places):
    kinds = {"a": decimal_kind(20, 6), "b": decimal_kind(12, 6)}
    expression = parse(f"ROUND(a / b, {places})", kinds)
    frame = pl.DataFrame({"a": [a], "b": [b]}, schema={"a": pl.Decimal(20, 6), "b": pl.Decimal(12, 6)})
    came = frame.select(to_polars(expression, pl.col)).item()
    exact = Fraction(a) / Fraction(b)
    assert -Fraction(1, 2) < (abs(Fraction(came)) - abs(exact)) * 10**places <= Fraction(1, 2)
    assert came == 0 or (came > 0) == (exact > 0)


def test_an_hour_of_daylight_does_not_matter_to_seconds_between():
    expression = parse("SECONDS_BETWEEN(m, n)", FIELDS)
    start = datetime(2026, 3, 29, 0, 30, tzinfo=UTC)
    assert evaluate(expression, {"m": start, "n": start + timedelta(hours=3)}) == 10_800
