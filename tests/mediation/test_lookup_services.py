"""Loading lookup tables from CSV, and the tables and units that transforms get."""

import io
import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import polars as pl
import pytest
from django.contrib.auth.models import Permission, User
from django.core.exceptions import PermissionDenied
from django.db import IntegrityError, connection, transaction

from mediation import services, store
from mediation.core.frames import MOMENT
from mediation.models import LookupRow, LookupTable
from mediation.services import lookups

NOW = datetime(2026, 5, 1, tzinfo=UTC)
pytestmark = pytest.mark.django_db


def table(kind="exact", columns=("zone", "price"), **fields):
    return LookupTable.objects.create(name="zones", kind=kind, columns=list(columns), **fields)


def load(to, text, **options):
    content = text if isinstance(text, bytes) else text.encode()
    return services.load_lookup_rows(table=to, stream=io.BytesIO(content), by=None, now=NOW, **options)


def refusal(to, text, **options):
    with pytest.raises(services.UnableToLoad) as refused:
        load(to, text, **options)
    return [(fault.line, fault.message) for fault in refused.value.faults]


def found(asked, give="zone", at=NOW):
    built = store.tables(["zones"]).lookups["zones"]
    rows = built.find(pl.Series(asked, dtype=pl.String), pl.Series([at] * len(asked), dtype=MOMENT))
    return built.rows[f"value:{give}"].gather(rows).to_list()


def test_a_table_is_filled_from_a_file_with_a_header():
    zones = table(key_column="country")
    assert load(zones, '﻿price,country , zone\r\n1.5, AT ,near\r\n\r\n,US,"far, far"\r\n') == 2
    assert found(["AT", "US", "DE"]) == ["near", "far, far", None]
    assert found(["AT", "US"], give="price") == ["1.5", None]
    zones.refresh_from_db()
    assert (zones.row_count, zones.version, zones.changed_at) == (2, 1, NOW)


def test_rows_are_valid_for_their_time():
    lines = [
        "key,valid_from,valid_to,zone,price",
        "43,,2026-05-01,old,",
        "43,2026-05-01,,new,",
        "431,2026-05-01T02:00:00+02:00,2026-05-01T00:00:01Z,short,",
    ]
    load(table("prefix"), "\n".join(lines))
    assert found(["4312"]) == ["short"]
    assert found(["4312"], at=NOW + timedelta(seconds=1)) == ["new"]
    assert found(["4312"], at=NOW - timedelta(seconds=1)) == ["old"]


def test_ranges_have_a_low_and_a_high_column():
    zones = table("range", ["zone"])
    load(zones, "low,high,zone\n,10,cheap\n10,,dear\n")
    assert found(["-5", "9.99", "10"]) == ["cheap", "cheap", "dear"]
    assert refusal(zones, "low,high,zone\n0,10,a\n5,6,b\n") == [
        (3, "is valid at the same time for the same value as line 2")
    ]


def test_a_load_replaces_what_the_table_held_unless_it_adds():
    zones = table(columns=["zone"])
    load(zones, "key,zone\na,1\nb,2\n")
    assert found(["a", "b"]) == ["1", "2"]
    load(zones, "key,zone\nc,3\n", keep_rows=True)
    assert found(["a", "b", "c"]) == ["1", "2", "3"]
    assert refusal(zones, "key,zone\nd,4\na,5\n", keep_rows=True) == [
        (3, "is valid at the same time for the same value as a row of the table")
    ]
    load(zones, "key,zone\na,9\n")
    assert found(["a", "b", "c"]) == ["9", None, None]
    zones.refresh_from_db()
    assert (zones.row_count, zones.version) == (1, 3)


def test_every_fault_is_told_by_its_line_and_nothing_is_loaded():
    zones = table(columns=["zone"])
    load(zones, "key,zone\na,1\n")
    faults = refusal(zones, f"key,zone,valid_from\nb,1\nc,2,soon\n{'x' * 501},3,\nd,{'y' * 1001},\n")
    assert [line for line, _ in faults] == [2, 3, 4, 5]
    assert faults[0][1] == "has 2 columns, the header 3"
    assert "is no date" in faults[1][1]
    assert [line for line, _ in refusal(zones, "key,zone\n,1\na,2\n")] == [2]
    assert found(["a"]) == ["1"]


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("", 1, "names no column 'key'"),
        ("key\na\n", 1, "names no column 'zone'"),
        ("key,zone,colour\na,b,c\n", 1, "has no column 'colour'"),
        ("key,zone,zone\na,b,c\n", 1, "twice"),
        ('key,zone\na,b\n"c,d\n', 3, "is malformed"),
        (b"key,zone\na,b\n\xff,c\n", 3, "not in UTF-8"),
        ("key,zone\na,b\nc\0,d\n", 3, "null character"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_at_its_line(text, line, words):
    ((at, what), *_) = refusal(table(columns=["zone"]), text)
    assert at == line
    assert words in what


def test_a_file_is_bounded(monkeypatch):
    zones = table(columns=["zone"])
    monkeypatch.setattr(lookups, "MAX_ROWS", 2)
    assert "more than 2 rows" in refusal(zones, "key,zone\na,1\nb,1\nc,1\n")[0][1]
    load(zones, "key,zone\na,1\nb,1\n")
    assert "would hold more than 2 rows" in refusal(zones, "key,zone\nc,1\n", keep_rows=True)[0][1]
    monkeypatch.setattr(lookups, "MAX_BYTES", 10)
    assert "larger than" in refusal(zones, "key,zone\na,1\nb,1\n")[0][1]


def test_only_who_may_change_lookup_tables_loads_them():
    zones, clerk = table(columns=["zone"]), User.objects.create_user("clerk")
    with pytest.raises(PermissionDenied):
        services.load_lookup_rows(table=zones, stream=io.BytesIO(b""), by=clerk, now=NOW)
    clerk.user_permissions.add(Permission.objects.get(codename="change_lookuptable"))
    clerk = User.objects.get(pk=clerk.pk)
    stream = io.BytesIO(b"key,zone\na,1\n")
    assert services.load_lookup_rows(table=zones, stream=stream, by=clerk, now=NOW) == 1


def test_a_built_table_is_kept_until_its_rows_change(django_assert_num_queries):
    load(table(columns=["zone"]), "key,zone\na,1\n")
    store.tables(["zones"])
    with django_assert_num_queries(2):
        assert found(["a"]) == ["1"]


def test_tables_that_do_not_exist_are_left_out():
    assert store.tables(["none"]).lookups == {}


def test_the_database_keeps_rows_apart_on_its_own():
    zones = table(columns=["zone"])
    for wrong in (
        [{"key": "a"}, {"key": "a"}],
        [{"key": "a", "low": "1"}],
        [{"key": "a", "valid_from": NOW, "valid_to": NOW}],
    ):
        with pytest.raises(IntegrityError), transaction.atomic():
            LookupRow.objects.bulk_create(LookupRow(table=zones, values={}, **row) for row in wrong)


def test_the_usual_units_are_there():
    units = store.tables().units
    assert units["KB"].multiplier == 1000
    assert units["KiB"].multiplier == 1024
    assert units["ms"].multiplier == Decimal("0.001")
    assert (units["h"].kind, units["h"].multiplier) == ("time", 3600)
    assert units["count"].multiplier == 1


def test_a_table_of_10_000_prefixes_loads_in_a_moment():
    rows = "".join(f"{number},z{number % 50}\n" for number in range(10_000, 20_000))
    assert load(table("prefix", ["zone"]), "key,zone\n" + rows) == 10_000
    assert found(["12345678"]) == ["z45"]
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM mediation_lookuprow")
        assert cursor.fetchone()[0] == 10_000


def test_a_header_of_a_great_many_columns_is_refused_at_once():
    header = ",".join(f"c{number}" for number in range(100_000))
    started = time.process_time()
    assert refusal(table(), f"{header},c1\n") == [
        (1, "the header names 100,001 columns; the table has 5 with its keys and times")
    ]
    assert time.process_time() - started < 2
