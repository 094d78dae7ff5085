"""What the rich profile of the `rich` case is made of: its document, its lookup tables, and rows with known ends."""

import io
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from tests.benchmarks.rows import Row
from tests.benchmarks.world import CLASSES, FIELDS, identifier_of

TABLE_ROWS = 10_000
MOST_VALUE = Decimal(86_400)
# Of every hundred rows these end otherwise than as a UDR as it came, by the last two digits of their number.
TEST_LINE, FREE_CALL, EMPTY_ANSWER, TOO_MUCH, NO_ZONE, SAME_ENDS = range(6)

# 10 mappings with 3 expressions and 2 lookups, 3 filters, 5 rules; a filter and two rules are expressions too.
RICH_SPEC: dict[str, Any] = {
    "format": {"kind": "delimited", "columns": list(FIELDS)},
    "skip": [
        {"name": "test lines", "source": "OriginatingIdentifier", "operator": "equals", "values": ["0000"]},
        {"name": "free calls", "source": "TerminatingIdentifier", "operator": "matches", "values": ["^0?800"]},
        {"name": "empty answers", "when": "Inbound = 'True' AND CAST(Value AS DECIMAL(15, 3)) = 0"},
    ],
    "fields": {
        "Date": {"source": "Date"},
        "OriginatingIdentifier": {
            "choose": [
                {"when": "Inbound = 'True'", "source": "TerminatingIdentifier"},
                {"source": "OriginatingIdentifier"},
            ]
        },
        "TerminatingIdentifier": {
            "source": "TerminatingIdentifier",
            "transforms": [{"substitute": {"find": " ", "replace": ""}}],
        },
        "UdrUsageIdentifier": {"formula": "REPLACE(UPPER(UdrUsageIdentifier), '-', '')"},
        "Value": {"formula": "ROUND(CAST(Value AS DECIMAL(15, 3)) * 1.5, 2)"},
        "UsageClassName": {"source": "UsageClassName", "value_map": {each.name: each.name for each in CLASSES}},
        "UsageClassTypeName": {"source": "UsageClassTypeName"},
        "UsageBillDate": {"source": "UsageBillDate"},
        "Extensions.zone": {
            "source": "TerminatingIdentifier",
            "transforms": [{"lookup": {"table": "zones", "give": "zone"}}],
        },
        "Extensions.segment": {
            "source": "UdrUsageIdentifier",
            "transforms": [{"slice": {"from": -4}}, {"lookup": {"table": "segments", "give": "segment"}}],
        },
    },
    "validations": [
        {
            "code": "too_much",
            "field": "Value",
            "rule": {"range": {"most": str(MOST_VALUE)}},
            "repair": {"set": str(MOST_VALUE)},
        },
        {"code": "no_line", "field": "UdrUsageIdentifier", "rule": "required"},
        {"code": "other_type", "field": "UsageClassTypeName", "rule": {"allowed": ["Data_1", "Voice_1", "Count_1"]}},
        {
            "code": "same_ends",
            "field": "TerminatingIdentifier",
            "rule": {"expression": "OriginatingIdentifier <> TerminatingIdentifier"},
        },
        {
            "code": "long_voice",
            "field": "Value",
            "rule": {"expression": "UsageClassTypeName <> 'Voice_1' OR Value <= 86400"},
        },
    ],
}


def zones() -> dict[str, str]:
    """Prefixes of five lengths, to their zone: most numbers are found by eight digits, a fifth by seven."""
    keys = [f"4100{place:04d}" for place in range(10_000) if place % 10 not in (0, 9)]
    keys += [f"4100{place:03d}" for place in range(1_000)] + ["4", "41"]
    keys += [str(50_000 + place) for place in range(TABLE_ROWS - len(keys))]
    return {key: f"zone {key}" for key in keys}


def segments() -> dict[str, str]:
    """The last four digits of a line, to one of 25 segments."""
    return {f"{place:04d}": f"segment {place % 25}" for place in range(TABLE_ROWS)}


def load_tables() -> None:
    """Both tables, as an admin loads them."""
    from django.utils import timezone

    from mediation import services
    from mediation.models import LookupTable

    for name, kind, give, rows in (
        ("zones", LookupTable.Kind.PREFIX, "zone", zones()),
        ("segments", LookupTable.Kind.EXACT, "segment", segments()),
    ):
        table = LookupTable.objects.create(name=name, kind=kind, columns=[give])
        lines = "".join(f"{key},{value}\n" for key, value in rows.items())
        stream = io.BytesIO(f"key,{give}\n{lines}".encode())
        services.load_lookup_rows(table=table, stream=stream, by=None, now=timezone.now())


def text_of(row: Row) -> str:
    """The row's text, changed where its number asks for another end. The plain profile takes every one of them."""
    cells = row.text.split(",")
    kind = row.number % 100
    if kind == TEST_LINE:
        cells[2] = "0000"
    elif kind == FREE_CALL:
        cells[3] = f"0800{row.number}"
    elif kind == EMPTY_ANSWER:
        cells[5], cells[6] = "0", "True"
    elif kind == TOO_MUCH:
        cells[5] = "100000"
    elif kind == NO_ZONE:
        cells[3] = f"9{row.number}"
    elif kind == SAME_ENDS:
        cells[6] = "True"
    return ",".join(cells)


@dataclass
class Ends:
    """What must become of rows, worked out row by row in plain values."""

    counts: Counter[str] = field(default_factory=Counter)
    codes: Counter[str] = field(default_factory=Counter)
    zones: Counter[str] = field(default_factory=Counter)
    segments: Counter[str] = field(default_factory=Counter)
    value: Decimal = Decimal(0)


def ends_of(rows: Iterable[Row]) -> Ends:
    """How the rich profile must end each row."""
    ends, known_zones, known_segments = Ends(), zones(), segments()
    for row in rows:
        kind = row.number % 100
        if kind in (TEST_LINE, FREE_CALL, EMPTY_ANSWER):
            ends.counts["skipped"] += 1
        elif kind in (NO_ZONE, SAME_ENDS):
            ends.counts["exception"] += 1
            ends.codes["lookup_failed" if kind == NO_ZONE else "same_ends"] += 1
        else:
            ends.counts["imported"] += 1
            ends.counts["repaired"] += kind == TOO_MUCH
            ends.value += MOST_VALUE if kind == TOO_MUCH else Decimal(row.value) * 3 / 2
            ends.zones[next(known_zones[start] for start in _starts(row) if start in known_zones)] += 1
            ends.segments[known_segments[identifier_of(row.account)[-4:]]] += 1
    return ends


def _starts(row: Row) -> Iterator[str]:
    """The beginnings of the number that the row's usage went to, longest first."""
    number = text_of(row).split(",")[3]
    return (number[:length] for length in range(len(number), 0, -1))
