"""The counters that usage meets: found by whose they are and when they restart, moved on, and written as rows again."""

from copy import deepcopy
from datetime import datetime
from decimal import Decimal

import polars as pl

from rating.core.costs import Counted, Counter, Record, advance, round_away
from rating.core.frames import COUNTERS, SEEN

from .routing import Work
from .usage import Owners, Usage
from .windows import Window, day_of, hour_of

CounterKey = tuple[int, int, int, int, str]  # period_id, account_id, service_id, rate_id, key

# What is counted and its moments have six decimals each; what more digits an extension brought is rounded here.
LEVEL_PLACES = 12


class Counters:
    """All counters met while usage is priced.

    counters, seen: COUNTERS and SEEN, of the periods met; for rates that carry over, of the periods before them too.
    A counter that never restarts has the period 0. Its key is the restart's window, if any, and the values of the
    fields that the rate counts by; what is counted in one window of it (`within`) has the key `key@window`.
    """

    def __init__(self, counters: pl.DataFrame, seen: pl.DataFrame, owners: Owners):
        self.owners = owners
        self.met: dict[CounterKey, Counter] = {}
        self.moved: dict[CounterKey, set[str]] = {}  # with the windows that moved
        self.seen_now: dict[tuple[CounterKey, str], None] = {}
        self.periods: dict[tuple[int, int, int, str], set[int]] = {}
        self.journal: list[tuple[CounterKey, Counter, set[str] | None]] = []
        members: dict[CounterKey, set[str]] = {}
        for *key, member in seen.select(*SEEN).iter_rows():
            members.setdefault(tuple(key), set()).add(member)
        for period_id, account_id, service_id, rate_id, key, *state in counters.select(*COUNTERS).iter_rows():
            full = (period_id, account_id, service_id, rate_id, key)
            self._put(full, _counter(state, members.get(full, set())))

    def _put(self, key: CounterKey, counter: Counter) -> None:
        """Put a counter where it is found, and that of a window into its counter."""
        whole, at, window = key[4].rpartition("@")
        # A window's text has no bracket; the list of values, which may hold the sign itself, ends with one.
        if not at or window.endswith("]"):
            held = self.met.get(key)
            counter.windows = held.windows if held else {}
            self.met[key] = counter
            self.periods.setdefault(key[1:], set()).add(key[0])
        else:
            self.met.setdefault((*key[:4], whole), Counter()).windows[window] = counter

    def find(self, work: Work, usage: Usage) -> tuple[CounterKey | None, Counter]:
        """The counter of a record; a new one, that is not kept, where the rate keeps none."""
        if not work.keeps_counter:
            return None, Counter()
        counting = work.rate.counting
        period_id = 0 if counting.restarts == "never" else self.owners.period(counting.per, usage).period_id
        window = self._restart(work, usage)
        text = f"{window} {usage.counter_key}".strip() if window else usage.counter_key
        key = (period_id, *self.owners.owner(counting.per, usage), work.rate_id, text)
        counter = self.met.get(key)
        if counter is None:
            counter = self.met[key] = self._begun(work, key)
            self.periods.setdefault(key[1:], set()).add(period_id)
        return key, counter

    def record(self, work: Work, usage: Usage) -> Record:
        """What pricing reads of the usage."""
        aggregation, counting = work.rate.aggregation, work.rate.counting
        if aggregation.function == "each":
            return Record(usage.date, usage.counted, usage.amount, usage.cost, usage.member, usage.part)
        span = self.owners.period(counting.per, usage).window
        if counting.restarts in ("day", "hour"):
            span = _window(counting.restarts, usage)
        return Record(
            date=usage.date,
            counted=usage.counted,
            amount=usage.amount,
            cost=usage.cost,
            member=usage.member,
            part=usage.part,
            starts_at=span.starts_at,
            ends_at=span.ends_at,
            window=_text(aggregation.within, usage) if aggregation.within else None,
        )

    def begin(self) -> None:
        """Start a record of several parts: `undo` goes back to here."""
        self.journal.clear()

    def undo(self) -> None:
        for key, counter, windows in reversed(self.journal):
            self.met[key] = counter
            if windows is None:
                self.moved.pop(key, None)
            else:
                self.moved[key] = windows
        self.journal.clear()

    def advance(
        self, key: CounterKey | None, record: Record, counted: Counted, *, used: Decimal, credit: Decimal, keep: bool
    ) -> None:
        """Move the counter on by a record that was priced. keep: so that `undo` can take it back."""
        if key is None:
            return
        counter = self.met[key]
        if keep:
            self.journal.append((key, deepcopy(counter), set(self.moved[key]) if key in self.moved else None))
        advance(counter, record, counted, used, credit)
        windows = self.moved.setdefault(key, set())
        if record.window is not None:
            windows.add(record.window)
        if record.member is not None:
            where = key if record.window is None else (*key[:4], f"{key[4]}@{record.window}")
            self.seen_now[where, record.member] = None

    def frames(self) -> tuple[pl.DataFrame, pl.DataFrame]:
        """COUNTERS and SEEN of what moved, with their new values."""
        rows: list[tuple[object, ...]] = []
        for key, windows in self.moved.items():
            counter = self.met[key]
            rows.append((*key, *_state(counter)))
            for window in windows & counter.windows.keys():
                rows.append((*key[:4], f"{key[4]}@{window}", *_state(counter.windows[window])))
        seen = [(*key, member) for (key, member) in self.seen_now if self._holds(key, member)]
        return pl.DataFrame(rows, schema=COUNTERS, orient="row"), pl.DataFrame(seen, schema=SEEN, orient="row")

    def _holds(self, key: CounterKey, member: str) -> bool:
        """Whether a member is among those of its counter; a record taken back has left none."""
        counter = self.met.get(key)
        if counter is None:
            whole, _, window = key[4].rpartition("@")
            counter = self.met[*key[:4], whole].windows.get(window)
        return counter is not None and member in counter.members

    def _begun(self, work: Work, key: CounterKey) -> Counter:
        """A new counter; one that carries over goes on where the last one that moved before ended."""
        aggregation = work.rate.aggregation
        if not aggregation.carries_over:
            return Counter()
        before = [self.met[period_id, *key[1:]] for period_id in self.periods.get(key[1:], ())]
        last = max((each for each in before if each.at is not None), key=lambda each: each.at or 0, default=None)
        if last is None:
            return Counter()
        if aggregation.function == "unique_count":
            for member in last.members:
                self.seen_now[key, member] = None
            return Counter(members=set(last.members))
        if aggregation.function == "weighted_sum":
            return Counter(held=last.held)
        return Counter(level=last.level) if aggregation.function == "latest" else Counter()

    def _restart(self, work: Work, usage: Usage) -> str:
        restarts = work.rate.counting.restarts
        if restarts == "import":
            return f"import {usage.import_id}"
        return _text(restarts, usage) if restarts in ("day", "hour") else ""


def _window(length: str, usage: Usage) -> Window:
    return (day_of if length == "day" else hour_of)(usage.date, usage.time_zone)


def _text(length: str, usage: Usage) -> str:
    """A day or an hour as a text that sorts by time: the first moment of it."""
    start: datetime = _window(length, usage).starts_at
    return f"{start:%Y-%m-%dT%H:%MZ}"


def _counter(state: list[object], members: set[str]) -> Counter:
    values = dict(zip(list(COUNTERS)[5:], state, strict=True))
    return Counter(**values, members=members)  # type: ignore[arg-type]


def _state(counter: Counter) -> tuple[object, ...]:
    return (
        round_away(counter.level, LEVEL_PLACES),
        round_away(counter.held, LEVEL_PLACES),
        counter.position,
        counter.records,
        counter.at,
        counter.credit,
    )
