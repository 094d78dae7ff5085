"""The contract with senders, held against a model: whatever they do, nothing is lost and nothing is doubled."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from datetime import timedelta
from threading import Barrier
from unittest.mock import patch
from uuid import uuid4

import pytest
from django.db import connection, transaction
from django.utils import timezone
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from ingestion import selectors, services
from ingestion.api import usage, voids
from ingestion.models import IdempotencyKey, UsageImport, UsageVoid
from mediation.models import Udr, UdrKey
from mediation.selectors import counting_udrs

from .factories import counts, event, work
from .test_regulars import Sender

pytestmark = [pytest.mark.django_db(transaction=True, serialized_rollback=True), pytest.mark.usefixtures("reconciled")]

# Few records and few keys, so that they meet: x is no number, so its record is an exception and its key stays free.
RECORDS = st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from("12x")), min_size=1, max_size=4)
# Which of two values an amendment means by one key it does not say: it names each key once.
AMENDMENTS = RECORDS.map(lambda records: list(dict(records).items()))
REQUESTS = st.one_of(*[st.tuples(RECORDS, st.just(False))] * 2, st.tuples(AMENDMENTS, st.just(True)))
KEYS = st.one_of(st.none(), st.sampled_from(["k1", "k2", "k3", "k4", "k5"]))


class Model:
    """What must have become of everything that was accepted, by the published rules alone: each event in its turn."""

    def __init__(self):
        self.accepted = {}  # (place, records, whether they amend) by tracking id, in the order of acceptance
        self.keys = {}  # (request, tracking id) by Idempotency-Key
        self.counted, self.known, self.voided = {}, set(), {}  # (value, tracking id); ever; the place of the last void
        self.outcomes, self.place = {}, 0

    def answer_to(self, request, key):
        """The status of the answer, and the tracking id where it is one that was given before."""
        if key in self.keys:
            known, tracking_id = self.keys[key]
            return (202, tracking_id) if known == request else (422, None)
        return 202, None

    def accept(self, request, key, tracking_id):
        self.place += 1
        records, amends = request
        self.accepted[tracking_id] = (self.place, records, amends)
        if key is not None:
            self.keys[key] = (request, tracking_id)
        self.decide(tracking_id)

    def void(self, who):
        self.place += 1
        if self.counted.pop(who, None):
            self.voided[who] = self.place

    def decide(self, tracking_id):
        """Mediate an import, for the first time or again; then those that repeated what it held and holds no more."""
        place, records, amends = self.accepted[tracking_id]
        self.counted = {who: held for who, held in self.counted.items() if held[1] != tracking_id}
        self.outcomes[tracking_id] = [self.outcome(*each, place, amends, tracking_id) for each in records]
        for other, (_, theirs, _) in self.accepted.items():
            repeated = zip(theirs, self.outcomes[other], strict=True)
            if any(said == ("duplicate", tracking_id) and who not in self.counted for (who, _), said in repeated):
                self.decide(other)

    def outcome(self, who, value, place, amends, own):
        held, holder = self.counted.get(who, (None, None))
        if value == "x" or (amends and who not in self.known):
            return "exception", None
        if self.voided.get(who, 0) > place:
            return "skipped", None
        if held == value:
            return "duplicate", holder
        if held and (not amends or holder == own):
            return "exception", None
        if held:
            self.voided[who] = place
        self.counted[who] = value, own
        self.known.add(who)
        return "imported", None

    def counts(self, tracking_id):
        kinds = [kind for kind, _ in self.outcomes[tracking_id]]
        return tuple(kinds.count(kind) for kind in ("imported", "exception", "skipped", "duplicate"))


def body(records):
    return {"data": [event(who, value=value) for who, value in records]}


def headers(key):
    return {} if key is None else {"Idempotency-Key": key}


class Contract(RuleBasedStateMachine):
    """Senders at one feed, which every run of it has anew."""

    def __init__(self):
        super().__init__()
        self.sender, self.model = Sender(by="superuser"), Model()
        self.is_in_turn = True  # nothing was voided that waited to be mediated, and is left out because of that

    def post(self, request, key):
        records, amends = request
        door = "usage/amend?reason=wrong" if amends else "usage"
        answer = self.sender.post(body(records), door=door, **headers(key))
        return answer.status_code, answer.json().get("tracking_id")

    def hold(self, answer, request, key):
        """Hold an answer against the model, which learns of what was accepted."""
        status, known = self.model.answer_to(request, key)
        assert answer[0] == status
        if known is not None:
            assert answer[1] == known
        elif status == 202:
            assert answer[1] not in self.model.accepted
            self.model.accept(request, key, answer[1])

    @rule(request=REQUESTS, key=KEYS)
    def send(self, request, key):
        self.hold(self.post(request, key), request, key)

    @precondition(lambda self: self.model.keys)
    @rule(choice=st.randoms(use_true_random=False))
    def resend_the_same(self, choice):
        key = choice.choice(sorted(self.model.keys))
        request, tracking_id = self.model.keys[key]
        assert self.post(request, key) == (202, tracking_id)

    @precondition(lambda self: self.model.keys)
    @rule(choice=st.randoms(use_true_random=False), is_other_door=st.booleans())
    def resend_changed(self, choice, is_other_door):
        key = choice.choice(sorted(self.model.keys))
        records, amends = self.model.keys[key][0]
        changed = (records, not amends) if is_other_door else ([*records, ("d", "1")], amends)
        assert self.post(changed, key) == (422, None)

    @rule(request=REQUESTS, key=KEYS.filter(bool))
    def send_twins_at_once(self, request, key):
        first, second = at_once(lambda: self.post(request, key), lambda: self.post(request, key))
        assert first == second
        self.hold(first, request, key)
        self.hold(second, request, key)

    @rule(request=REQUESTS, key=KEYS.filter(bool))
    def send_twins_that_differ_at_once(self, request, key):
        requests = [request, ([*request[0], ("e", "1")], request[1])]
        answers = at_once(*(lambda each=each: self.post(each, key) for each in requests))
        for answer, each in sorted(zip(answers, requests, strict=True), key=lambda pair: pair[0][0]):
            self.hold(answer, each, key)

    @rule(request=REQUESTS, key=KEYS)
    def die_between_effect_and_answer(self, request, key):
        """The sender hears nothing: with a key he sends again and learns what was kept; without one it counts once."""
        before = set(self.imports().values_list("tracking_id", flat=True))
        status, known = self.model.answer_to(request, key)
        with patch.object(usage, "_answer", side_effect=SystemError("killed")):
            try:
                assert self.post(request, key)[0] == status == 422
            except SystemError:
                assert status == 202
        new = {str(one) for one in set(self.imports().values_list("tracking_id", flat=True)) - before}
        assert len(new) == (1 if status == 202 and known is None else 0)
        for tracking_id in new:
            self.model.accept(request, key, tracking_id)

    @rule(who=st.sampled_from("abcd"), how=st.sampled_from(["once", "twins", "killed"]), is_at_rest=st.booleans())
    def void(self, who, how, is_at_rest):
        """Twins name the same Idempotency-Key; so does whoever heard no answer and asks again."""
        if is_at_rest:
            self.mediate()
        self.is_in_turn &= is_at_rest
        key = str(uuid4())
        with patch.object(voids, "reverse", side_effect=SystemError("killed")) if how == "killed" else nullcontext():
            try:
                assert self.ask_void(who, key) == 202
            except SystemError:
                assert how == "killed"
        if how != "once":
            assert at_once(*[lambda: self.ask_void(who, key)] * 2) == [202, 202]
        assert UsageVoid.objects.filter(feed=self.sender.feed, idempotency_key=key).count() == 1
        self.model.void(who)

    def ask_void(self, who, key):
        document = {"keys": [who], "reason": "wrong"}
        return self.sender.post(document, door="usage/void", **headers(key)).status_code

    @precondition(lambda self: self.model.accepted)
    @rule(choice=st.randoms(use_true_random=False))
    def reprocess(self, choice):
        self.mediate()
        tracking_id = choice.choice(list(self.model.accepted))
        services.reprocess_imports(imports=self.imports().filter(tracking_id=tracking_id), by=None, now=timezone.now())
        self.mediate_all()
        self.model.decide(tracking_id)

    @rule()
    def mediate(self):
        self.mediate_all()
        for usage_import in self.imports():
            told, wanted = counts(usage_import), self.model.counts(str(usage_import.tracking_id))
            assert told == ("completed", *(wanted if self.is_in_turn else told[1:]))
        living = counting_udrs(Udr.objects.filter(feed_id=self.sender.feed.pk))
        kept = {(udr.udr_usage_identifier, str(int(udr.value))) for udr in living}
        wanted = {(who, value) for who, (value, _) in self.model.counted.items()}
        assert (len(living), kept) == (len(wanted), wanted)
        assert UdrKey.objects.filter(feed_id=self.sender.feed.pk).count() == len(wanted)

    def mediate_all(self):
        """Until nothing waits; what was put off has its turn some seconds later."""
        now = timezone.now()
        for _ in range(20):
            work(now=now)
            while services.void_next(now=now):
                work(now=now)
            now += timedelta(seconds=4)
            if not selectors.voids_waiting(self.sender.feed.pk).exists() and not selectors.chunks_waiting(now).exists():
                return
        raise AssertionError("something waits for ever")

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
    ("runs", "steps"), [(4, 12), pytest.param(40, 30, marks=pytest.mark.slow)], ids=["quick", "long"]
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


def test_a_twin_that_waits_too_long_is_told_to_come_again():
    """The first stands still between effect and answer; its twin is not held for as long, and nothing is doubled."""
    sender = Sender()
    before = UsageImport.objects.count()
    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            first = sender.post(body([("a", "1")]), **{"Idempotency-Key": "k"})
            status, headers, document = pool.submit(twin_of, sender).result(timeout=20)
        assert (status, document["code"], headers["Retry-After"]) == (409, "twin_in_flight", "1")
        status, _, document = pool.submit(twin_of, sender).result(timeout=20)
    assert (status, document["tracking_id"]) == (202, first.json()["tracking_id"])
    assert UsageImport.objects.count() == before + 1
    work(now=timezone.now())


def twin_of(sender):
    try:
        answer = sender.post(body([("a", "1")]), **{"Idempotency-Key": "k"})
        return answer.status_code, answer.headers, answer.json()
    finally:
        connection.close()


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
