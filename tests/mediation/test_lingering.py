"""A worker who is through waits a moment for more; nobody is called meanwhile, and nobody waits beside another."""

from contextlib import ExitStack, contextmanager, nullcontext
from datetime import UTC, datetime
from itertools import count
from time import monotonic as came_now

import psycopg
import pytest
from django.db import DataError, OperationalError, connection, transaction
from django_q.models import OrmQ

from ingestion import services as ingestion_services
from ingestion import tasks
from mediation import selectors, services
from mediation.services import bells

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 5, 20, 12, tzinfo=UTC)


def another_session():
    parameters = connection.get_connection_params()
    told = {key: parameters[key] for key in ("host", "port", "user", "password", "dbname") if parameters.get(key)}
    return psycopg.connect(**told, autocommit=True)


@contextmanager
def another_worker_at(name):
    """A session of somebody else's who is at this until he ends."""
    with another_session() as other:
        other.execute("SELECT pg_advisory_lock(hashtextextended(%s, 0))", [name])
        yield
        other.execute("SELECT pg_advisory_unlock_all()")


def test_while_somebody_waits_for_work_nobody_is_called():
    with another_worker_at(selectors.lingering("mediate")):
        assert not services.ring_now("mediate", NOW)
        assert services.ring_now("rate", NOW)
    # He died, or went: whoever rings is heard by somebody new.
    assert services.ring_now("mediate", NOW)
    assert OrmQ.objects.count() == 2


def test_only_one_waits_and_only_until_there_is_work(monkeypatch):
    monkeypatch.setattr(bells, "LINGER_SECONDS", 60.0)
    looks = count()
    services.linger("mediate", lambda: next(looks) == 3, came_at=came_now())
    assert next(looks) == 4
    with another_worker_at(selectors.lingering("mediate")):
        services.linger("mediate", lambda: pytest.fail("somebody else waits"), came_at=came_now())


def test_the_wait_has_an_end(monkeypatch):
    monkeypatch.setattr(bells, "LINGER_SECONDS", 0.1)
    services.linger("mediate", lambda: False, came_at=came_now())
    assert services.ring_now("mediate", NOW)


def test_who_came_long_ago_waits_for_no_more_so_that_other_tasks_have_their_turn(monkeypatch):
    monkeypatch.setattr(bells, "LINGER_SECONDS", 60.0)
    services.linger("mediate", lambda: pytest.fail("he waits"), came_at=came_now() - bells.STAY_SECONDS)


def test_the_only_worker_waits_for_nothing(monkeypatch, settings):
    monkeypatch.setattr(bells, "LINGER_SECONDS", 60.0)
    settings.WORKERS = 1
    services.linger("mediate", lambda: pytest.fail("he waits"), came_at=came_now())


@pytest.fixture
def steps(monkeypatch):
    """Usage comes for ten steps."""
    done = []
    for name in ("plan_next_import", "void_next"):
        monkeypatch.setattr(ingestion_services, name, lambda **now: False)
    monkeypatch.setattr(ingestion_services, "mediate_next_chunks", lambda **now: len(done) < 10 and not done.append(1))
    return done


def test_who_is_not_the_first_goes_when_one_is_enough(steps, monkeypatch):
    with another_worker_at("mediating"):
        tasks.mediate_waiting()
        assert len(steps) == 1
        monkeypatch.setattr(tasks.selectors, "is_much_waiting", lambda now, many: len(steps) < 5)
        tasks.mediate_waiting()
        assert len(steps) == 5
        monkeypatch.setattr(tasks.selectors, "are_files_waiting", lambda now: len(steps) < 7)
        tasks.mediate_waiting()
        assert len(steps) == 7
    tasks.mediate_waiting()
    assert len(steps) == 10


def test_who_is_not_the_first_does_not_wait_for_more(steps, monkeypatch):
    """Who waits is told of what comes, and nobody else; the first one does it."""
    steps.extend([1] * 10)
    monkeypatch.setattr(tasks.mediation, "linger", lambda *_, **told: pytest.fail("the first one waits"))
    with another_worker_at("mediating"):
        tasks.mediate_waiting()


def test_who_left_the_rest_to_one_that_has_gone_meanwhile_calls_somebody(steps, monkeypatch):
    with another_worker_at("mediating"):
        tasks.mediate_waiting()
        assert OrmQ.objects.count() == 0
    with ExitStack() as first:
        first.enter_context(another_worker_at("mediating"))
        monkeypatch.setattr(ingestion_services, "mediate_next_chunks", lambda **now: first.close() or True)
        tasks.mediate_waiting()
    assert OrmQ.objects.count() == 1


def test_after_waiting_in_vain_everything_is_looked_at_once_more(steps, monkeypatch):
    told = []
    monkeypatch.setattr(tasks.mediation, "linger", lambda *_, came_at: told.append("waited"))
    monkeypatch.setattr(
        tasks, "_work_behind", lambda now, turn: told.append("looked") or told == ["looked", "waited", "looked"]
    )
    steps.extend([1] * 10)
    tasks.mediate_waiting()
    assert told == ["looked", "waited", "looked", "looked", "waited", "looked"]


def is_free(name):
    with another_session() as other:
        return other.execute("SELECT pg_try_advisory_lock(hashtextextended(%s, 0))", [name]).fetchone()[0]


def fail_at(name):
    with services.sole(name):
        connection.cursor().execute("SELECT 1/0")


def test_who_fails_in_a_transaction_says_why_and_is_at_it_no_more():
    with pytest.raises(DataError, match="division by zero"):
        fail_at("counting sheep")
    assert is_free("counting sheep")


def test_who_is_not_alone_and_fails_in_a_transaction_says_why():
    with another_worker_at("counting geese"), pytest.raises(DataError, match="division by zero"):
        fail_at("counting geese")
    assert is_free("counting geese")


@pytest.mark.django_db(transaction=True, serialized_rollback=True)
@pytest.mark.parametrize("is_in_transaction", [False, True])
def test_who_loses_his_connection_is_told_of_that_alone(is_in_transaction):
    with (
        pytest.raises(OperationalError, match="terminating connection"),
        transaction.atomic() if is_in_transaction else nullcontext(),
        services.sole("counting cows"),
    ):
        connection.cursor().execute("SELECT pg_terminate_backend(pg_backend_pid())")
    connection.close()
    assert is_free("counting cows")
