"""Pictures are well-formed, say what they show, and escape what people wrote."""

from decimal import Decimal
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.dashboard.charts import HEIGHT, Column, Series, bar, sparkline, stacked_columns

HOSTILE = "\"><script>alert('x')</script> & <b>"
SERIES = (Series("good", "outcome-imported"), Series(HOSTILE, "outcome-exceptions"))


def column(*values, label="2026-11-20"):
    return Column(label, values, tuple(f"{value:,}" for value in values), tuple("/list/?a=1&b=2" for _ in values))


def drawn(*columns, title="Records"):
    return stacked_columns(columns, SERIES, name="c", title=title, description="what it shows")


def parsed(markup):
    return ElementTree.fromstring(markup)


def rects(markup):
    return parsed(markup).findall(".//rect")


def test_a_hostile_name_stays_a_name():
    root = parsed(drawn(column(3, 4, label=HOSTILE), title=HOSTILE))
    assert root.find("title").text == HOSTILE
    assert root.findall("a")[1].find("title").text == f"{HOSTILE}: 4 {HOSTILE}"
    assert not list(root.iter("script"))


def test_each_part_leads_to_its_rows_and_says_what_it_is():
    first, second = parsed(drawn(column(3, 4))).findall("a")
    assert first.get("href") == "/list/?a=1&b=2"
    assert first.get("aria-label") == "2026-11-20: 3 good"
    assert second.find("rect").get("class") == "outcome-exceptions"


def test_a_picture_says_what_it_is_to_who_cannot_see_it():
    root = parsed(drawn(column(3, 4)))
    assert root.get("aria-labelledby") == "c-title c-desc"
    assert (root.find("title").get("id"), root.find("desc").get("id")) == ("c-title", "c-desc")
    assert root.find("desc").text == "what it shows"


def test_no_style_and_no_script_stands_in_a_picture():
    for markup in (drawn(column(1, 2)), bar(1, 2), sparkline([1, 2], title=HOSTILE)):
        parsed(markup)
        assert "style=" not in markup
        assert " on" not in markup.replace(" one", "")


@given(st.lists(st.tuples(st.integers(0, 10**12), st.integers(0, 10**12)), max_size=40))
def test_heights_are_shares_of_the_highest_column(pairs):
    found = rects(drawn(*(column(*pair) for pair in pairs)))
    assert len(found) == sum(1 for pair in pairs for value in pair if value)
    for rect in found:
        top, height = Decimal(rect.get("y")), Decimal(rect.get("height"))
        assert top >= 0
        assert 1 <= height <= HEIGHT


def test_parts_of_a_column_stand_on_each_other():
    lower, upper = rects(drawn(column(30, 70)))
    assert (lower.get("y"), lower.get("height")) == ("70.00", "30.00")
    assert (upper.get("y"), upper.get("height")) == ("0.00", "70.00")


@pytest.mark.parametrize("columns", [(), (column(0, 0),), (column(-5, 0),)], ids=["none", "empty", "below zero"])
def test_nothing_is_drawn_of_nothing(columns):
    assert rects(drawn(*columns)) == []


@pytest.mark.parametrize(
    ("value", "most", "width"),
    [(50, 100, "50.00"), (1, 10**9, "1.00"), (0, 10, "0.00"), (-3, 10, "0.00"), (0, 0, "0.00")],
)
def test_a_bar_is_as_long_as_its_share(value, most, width):
    assert parsed(bar(value, most)).find("rect").get("width") == width


@pytest.mark.parametrize("values", [[], [0], [5], [1, 9, 0, 4]])
def test_a_line_has_a_point_for_each_value(values):
    line = parsed(sparkline(values, title="days")).find("polyline")
    assert len((line.get("points") or "").split()) == len(values)
