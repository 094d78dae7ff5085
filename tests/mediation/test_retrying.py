"""The schedule by which exceptions are tried again by themselves."""

from datetime import UTC, datetime, timedelta

from mediation.core.retrying import GAPS, next_try

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)


def test_the_first_try_comes_after_a_minute():
    assert next_try(tried=0, now=NOON) == NOON + timedelta(minutes=1)


def test_gaps_never_shrink():
    assert list(GAPS) == sorted(GAPS)


def test_all_tries_together_take_two_weeks_and_then_there_is_none():
    assert timedelta(days=14) <= sum(GAPS, timedelta()) < timedelta(days=15)
    assert next_try(tried=len(GAPS) - 1, now=NOON) == NOON + timedelta(days=1)
    assert next_try(tried=len(GAPS), now=NOON) is None
