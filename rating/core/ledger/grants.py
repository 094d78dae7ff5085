"""Buckets as they are drawn: whose grant it is, what it gives, what is left, and every movement as a row."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

import polars as pl

from rating.core.costs import EXACT, NoPrice, round_away
from rating.core.frames import DRAWS, GRANTS
from rating.core.plans.spec import Bucket, BucketTier, Refill
from rating.core.tariffs import PricedBucket, PriceList

from .rollover import Past, carried
from .totals import Totals
from .usage import Owners, Usage
from .windows import Window, part_from, prorated, window_before, window_of

ZERO = Decimal(0)
FOR_EVER = datetime(9999, 12, 31, tzinfo=UTC)

RECORD = ["udr_id", "part", "date"]

GrantKey = tuple[int, int, int, datetime]  # bucket_id, account_id, service_id, starts_at


@dataclass(slots=True)
class Grant:
    """What a bucket gives an owner for a time (GRANTS). bucket: as the version says that was valid at its start."""

    key: GrantKey
    window: Window
    bucket: Bucket
    granted: Decimal
    carried: Decimal
    refills: int
    used: Decimal
    has_moved: bool = False

    @property
    def left(self) -> Decimal:
        return self.granted - self.used

    def cost_of(self, quantity: Decimal) -> Decimal:
        """What the next units drawn cost by the bucket's own tiers. Raises NoPrice."""
        tiers = self.bucket.tiers
        if not tiers:
            return ZERO
        end, last = self.used + quantity, tiers[-1].up_to
        if last is not None and end > last:
            told = f"Bucket “{self.bucket.name}” is drawn to {end.normalize():f}"
            raise NoPrice(f"{told}, above {last.normalize():f}, where its last tier ends.")
        return tier_cost(tiers, end) - tier_cost(tiers, self.used)

    def refills_left(self) -> int | None:
        """How often it can still be filled; None: always."""
        refill = self.bucket.refill
        if refill is None:
            return 0
        return None if refill.times is None else max(refill.times - self.refills, 0)


def tier_cost(tiers: Sequence[BucketTier], drawn: Decimal) -> Decimal:
    """What so many units of a bucket cost: the units in each tier x its price, and the flat fee of tiers reached."""
    cost, start = ZERO, ZERO
    for tier in tiers:
        if drawn <= start:
            break
        end = drawn if tier.up_to is None else min(drawn, tier.up_to)
        cost += (end - start) * tier.price + tier.flat
        start = end
    return cost


class Grants:
    """All grants met while usage is priced, and their movements in order.

    stored: GRANTS. totals: what was used of classes that buckets follow. members: by (account_id, plan_id, shared).
    """

    def __init__(
        self,
        stored: pl.DataFrame,
        *,
        prices: PriceList,
        owners: Owners,
        totals: Totals,
        members: Mapping[tuple[int, int, str], int],
    ):
        self.owners, self.totals, self.members = owners, totals, members
        self.forms: dict[int, list[PricedBucket]] = {}
        for priced in sorted(prices.buckets, key=lambda each: _start(each.version.starts_at)):
            self.forms.setdefault(priced.bucket_id, []).append(priced)
        self.stored = {(row[0], row[1], row[2], row[3]): row for row in stored.select(*GRANTS).iter_rows()}
        self.ends = {(*key[:3], row[4]): key[3] for key, row in self.stored.items() if row[4]}
        self.given: dict[tuple[int, int, int], list[Window]] = {}
        for key, row in self.stored.items():
            self.given.setdefault(key[:3], []).append(Window(key[3], row[4]))
        self.opened: dict[GrantKey, Grant] = {}
        self.movements: list[tuple[object, ...]] = []
        self.journal: list[tuple[Grant, Decimal, int, Decimal, bool]] = []

    def begin(self) -> int:
        """Start a record; answers the mark to which `undo` goes back."""
        self.journal.clear()
        return len(self.movements)

    def undo(self, mark: int) -> None:
        """Take back what was drawn since `begin`: a refused record uses up nothing."""
        for grant, granted, refills, used, has_moved in reversed(self.journal):
            grant.granted, grant.refills, grant.used, grant.has_moved = granted, refills, used, has_moved
        self.journal.clear()
        del self.movements[mark:]

    def serving(self, buckets: Sequence[PricedBucket], usage: Usage) -> list[tuple[PricedBucket, Grant]]:
        """The grants that a record may draw on, in order: priority, what ends first, what started first, the plan."""
        found = []
        for priced in buckets:
            if usage.barred and priced.key in usage.barred:
                continue
            for window in self._windows(priced, usage):
                found.append((priced, self._grant(priced, usage, window)))
        if len(found) > 1:
            found.sort(key=lambda each: _place(*each))
        return found

    def _windows(self, priced: PricedBucket, usage: Usage) -> Sequence[Window]:
        """When the bucket's grants run that hold the usage: one by what the plan says, or all that were given."""
        if priced.bucket.recurs == "granted":
            given = self.given.get((priced.bucket_id, *self.owners.owner(priced.bucket.shared, usage)), ())
            return [window for window in given if window.holds(usage.date)]
        period = self.owners.period(priced.bucket.shared, usage)
        window = window_of(priced.bucket, usage.date, usage.time_zone, period.window)
        return [window] if window else ()

    def draw(
        self, serving: Sequence[tuple[PricedBucket, Grant]], need: Decimal, usage: Usage
    ) -> tuple[Decimal, Decimal]:
        """Take `need` as far as the grants go: (what was drawn, what it costs). Raises NoPrice.

        A bucket that comes `after` another waits until that one is empty and cannot be filled again.
        """
        drawn, cost = ZERO, ZERO
        waiting = list(serving)
        while drawn < need:
            names = {priced.bucket.name for priced, _ in waiting}
            ready = next((each for each in waiting if each[0].bucket.after not in names), None)
            if ready is None:
                break
            waiting.remove(ready)
            taken, paid = self._take(ready[1], need - drawn, usage)
            drawn, cost = drawn + taken, cost + paid
        return drawn, cost

    def give_back(self, serving: Sequence[tuple[PricedBucket, Grant]], amount: Decimal, usage: Usage) -> Decimal:
        """Put up to `amount` back into the grants, the one that was drawn last first; answers how much."""
        left = amount
        for _, grant in reversed(serving):
            back = min(left, grant.used)
            if back > 0:
                self._note(grant)
                grant.used -= back
                self._move(grant, usage, "give_back", back, ZERO)
                left -= back
        return amount - left

    def moved(self) -> pl.DataFrame:
        """GRANTS of what was drawn, filled or given back."""
        rows = [
            (*grant.key, grant.window.ends_at, grant.granted, grant.carried, grant.refills, grant.used)
            for grant in self.opened.values()
            if grant.has_moved
        ]
        return pl.DataFrame(rows, schema=GRANTS, orient="row")

    def draws(self, ordered: pl.DataFrame) -> pl.DataFrame:
        """DRAWS of usage in order, in the order in which they happened."""
        schema = {"row": pl.UInt32} | {name: kind for name, kind in DRAWS.items() if name not in RECORD}
        moves = pl.DataFrame(self.movements, schema=schema, orient="row")
        return ordered.select(RECORD)[moves["row"]].with_columns(moves.drop("row")).select(*DRAWS)

    def _take(self, grant: Grant, need: Decimal, usage: Usage) -> tuple[Decimal, Decimal]:
        """What one grant gives: what is left, then what refills add, each of them a movement."""
        taken, cost = self._drawn(grant, min(need, grant.left), usage)
        refill = grant.bucket.refill
        if refill is not None and taken < need:
            times = _times(refill, need - taken, grant.refills_left())
            if times:
                self._note(grant)
                paid = refill.price * times
                grant.granted += refill.size * times
                grant.refills += times
                self._move(grant, usage, "refill", refill.size * times, paid)
                more, extra = self._drawn(grant, min(need - taken, grant.left), usage)
                taken, cost = taken + more, cost + paid + extra
        return taken, cost

    def _drawn(self, grant: Grant, quantity: Decimal, usage: Usage) -> tuple[Decimal, Decimal]:
        if quantity <= 0:
            return ZERO, ZERO
        cost = grant.cost_of(quantity)
        self._note(grant)
        grant.used += quantity
        self._move(grant, usage, "draw", quantity, cost)
        return quantity, cost

    def _note(self, grant: Grant) -> None:
        self.journal.append((grant, grant.granted, grant.refills, grant.used, grant.has_moved))
        grant.has_moved = True

    def _move(self, grant: Grant, usage: Usage, kind: str, quantity: Decimal, cost: Decimal) -> None:
        amount = round_away(cost, 11) if cost else ZERO
        self.movements.append((usage.row, *grant.key, kind, quantity, amount, grant.left))

    def _grant(self, priced: PricedBucket, usage: Usage, window: Window) -> Grant:
        key = (priced.bucket_id, *self.owners.owner(priced.bucket.shared, usage), window.starts_at)
        grant = self.opened.get(key)
        if grant is None:
            grant = self.opened[key] = self._open(key, priced, usage, window)
            if window.ends_at:
                self.ends[key[0], key[1], key[2], window.ends_at] = window.starts_at
        return grant

    def _open(self, key: GrantKey, priced: PricedBucket, usage: Usage, window: Window) -> Grant:
        """The grant as it was stored, or a new one. What was granted never shrinks, whatever became of the members."""
        bucket = self._form(priced, window).bucket
        size = self._size(priced, usage, window)
        row = self.stored.get(key)
        if row is not None:
            _, _, _, _, _, granted, carried_over, refills, used = row
            filled = bucket.refill.size * refills if bucket.refill else ZERO
            whole = max(granted, size + carried_over + filled)
            return Grant(key, window, bucket, whole, carried_over, refills, used)
        brought = carried(bucket.rollover, self._past(key, priced, usage, window)) if bucket.rollover else ZERO
        return Grant(key, window, bucket, size + brought, brought, 0, ZERO)

    def _form(self, priced: PricedBucket, window: Window) -> PricedBucket:
        """The bucket in the first version, from the window's start on, that has it."""
        forms = self.forms[priced.bucket_id]
        if len(forms) == 1:
            return forms[0]
        lasting = (each for each in forms if each.version.ends_at is None or each.version.ends_at > window.starts_at)
        found = next(lasting, priced)
        return found if found.bucket.recurs == priced.bucket.recurs else priced

    def _size(self, priced: PricedBucket, usage: Usage, window: Window) -> Decimal:
        """What a window gives by itself: size, x members, or what follows the use of another class; x its part."""
        form = self._form(priced, window)
        bucket, owner = form.bucket, self.owners.owner(form.bucket.shared, usage)
        size = bucket.size
        if bucket.follows:
            period = self.owners.period(bucket.shared, usage)
            used = ZERO
            if form.followed_class_id is not None:
                used = self.totals.get((bucket.shared, period.period_id, owner, form.followed_class_id), ZERO)
            size = round_away(bucket.follows.factor * used, 6)
        elif bucket.grows:
            size *= self.members.get((owner[0], usage.plan_id, bucket.shared), 1)
        if bucket.prorate:
            part = part_from(window, self.owners.since(bucket.shared, usage), usage.time_zone)
            size = round_away(prorated(size, part), 6)
        return size

    def _past(self, key: GrantKey, priced: PricedBucket, usage: Usage, window: Window) -> list[Past]:
        """The grants before a window, the latest first, as far back as they can matter for what rolls over."""
        bucket = self._form(priced, window).bucket
        since = self.owners.since(bucket.shared, usage)
        past: list[Past] = []
        unused, lives = 0, bucket.rollover.grants if bucket.rollover else 0
        while unused < lives:
            before = self._before(key, bucket, window, usage.time_zone)
            if before is None or (since is not None and before.ends_at is not None and before.ends_at <= since):
                break
            row = self._known((*key[:3], before.starts_at))
            if row is None:
                own = ZERO if bucket.follows else self._size(priced, usage, before)
                past.append(Past(own, None, ZERO))
            else:
                past.append(Past(row[0] - row[1], row[1], row[2]))
            unused = unused + 1 if row is None else 0
            window = before
        return past

    def _before(self, key: GrantKey, bucket: Bucket, window: Window, time_zone: str) -> Window | None:
        """The window before: of the grant that ended there, or else reckoned."""
        start = self.ends.get((key[0], key[1], key[2], window.starts_at))
        return Window(start, window.starts_at) if start else window_before(bucket, window, time_zone)

    def _known(self, key: GrantKey) -> tuple[Decimal, Decimal, Decimal] | None:
        """granted, carried and used of a grant that something was drawn from."""
        grant = self.opened.get(key)
        if grant is not None:
            return grant.granted, grant.carried, grant.used
        row = self.stored.get(key)
        return (row[5], row[6], row[8]) if row else None


def _times(refill: Refill, need: Decimal, most: int | None) -> int:
    """How often a bucket must be filled, and can be, to give what is needed."""
    if refill.size <= 0:
        return 0
    whole, rest = EXACT.divmod(need, refill.size)
    times = int(whole) + (1 if rest else 0)
    return times if most is None else min(times, most)


def _place(priced: PricedBucket, grant: Grant) -> tuple[int, datetime, datetime, int]:
    return priced.bucket.priority, grant.window.ends_at or FOR_EVER, grant.window.starts_at, priced.key


def _start(moment: datetime | None) -> datetime:
    return moment or datetime.min.replace(tzinfo=UTC)
