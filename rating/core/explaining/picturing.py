"""The tiers of a rate as a picture: a bar for each, and how far the counter was before a record and after it."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal

from rating.core.costs.costs import TIERED
from rating.core.costs.quantities import EXACT, ZERO, exactly
from rating.core.plans.spec import Rate, Tier

MOST_TIERS = 8
WIDTH = Decimal(1000)
# Where the end of the usage stands in a tier without end.
IN_ENDLESS = Decimal("0.7")


@dataclass(frozen=True)
class Bar:
    """A tier, or a stretch, in thousandths of the picture's width. place: of the tier, 1 the first."""

    place: int
    x: str
    width: str
    above: Decimal
    up_to: Decimal | None


@dataclass(frozen=True)
class Picture:
    """tiers: one bar each, all equally wide, however far their bounds lie apart. before, record: stretches in them.

    is_cut: only those near the record are drawn, of `count`.
    """

    tiers: tuple[Bar, ...]
    before: tuple[Bar, ...]
    record: tuple[Bar, ...]
    start: Decimal
    end: Decimal
    count: int

    @property
    def is_cut(self) -> bool:
        """Whether tiers are left out."""
        return len(self.tiers) < self.count


@exactly
def picture_of(rate: Rate, start: Decimal, end: Decimal, chooser: Decimal | None = None) -> Picture | None:
    """A rate's tiers with the stretch of a record from `start` to `end`; None where it has no tiers to climb.

    chooser: the quantity of another class that chooses the tier: it is what is shown then, as a point.
    """
    if rate.model not in TIERED or len(rate.tiers) < 2:
        return None
    if chooser is not None:
        start = end = chooser
    low, high = sorted((max(start, ZERO), max(end, ZERO)))
    shown = _shown(rate.tiers, low, high)
    scale = _Scale([(place, *_bounds(rate.tiers, place)) for place in shown], high)
    return Picture(
        tiers=tuple(scale.bar(place, above, up_to, ZERO, Decimal(1)) for place, above, up_to in scale.tiers),
        before=scale.stretch(ZERO, low),
        record=scale.stretch(low, high),
        start=start,
        end=end,
        count=len(rate.tiers),
    )


def _bounds(tiers: Sequence[Tier], place: int) -> tuple[Decimal, Decimal | None]:
    above = tiers[place - 2].up_to if place > 1 else ZERO
    return above or ZERO, tiers[place - 1].up_to


def _shown(tiers: Sequence[Tier], low: Decimal, high: Decimal) -> range:
    """The places of the tiers that are drawn: those that the record meets, as far as they go, and some around."""
    reached = [place for place in range(1, len(tiers) + 1) if _bounds(tiers, place)[0] < high]
    met = [place for place in reached if (up_to := _bounds(tiers, place)[1]) is None or up_to > low]
    last = max(met, default=max(reached, default=1))
    first = max(1, min(last - MOST_TIERS + 2, len(tiers) - MOST_TIERS + 1))
    return range(first, min(len(tiers), first + MOST_TIERS - 1) + 1)


@dataclass(frozen=True)
class _Scale:
    """Tiers side by side, equally wide. tiers: place, above, up_to. high: where the usage ends."""

    tiers: list[tuple[int, Decimal, Decimal | None]]
    high: Decimal

    def bar(self, place: int, above: Decimal, up_to: Decimal | None, start: Decimal, end: Decimal) -> Bar:
        """From part `start` to part `end` of a tier."""
        each = WIDTH / len(self.tiers)
        left = (place - self.tiers[0][0]) * each
        return Bar(place, _told(left + start * each), _told((end - start) * each), above, up_to)

    def stretch(self, low: Decimal, high: Decimal) -> tuple[Bar, ...]:
        """The bars that a stretch covers; one without length is a point in the tier that it stands in."""
        bars = []
        for place, above, up_to in self.tiers:
            start, end = self._part(low, above, up_to), self._part(high, above, up_to)
            if start < end:
                bars.append(self.bar(place, above, up_to, start, end))
        return tuple(bars)

    def _part(self, position: Decimal, above: Decimal, up_to: Decimal | None) -> Decimal:
        """Which part of a tier lies below a position, 0 to 1."""
        if position <= above:
            return ZERO
        if up_to is not None:
            return min((position - above) / (up_to - above), Decimal(1))
        return (position - above) / (self.high - above) * IN_ENDLESS


def _told(number: Decimal) -> str:
    return f"{number.quantize(Decimal('0.01'), ROUND_HALF_EVEN, EXACT):f}"
