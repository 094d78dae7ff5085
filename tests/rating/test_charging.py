"""Rows of charges have numbers of their own, and none takes that of another UDR; no database."""

import polars as pl
import pytest

from rating.core.charging import ENTRIES, MOST_ENTRIES, charges_of
from rating.core.frames import PRICED
from rating.core.matching.splitting import MOST_PARTS

from .factories import MAY, NOW
from .matching_book import book, plan, rate


def charges(*parts, entry):
    """The charges of these parts of UDR 7, whose first free number is `entry`."""
    rows = [{"udr_id": 7, "part": part, "date": MAY, "rate_key": 0, "period_id": 1} for part in parts]
    entries = pl.DataFrame({"udr_id": [7], "entry": [entry]})
    return charges_of(pl.DataFrame(rows, schema=PRICED), book(plan(rate("Calls"))).prices, NOW, entries=entries)


def test_a_udr_has_numbers_for_the_most_parts_three_times_with_their_reversals():
    assert 3 * MOST_PARTS * ENTRIES <= MOST_ENTRIES
    assert charges(0, MOST_PARTS - 1, entry=2 * MOST_PARTS * ENTRIES)["id"].max() < 8 * MOST_ENTRIES


def test_the_last_number_of_a_udr_is_its_last_charges_reversal():
    assert charges(0, 1, entry=MOST_ENTRIES - 4)["id"].to_list() == [8 * MOST_ENTRIES - 4, 8 * MOST_ENTRIES - 2]


def test_a_charge_that_would_take_the_number_of_the_next_udr_is_refused():
    with pytest.raises(OverflowError, match="UDR 7 was charged so often that no number is left"):
        charges(0, 1, entry=MOST_ENTRIES - 2)
