"""The contract with senders, held against a model: whatever they do, nothing is lost and nothing is doubled."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from unittest.mock import patch

import pytest
from django.db import connection, transaction
from django.utils import timezone
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from ingestion import services
from ingestion.api import usage
from ingestion.models import IdempotencyKey, UsageImport
from mediation.models import Udr, UdrKey
from mediation.selectors import counting_udrs

from .factories import counts, event, work
from .test_regulars import Sender

pytestmark = [pytest.mark.django_db(transaction=True, serialized_rollback=True), pytest.mark.usefixtures("reconciled")]

# Few records and few keys, so that they meet: x is no number, so its record is an exception and its key stays free.
RECORDS = st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from("12x")), min_size=1, max_size=4)
KEYS = st.one_of(st.none(), st.sampled_from(["k1", "k2", "k3", "k4", "k5"]))


class Model:
    """What must have become of everything that was accepted, by the published rules alone."""

    def __init__(self):
        self.accepted = {}  # records by tracking id, in the order of acceptance
        self.keys = {}  # (records, tracking id) by Idempotency-Key

    def answer_to(self, records, key):
        """The status of the answer, and the tracking id where it is one that was given before."""
        if key in self.keys:
            known, tracking_id = self.keys[key]
            return (202, tracking_id) if known == records else (422, None)
        return 202, None

    def accept(self, records, key, tracking_id):
        self.accepted[tracking_id] = records
        if key is not None:
            self.keys[key] = (records, tracking_id)

    def outcomes(self):
        """(imported, exceptions, duplicates) of each import, and what is counted for ever."""
        counted, outcomes = {}, {}
        for tracking_id, records in self.accepted.items():
            imported = exceptions = duplicates = 0
            for who, value in records:
                if value == "x" or counted.get(who, value) != value:
                    exceptions += 1
                elif who in counted:
                    duplicates += 1
                else:
                    counted[who] = value
                    imported += 1
            outcomes[tracking_id] = (imported, exceptions, duplicates)
        return outcomes, counted


def body(records):
    return {"data": [event(who, value=value) for who, value in records]}


def headers(key):
    return {} if key is None else {"Idempotency-Key": key}


class Contract(RuleBasedStateMachine):
    """Senders at one feed, which every run of it has anew."""

    def __init__(self):
        super().__init__()
        self.sender, self.model = Sender(), Model()

    def post(self, records, key):
        answer = self.sender.post(body(records), **headers(key))
        return answer.status_code, answer.json().get("tracking_id")

    def hold(self, answer, records, key):
        """Hold an answer against the model, which learns of what was accepted."""
        status, known = self.model.answer_to(records, key)
        assert answer[0] == status
        if known is not None:
            assert answer[1] == known
        elif status == 202:
            assert answer[1] not in self.model.accepted
            self.model.accept(records, key, answer[1])

    @rule(records=RECORDS, key=KEYS)
    def send(self, records, key):
        self.hold(self.post(records, key), records, key)

    @precondition(lambda self: self.model.keys)
    @rule(choice=st.randoms(use_true_random=False))
    def resend_the_same(self, choice):
        key = choice.choice(sorted(self.model.keys))
        records, tracking_id = self.model.keys[key]
        assert self.post(records, key) == (202, tracking_id)

    @precondition(lambda self: self.model.keys)
    @rule(choice=st.randoms(use_true_random=False))
    def resend_changed(self, choice):
        key = choice.choice(sorted(self.model.keys))
        assert self.post([*self.model.keys[key][0], ("d", "1")], key) == (422, None)

    @rule(records=RECORDS, key=KEYS.filter(bool))
    def send_twins_at_once(self, records, key):
        first, second = at_once(lambda: self.post(records, key), lambda: self.post(records, key))
        assert first == second
        self.hold(first, records, key)
        self.hold(second, records, key)

    @rule(records=RECORDS, key=KEYS.filter(bool))
    def send_twins_that_differ_at_once(self, records, key):
        bodies = [records, [*records, ("a", "1")]]
        answers = at_once(*(lambda each=each: self.post(each, key) for each in bodies))
        for answer, each in sorted(zip(answers, bodies, strict=True), key=lambda pair: pair[0][0]):
            self.hold(answer, each, key)

    @rule(records=RECORDS, key=KEYS)
    def die_between_effect_and_answer(self, records, key):
        """The sender hears nothing: with a key he sends again and learns what was kept; without one it counts once."""
        before = set(self.imports().values_list("tracking_id", flat=True))
        status, known = self.model.answer_to(records, key)
        with patch.object(usage, "_answer", side_effect=SystemError("killed")):
            try:
                assert self.post(records, key)[0] == status == 422
            except SystemError:
                assert status == 202
        new = {str(one) for one in set(self.imports().values_list("tracking_id", flat=True)) - before}
        assert len(new) == (1 if status == 202 and known is None else 0)
        for tracking_id in new:
            self.model.accept(records, key, tracking_id)

    @precondition(lambda self: self.model.accepted)
    @rule(choice=st.randoms(use_true_random=False))
    def reprocess(self, choice):
        self.mediate()
        chosen = self.imports().filter(tracking_id=choice.choice(list(self.model.accepted)))
        services.reprocess_imports(imports=chosen, by=None, now=timezone.now())

    @rule()
    def mediate(self):
        work(now=timezone.now())
        outcomes, counted = self.model.outcomes()
        for usage_import in self.imports():
            imported, exceptions, duplicates = outcomes[str(usage_import.tracking_id)]
            assert counts(usage_import) == ("completed", imported, exceptions, 0, duplicates)
        living = counting_udrs(Udr.objects.filter(feed_id=self.sender.feed.pk))
        kept = {(udr.udr_usage_identifier, str(int(udr.value))) for udr in living}
        assert (len(living), kept) == (len(counted), set(counted.items()))
        assert UdrKey.objects.filter(feed_id=self.sender.feed.pk).count() == len(counted)

    @invariant()
    def everything_that_was_accepted_is_there_once(self):
        assert {str(one) for one in self.imports().values_list("tracking_id", flat=True)} == set(self.model.accepted)
        assert IdempotencyKey.objects.filter(feed=self.sender.feed).count() == len(self.model.keys)

    def teardown(self):
        self.mediate()

    def imports(self):
        return UsageImport.objects.filter(feed=self.sender.feed).order_by("pk")


def at_once(*calls):
    barrier = Barrier(len(calls))

    def run(call):
        try:
            barrier.wait(timeout=10)
            return call()
        finally:
            connection.close()

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(run, calls))


@pytest.mark.parametrize(
    ("runs", "steps"), [(4, 12), pytest.param(60, 30, marks=pytest.mark.slow)], ids=["quick", "long"]
)
def test_whatever_senders_do_nothing_is_lost_and_nothing_is_doubled(runs, steps):
    run_state_machine_as_test(
        Contract,
        settings=settings(
            max_examples=runs,
            stateful_step_count=steps,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


@pytest.mark.parametrize("is_known", [True, False], ids=["known", "stranger"])
@pytest.mark.parametrize("is_same", [True, False], ids=["same", "changed"])
@pytest.mark.parametrize("ends", ["commits", "dies"])
def test_a_twin_waits_for_the_first_and_is_answered_by_how_that_ends(ends, is_same, is_known):
    """The first has written and not committed; its twin stands at the same key of the same feed until it has."""
    sender = Sender()
    if is_known:
        assert sender.post().status_code == 202
    before = UsageImport.objects.count()
    records = [("a", "1")]
    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            first = sender.post(body(records), **{"Idempotency-Key": "k"})
            twin = pool.submit(post_apart, sender, records if is_same else [("b", "1")])
            wait_until_one_waits()
            assert not twin.done()
            transaction.set_rollback(ends == "dies")
        status, tracking_id = twin.result(timeout=10)
    assert first.status_code == 202
    assert status == (422 if ends == "commits" and not is_same else 202)
    assert (tracking_id == first.json()["tracking_id"]) == (ends == "commits" and is_same)
    assert UsageImport.objects.count() == before + 1
    work(now=timezone.now())


def post_apart(sender, records):
    try:
        answer = sender.post(body(records), **{"Idempotency-Key": "k"})
        return answer.status_code, answer.json().get("tracking_id")
    finally:
        connection.close()


def wait_until_one_waits():
    """Until another connection to this database waits for a lock."""
    with connection.cursor() as cursor:
        for _ in range(1_000):
            cursor.execute(
                "SELECT pg_sleep(0.01), count(*) FROM pg_stat_activity"
                " WHERE datname = current_database() AND wait_event_type = 'Lock'"
            )
            if cursor.fetchone()[1]:
                return
            cursor.execute("SELECT pg_stat_clear_snapshot()")
    raise AssertionError("nobody waits")
