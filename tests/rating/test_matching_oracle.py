"""Matching in columns agrees with a search that looks at one record, one group and one rate at a time."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from rating.core.frames import MOMENT

from .matching_book import CLASS_NAMES, book, match, plan, rate, usage, version

ZONES = [
    {"name": "A", "prefixes": ["1", "23"]},
    {"name": "B", "prefixes": ["12", "2"]},
    {"name": "C", "prefixes": ["123"]},
]
PERIODS = {
    "Day": lambda clock: clock.weekday() < 5 and 8 <= clock.hour < 20,
    "Night": lambda clock: (
        (clock.weekday() < 5 and clock.hour >= 20) or ((clock - timedelta(days=1)).weekday() < 5 and clock.hour < 6)
    ),
}
TIME_PERIODS = [
    {"name": "Day", "bands": [{"days": ["mon", "tue", "wed", "thu", "fri"], "starts": "08:00", "ends": "20:00"}]},
    {"name": "Night", "bands": [{"days": ["mon", "tue", "wed", "thu", "fri"], "starts": "20:00", "ends": "06:00"}]},
]
CONDITIONS = {
    "Value > 5": lambda row: row["value"] > 5,
    "Extensions.x = 'a'": lambda row: row["x"] == "a",
    "Extensions.x <> 'a'": lambda row: row["x"] not in (None, "a"),
}
START, MIDDLE = datetime(2026, 5, 1, tzinfo=UTC), datetime(2026, 5, 16, tzinfo=UTC)

tests = st.fixed_dictionaries(
    {},
    optional={
        "condition": st.sampled_from([*CONDITIONS]),
        "time_period": st.sampled_from([*PERIODS]),
    },
)
drawn_rates = st.tuples(
    st.sampled_from(["Voice", "Data"]), tests, st.fixed_dictionaries({}, optional={"zone": st.sampled_from("ABC")})
)
drawn_groups = st.tuples(
    tests,
    st.fixed_dictionaries(
        {},
        optional={
            "starts_at": st.just("2026-05-05T00:00:00Z"),
            "ends_at": st.just("2026-05-25T00:00:00Z"),
            "zone_by": st.just("OriginatingIdentifier"),
        },
    ),
    st.lists(drawn_rates, min_size=1, max_size=4),
)


@st.composite
def plans(draw):
    groups = []
    for place, (asked, members, rates) in enumerate(draw(st.lists(drawn_groups, min_size=1, max_size=4))):
        own = [rate(f"{place}.{n}", name, **tests, **zone) for n, (name, tests, zone) in enumerate(rates)]
        groups.append({"name": f"G{place}", "rates": own, **asked, **members})
    return groups


records = st.lists(
    st.fixed_dictionaries(
        {
            "udr_id": st.integers(0, 10**9),
            "usage_class_id": st.sampled_from([1, 2]),
            "date": st.integers(0, 30 * 24 * 4).map(lambda quarters: START + timedelta(minutes=15 * quarters)),
            "value": st.sampled_from([1, 5, 6]),
            "x": st.sampled_from(["a", "b", None]),
            "terminating_identifier": st.sampled_from(["1", "129", "1234", "23", "24", "3", None]),
            "originating_identifier": st.sampled_from(["12", "9", None]),
            "zone": st.sampled_from(["Europe/Vienna", "America/New_York"]),
        }
    ),
    min_size=1,
    max_size=30,
    unique_by=lambda row: row["udr_id"],
)


def zone_of(identifier):
    found = [
        (len(prefix), zone["name"])
        for zone in ZONES
        for prefix in zone["prefixes"]
        if (identifier or "").startswith(prefix)
    ]
    return max(found)[1] if found else None


def fits(asked, row):
    clock = row["date"].astimezone(ZoneInfo(row["zone"]))
    return CONDITIONS[asked["condition"]](row) if "condition" in asked else True, (
        PERIODS[asked["time_period"]](clock) if "time_period" in asked else True
    )


def searched(groups, row):
    """The name of the rate, or what kind of thing is missing."""
    missing = "no_rate_group"
    for group in groups:
        starts, ends = (group.get(name) for name in ("starts_at", "ends_at"))
        if (starts and row["date"] < datetime.fromisoformat(starts)) or (
            ends and row["date"] >= datetime.fromisoformat(ends)
        ):
            continue
        if not all(fits(group, row)):
            continue
        missing = "no_rate"
        number = row["originating_identifier" if "zone_by" in group else "terminating_identifier"]
        for each in group["rates"]:
            is_class = CLASS_NAMES[each["usage_class"]] == row["usage_class_id"]
            if is_class and all(fits(each, row)) and each.get("zone") in (None, zone_of(number)):
                return each["name"]
    return missing


@settings(max_examples=20, deadline=None)
@given(plans(), plans(), records)
def test_the_rate_found_in_columns_is_the_one_found_one_by_one(first, second, rows):
    shared = {"zones": ZONES, "time_periods": TIME_PERIODS}
    of = book(
        version(1, 1, plan(groups=first, **shared), None, MIDDLE.isoformat()),
        version(2, 1, plan(groups=second, **shared), MIDDLE.isoformat()),
        plans="plan_id plan currency\n1 Gold EUR",
        payers="identifier time_zone\nEurope/Vienna Europe/Vienna\nAmerica/New_York America/New_York",
    )
    matched, refused = match(drawn(rows), of)
    found = {row["udr_id"]: of.prices.rates[row["rate_key"]].rate.name for row in matched.iter_rows(named=True)}
    found |= dict(refused.select("udr_id", "cause").rows())
    assert found == {row["udr_id"]: searched(first if row["date"] < MIDDLE else second, row) for row in rows}


QUARTER = timedelta(minutes=15)


def runs_of(groups, row):
    """When a record's rate changes and to which, asked at every quarter of an hour of it; or what is missing."""
    runs = []
    for quarter in range(max(row["quarters"], 1)):
        date = row["date"] + quarter * QUARTER
        name = searched(groups, row | {"date": date})
        if name.startswith("no_"):
            return name
        if not runs or runs[-1][1] != name:
            runs.append((date, name))
    return runs


@settings(max_examples=15, deadline=None)
@given(plans(), records, st.lists(st.integers(0, 400), min_size=30, max_size=30))
def test_a_split_record_is_cut_exactly_where_its_rate_changes_with_the_time(groups, rows, lengths):
    for asked in [*groups, *(each for group in groups for each in group["rates"])]:
        if asked.get("condition") == "Value > 5":  # what is cut off has another value
            del asked["condition"]
    groups = [
        {name: value for name, value in group.items() if name not in ("starts_at", "ends_at")}
        | {"at_boundary": "split"}
        for group in groups
    ]
    rows = [row | {"value": 900 * each, "quarters": each} for row, each in zip(rows, lengths, strict=False)]
    of = book(
        plan(groups=groups, zones=ZONES, time_periods=TIME_PERIODS),
        payers="identifier time_zone\nEurope/Vienna Europe/Vienna\nAmerica/New_York America/New_York",
    )
    matched, refused = match(drawn(rows), of)
    found = dict(refused.select("udr_id", "cause").rows())
    for (udr_id,), parts in matched.partition_by("udr_id", as_dict=True).items():
        names = [of.prices.rates[key].rate.name for key in parts["rate_key"]]
        found[udr_id] = [*zip(parts["date"], names, strict=True)]
        assert parts["value"].sum() == next(row["value"] for row in rows if row["udr_id"] == udr_id)
    assert found == {row["udr_id"]: runs_of(groups, row) for row in rows}


def drawn(rows):
    """The records as usage."""
    usual = usage("udr_id\n" + "\n".join("1" for _ in rows))
    return usual.with_columns(
        pl.Series("udr_id", [row["udr_id"] for row in rows], pl.Int64),
        pl.Series("date", [row["date"] for row in rows], MOMENT),
        pl.Series("usage_class_id", [row["usage_class_id"] for row in rows], pl.Int64),
        pl.Series("value", [row["value"] for row in rows]).cast(usual.schema["value"]),
        pl.Series("udr_usage_identifier", [row["zone"] for row in rows]),
        pl.Series("originating_identifier", [row["originating_identifier"] for row in rows], pl.String),
        pl.Series("terminating_identifier", [row["terminating_identifier"] for row in rows], pl.String),
        pl.Series("extensions", [row["x"] and f'{{"x":"{row["x"]}"}}' for row in rows], pl.String),
    )
