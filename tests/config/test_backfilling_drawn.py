"""Whatever is sent, backfilled, voided, amended and mediated again, in whatever order: it counts as the rules say."""

import random
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest

from ingestion import services as ingestion
from ingestion.models import Backfill, UsageImport
from mediation.models import UsageClass
from rating import services as rating
from rating.models import BillingPeriod
from tests.config.test_backfilling import counting, opened, sent, work_all
from tests.config.test_voiding import KEYED, NOW, PRICE, amended, assert_reconciled, call, standing, voided
from tests.ingestion.factories import feed_of, posted
from tests.rating.factories import RateFactory, subscriber

pytestmark = pytest.mark.django_db

DAYS = [datetime(2026, 3, 30, 10, tzinfo=UTC) + timedelta(days=day) for day in range(6)]
WINDOWS = [(0, 3), (2, 6), (0, 6), (3, 4)]


class Model:
    """What must have become of every record, by the published rules alone, each event in its turn."""

    def __init__(self):
        self.imports = {}  # (place, records, whether they amend, backfill) by number; a record is (key, value, day)
        self.outcomes, self.attempts = {}, {}
        self.counted, self.held = {}, {}  # (value, day, import) by key; of each open backfill
        self.voids = []  # (key, place, whether it amends)
        self.windows, self.since, self.replaced = {}, {}, {}  # of backfills: days; place of closing; what they took
        self.gone, self.place = set(), 0

    def receive(self, number, records, *, amends=False, backfill=None):
        self.place += 1
        self.imports[number] = (self.place, records, amends, backfill)
        self.attempts[number] = 0
        self.decide(number)

    def mediate_again(self, numbers):
        """And what repeated records that are held by nobody then."""
        queue = sorted(numbers)
        while queue:
            number = queue.pop(0)
            self.decide(number)
            queue += sorted(self.repeats_of({number}) - {number} - set(queue))

    def repeats_of(self, numbers):
        return {
            other
            for other, (_, records, _, backfill) in self.imports.items()
            for (key, *_), said in zip(records, self.outcomes[other], strict=True)
            if said[0] == "duplicate" and said[1] in numbers and key not in self.held.get(backfill, self.counted)
        }

    def decide(self, number):
        _, records, _, _ = self.imports[number]
        known = {
            *self.counted,
            *(key for key, *_ in self.voids),
            *(key for taken in self.replaced.values() for key in taken),
        }
        for space in (self.counted, *self.held.values()):
            for key in [key for key, held in space.items() if held[2] == number]:
                del space[key]
        self.attempts[number] += 1
        self.outcomes[number] = [self.outcome(one, number, known) for one in records]

    def outcome(self, record, number, known):
        key, value, day = record
        place, _, amends, backfill = self.imports[number]
        if backfill and not self.covers(backfill, day):
            return "exception", None
        closed = self.since.get(backfill, 10**9)
        if any(
            one == key and at > place and not (backfill and is_amendment and at < closed)
            for one, at, is_amendment in self.voids
        ):
            return "skipped", None
        for other, at in self.since.items():
            if other not in self.gone and other != backfill and at > place and self.covers(other, day):
                return "skipped", other
        if backfill in self.gone:
            return "skipped", backfill
        space = self.held.get(backfill, self.counted)
        other = self.counted.get(key) if space is not self.counted else None
        holder = other if other and not self.covers(backfill, other[1]) else space.get(key)
        if holder and holder[:2] == (value, day):
            return "duplicate", holder[2]
        if amends and key not in known:
            return "exception", None
        if holder and (not amends or holder[2] == number):
            return "exception", None
        if holder:
            self.voids.append((key, place, True))
        space[key] = (value, day, number)
        return "imported", None

    def covers(self, backfill, day):
        first, after = self.windows[backfill]
        return first <= day < after

    def void(self, key):
        self.place += 1
        if self.counted.pop(key, None):
            self.voids.append((key, self.place, False))

    def open(self, backfill, window):
        self.windows[backfill], self.held[backfill] = window, {}

    def close(self, backfill):
        self.place += 1
        held, self.since[backfill] = self.held.pop(backfill), self.place
        taken = {key: one for key, one in self.counted.items() if self.covers(backfill, one[1])}
        self.replaced[backfill] = {key: (one, self.attempts[one[2]]) for key, one in taken.items()}
        self.counted = {key: one for key, one in self.counted.items() if key not in taken}
        for key, one in held.items():
            was_voided = any(
                who == key and at > self.imports[one[2]][0] and not is_amendment for who, at, is_amendment in self.voids
            )
            if key not in self.counted and not was_voided:
                self.counted[key] = one
            else:
                self.replaced[backfill][key] = (one, -1)

    def revert(self, backfill):
        self.gone.add(backfill)
        own = {number for number, one in self.imports.items() if one[3] == backfill}
        self.counted = {key: one for key, one in self.counted.items() if one[2] not in own}
        for key, (one, attempt) in list(self.replaced[backfill].items()):
            is_voided = any(who == key and at > self.since[backfill] for who, at, _ in self.voids)
            if key not in self.counted and not is_voided and attempt == self.attempts[one[2]]:
                self.counted[key] = one
                del self.replaced[backfill][key]
        again = self.repeats_of(own)
        again |= {number for number, said in self.outcomes.items() if ("skipped", backfill) in said}
        self.mediate_again(again - own)

    def abandon(self, backfill):
        self.gone.add(backfill)
        del self.held[backfill]


class World:
    """A feed to which drawn things happen, beside the model of it."""

    def __init__(self, feed, seed):
        self.feed, self.draw, self.now, self.model = feed, random.Random(seed), NOW, Model()
        rate = RateFactory(usage_class=UsageClass.objects.get(name="calls"), price=str(PRICE))
        self.who = subscriber(rate.plan).identifier
        self.backfills = {}

    def records(self, count):
        return [(key, self.draw.choice((2, 4)), self.draw.randrange(6)) for key in self.draw.sample("abcde", count)]

    def rows(self, records):
        return [call(key, value, self.who, at=f"{DAYS[day]:%Y-%m-%dT%H:%M:%SZ}") for key, value, day in records]

    def send(self):
        records = self.records(self.draw.randint(1, 3))
        self.model.receive(posted(self.feed, *self.rows(records), now=self.now).pk, records)

    def amend(self):
        records = self.records(self.draw.randint(1, 2))
        self.model.receive(amended(self.feed, *self.rows(records), now=self.now).pk, records, amends=True)

    def void(self):
        for key in self.draw.sample("abcde", self.draw.randint(1, 2)):
            voided(self.feed, key, now=self.now)
            self.work()
            self.model.void(key)

    def reprocess(self):
        if self.model.imports:
            number = self.draw.choice(list(self.model.imports))
            ingestion.reprocess_imports(imports=UsageImport.objects.filter(pk=number), by=None, now=self.now)
            self.model.mediate_again([number])

    def of(self, status):
        return list(Backfill.objects.filter(feed=self.feed, status=status).order_by("pk"))

    def open(self):
        first, after = self.draw.choice(WINDOWS)
        after_last = DAYS[after] if after < 6 else DAYS[5] + timedelta(days=1)
        with suppress(ingestion.UnableToBackfill):
            backfill = opened(self.feed, DAYS[first], after_last, now=self.now)
            self.model.open(backfill.pk, (first, after))

    def send_into(self):
        if open_ones := self.of("open"):
            backfill, records = self.draw.choice(open_ones), self.records(self.draw.randint(1, 4))
            taken = sent(backfill, *self.rows(records), now=self.now)
            self.model.receive(taken.pk, records, backfill=backfill.pk)

    def act(self, status, ask, told):
        if chosen := self.of(status):
            backfill = self.draw.choice(chosen)
            with suppress(ingestion.UnableToBackfill):
                ask(backfill=backfill, by=None, now=self.now)
                told(backfill.pk)

    def close(self):
        self.act("open", ingestion.ask_close, self.model.close)

    def abandon(self):
        self.act("open", ingestion.ask_abandon, self.model.abandon)

    def revert(self):
        self.act("closed", ingestion.ask_revert, self.model.revert)

    def close_periods(self):
        self.work_all()
        for period in BillingPeriod.objects.filter(status="open", ends_at__lte=self.now).order_by("starts_at")[:1]:
            with suppress(rating.UnableToClosePeriod):
                rating.close_period(period=period, by=None, now=self.now)

    def work(self):
        """Everything in its turn; what is charged for it may wait."""
        self.now += timedelta(minutes=1)
        for _ in range(100):
            if not (
                ingestion.mediate_next_chunks(now=self.now)
                or ingestion.void_next(now=self.now)
                or ingestion.backfill_next(now=self.now)
            ):
                break
        if self.draw.random() < 0.4:
            self.draw.choice((rating.rate_batches, rating.reverse_voided, rating.charge_restored))(now=self.now)

    def work_all(self):
        self.now += timedelta(minutes=1)
        work_all(self.now)

    def step(self):
        moves = (self.send, self.send, self.open, self.open, self.send_into, self.send_into, self.send_into, self.close)
        moves += (self.close, self.revert, self.revert, self.abandon, self.void, self.amend, self.reprocess)
        move = self.draw.choice((*moves, self.reprocess, self.work_all, self.close_periods))
        move()
        self.work()
        wanted = {key: value for key, (value, *_) in self.model.counted.items()}
        assert counting(self.feed) == wanted, move.__name__
        self.now += timedelta(minutes=1)

    def holds(self):
        self.work_all()
        assert standing() == sum(value for value, *_ in self.model.counted.values()) * PRICE
        assert_reconciled()


@pytest.mark.parametrize("seed", [*range(8), *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(8, 32))])
def test_whatever_happens_what_counts_is_what_the_rules_say(seed):
    world = World(feed_of(KEYED), seed)
    for place in range(40):
        world.step()
        if place % 8 == 7:
            world.holds()
