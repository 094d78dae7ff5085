"""Whose turn it is: what somebody asked for is not kept waiting by usage that keeps coming."""

from collections import Counter

import pytest

from ingestion import services, tasks

pytestmark = pytest.mark.django_db
BEHIND = ("retry_due", "retry_next_exceptions", "correct_next_portion", "undo_next_correction")


@pytest.fixture
def steps(monkeypatch):
    """What was done how often; usage keeps coming for 60 steps, and everything else has always more to do."""
    done = Counter()

    def step(name, is_waiting):
        def work(*, now):
            if not is_waiting():
                return False
            done[name] += 1
            return True

        monkeypatch.setattr(services, name, work)

    for name in ("plan_next_import", "void_next"):
        step(name, lambda: False)
    step("mediate_next_chunks", lambda: done["mediate_next_chunks"] < 60)
    for name in BEHIND:
        step(name, lambda: done["mediate_next_chunks"] < 60)
    return done


def test_what_was_asked_for_has_its_turn_while_usage_keeps_coming(steps):
    tasks.mediate_waiting()
    assert steps["mediate_next_chunks"] == 60
    assert all(steps[name] >= 2 for name in BEHIND), steps
