"""The worked cases of other public systems, through `quote`: equal to the last digit, or the difference explained."""

import json
from decimal import Decimal
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import call_command

from rating.core.quoting import answer as answer_of
from rating.core.quoting import quote, read_rows, read_setting
from tests.rating.vectors import answer, asked

PATH = Path(__file__).parents[3] / "shared" / "vectors" / "worked_cases.jsonl"
CASES = [json.loads(line) for line in PATH.read_text().splitlines()] if PATH.exists() else []

# Where we mean something else: what we answer, and why.
EXPLAINED = {
    "lago-pct-01": (
        "2",
        "Four records of an amount of 0, three of them free: there a period whose amounts add up to nothing costs "
        "nothing; here the fourth record pays its fixed part, as each record does that is not free.",
    ),
    "lago-pgrad-01": (
        "204.83",
        "There the tier is chosen by the units that were added or removed, and the price is of their part of the "
        "period. Here units held for a part of a period are aggregated first (weighted_sum) and the tiers price the "
        "aggregate, 5.96667 units: 50 + 4.83335 and two flat fees.",
    ),
}


def quote_of(document, usage):
    return answer_of(quote(read_setting(document), read_rows(usage)))


@pytest.mark.parametrize("case", CASES, ids=[case["id"] for case in CASES])
def test_a_worked_case_comes_out_equal_or_its_difference_is_explained(case):
    ours, details = answer(case, quote_of)
    expected, _ = EXPLAINED.get(case["id"], (case["expected"], ""))
    assert ours == (expected if isinstance(ours, str) else Decimal(expected))
    assert {name: mine for name, (mine, _) in details.items()} == {
        name: theirs for name, (_, theirs) in details.items()
    }


@pytest.mark.skipif(not CASES, reason="the worked cases are not part of the project")
def test_what_is_explained_is_there_and_differs():
    theirs = {case["id"]: case["expected"] for case in CASES}
    assert [each for each, (ours, _) in EXPLAINED.items() if theirs[each] == ours] == []


@pytest.mark.parametrize("case", CASES[::29], ids=[case["id"] for case in CASES[::29]])
def test_the_command_prints_what_the_function_answers(case, tmp_path):
    ask = asked(case)
    plan, usage = tmp_path / "plan.json", tmp_path / "usage.json"
    plan.write_text(json.dumps(ask.document))
    usage.write_text(json.dumps(ask.usage))
    printed = StringIO()
    call_command("quote", str(plan), str(usage), "--json", stdout=printed, stderr=StringIO())
    assert json.loads(printed.getvalue()) == quote_of(ask.document, ask.usage)
