"""The text that an exception is grouped by: what the source had behind the UDR field at fault."""

import pytest

from .profiles import ROWS, document, judge_rows


@pytest.mark.parametrize(
    ("fields", "row", "found"),
    [
        ({}, "2026-05-01,a, 1;5 ,calls", ("Value", " 1;5 ")),
        ({}, "2026-05-01,a,,calls", ("Value", "")),
        ({}, "2026-05-01,a,1,fax", ("UsageClassName", "fax")),
        ({"UsageClassName": {"literal": "fax"}}, "2026-05-01,a,1,calls", ("UsageClassName", "fax")),
        ({"Value": {"combine": {"sources": ["who", "class"]}}}, "2026-05-01,a,1,calls", ("Value", "a calls")),
        ({}, f"2026-05-01,a,{'x' * 300},calls", ("Value", "x" * 200)),
    ],
)
def test_the_text_behind_the_field_at_fault_is_kept(fields, row, found):
    rejected = judge_rows([row], document(ROWS, fields)).rejected
    assert (rejected["field"][0], rejected["value"][0]) == found


def test_a_record_that_cannot_be_read_has_no_such_text():
    rejected = judge_rows(["a,b"]).rejected
    assert (rejected["field"][0], rejected["value"][0]) == ("", "")
