"""Expressions in columns keep up with what a developer would have written by hand in polars."""

import time
from decimal import Decimal

import polars as pl
import pytest

from mediation.core.expressions import MOMENT, TEXT, decimal_kind, parse, to_polars
from mediation.core.numbers import NUMBER_PATTERN, multiply, round_half_away

FIELDS = {"q": decimal_kind(21, 6), "p": decimal_kind(17, 11), "t": TEXT, "u": TEXT, "m": MOMENT}
WORDS = pl.Series(["voice.mo", "voice.mt", "data.roam", "sms"])
CASES = {
    "ROUND(q * p, 11)": round_half_away(multiply(pl.col("q"), pl.col("p")), 11),
    "u LIKE 'voice.%' AND q > 1000": pl.col("u").str.starts_with("voice.") & (pl.col("q") > 1000),
    "CASE WHEN u IN ('sms', 'voice.mo') THEN UPPER(u) ELSE u END": pl.when(pl.col("u").is_in(["sms", "voice.mo"]))
    .then(pl.col("u").str.to_uppercase())
    .otherwise(pl.col("u")),
    "CAST(t AS DECIMAL(21, 6))": round_half_away(
        pl.when(pl.col("t").str.contains(NUMBER_PATTERN)).then(pl.col("t")).cast(pl.Decimal(38, 7), strict=False), 6
    ).cast(pl.Decimal(21, 6), strict=False),
    "SPLIT_PART(u, '.', 2)": pl.col("u").str.split(".").list.get(1, null_on_oob=True).fill_null(""),
    "REGEXP_REPLACE(u, '[a-z]+$', 'x')": pl.col("u").str.replace("[a-z]+$", "x"),
    "CAST(m AS TEXT)": pl.col("m").dt.to_string("%Y-%m-%dT%H:%M:%SZ"),
}


def rows(count):
    """Rows with quantities, prices, words, numbers as text and moments."""
    number = pl.int_range(count)
    return pl.select(
        q=(number * 7_919 % 10**12).cast(pl.Decimal(21, 6)),
        p=(number % 1_000).cast(pl.Decimal(17, 11)),
        t=(number * 7_919 % 10**9).cast(pl.String) + ".25",
        u=pl.lit(WORDS.implode()).list.get(number % 4),
        m=pl.datetime(2026, 1, 1, time_zone="UTC") + pl.duration(seconds=number),
    )


def seconds(frame, column):
    best = float("inf")
    for _ in range(5):
        started = time.perf_counter()
        frame.select(came=column)
        best = min(best, time.perf_counter() - started)
    return best


@pytest.mark.slow
def test_a_compiled_expression_costs_at_most_twice_what_hand_written_columns_cost():
    frame = rows(1_000_000)
    ours = {text: seconds(frame, to_polars(parse(text, FIELDS), pl.col)) for text in CASES}
    by_hand = {text: seconds(frame, column) for text, column in CASES.items()}
    for text in CASES:
        print(f"{text:60} {ours[text] * 1000:7.1f} ms, by hand {by_hand[text] * 1000:7.1f} ms")
    assert sum(ours.values()) <= 2 * sum(by_hand.values())


@pytest.mark.parametrize("text", CASES)
def test_the_compiled_expression_and_the_hand_written_one_say_the_same(text):
    frame = rows(1_000).select(ours=to_polars(parse(text, FIELDS), pl.col), by_hand=CASES[text], q=pl.col("q"))
    assert frame["ours"].to_list() == frame["by_hand"].to_list()
    assert isinstance(frame["q"][0], Decimal)
