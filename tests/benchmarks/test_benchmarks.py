"""The benchmarks run, and come to right results; how fast is not for a test on a small file to say."""

import json
import subprocess
import sys

import pytest

from tests.benchmarks.processes import CHECKOUT

pytestmark = pytest.mark.slow


def test_a_small_run_of_every_case_is_right_and_prints_one_object():
    command = [sys.executable, "-m", "tests.benchmarks", "--json", "--records=2000", "--accounts=500", "--seconds=4"]
    told = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=False)
    assert told.returncode == 0, told.stderr
    report = json.loads(told.stdout)
    assert list(report["cases"]) == ["mediate", "rate", "accept", "latency", "rich", "what_if", "core"]
    for case in report["cases"].values():
        assert set(case["checks"].values()) == {True}
        assert case["ratio"] > 0
    assert report["machine"]["server"]["fsync"] == "on"


def test_a_small_crowd_is_measured_too():
    command = [sys.executable, "-m", "tests.benchmarks", "--json", "--records=2000", "--accounts=100", "--held=8000"]
    told = subprocess.run([*command, "--case=crowded"], cwd=CHECKOUT, capture_output=True, text=True, check=False)
    assert told.returncode == 0, told.stderr
    case = json.loads(told.stdout)["cases"]["crowded"]
    assert set(case["checks"].values()) == {True}
    assert case["held"] == 8_000
    assert "mediation.Udr" in case["page_milliseconds"]
