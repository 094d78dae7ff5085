"""What a repricing would change, as pictures and tables: totals, who is met most, how many by how much."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django.db.models import Count, Max, Min, Q, QuerySet
from django.db.models.functions import Abs
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from mediation.admin import marks
from rating import selectors
from rating.models import Repricing

MOST_ACCOUNTS = 20
DECADES = 5  # bars on each side of zero
BAR_WIDTH, BAR_HEIGHT, BAR_STEP = 44, 110, 64
HALF = 100  # of a bar that goes up or down from the middle
NOTHING = Decimal(0)


@dataclass(frozen=True)
class Bar:
    """How many accounts differ from `low` to below `high`; tone: down, none or up."""

    tone: str
    low: Decimal | None
    high: Decimal | None
    count: int = 0

    @property
    def condition(self) -> Q:
        if self.tone == "none":
            return Q(difference=0)
        bounds = {"up": ("gte", "lt", "gt"), "down": ("lte", "gt", "lt")}[self.tone]
        sign = 1 if self.tone == "up" else -1
        from_, until, beyond = (f"difference__{name}" for name in bounds)
        condition = Q(**{from_: sign * self.low}) if self.low else Q(**{beyond: 0})
        return condition & Q(**{until: sign * self.high}) if self.high else condition

    @property
    def count_text(self) -> str:
        return marks.number(self.count)

    @property
    def words(self) -> str:
        if self.tone == "none":
            return "the same"
        more = "more" if self.tone == "up" else "less"
        if not self.low:
            return f"{more} by under {marks.exact(self.high)}"
        upper = f"to {marks.exact(self.high)}" if self.high else "or more"
        return f"{more} by {marks.exact(self.low)} {upper}"


def told_by_currency(asked: Repricing) -> list[dict[str, Any]]:
    """For each currency of the accounts the totals, the accounts that differ most, and how many differ by how much."""
    return [
        {**total, **told_total(total), **_pictures(asked, str(total["currency"]))}
        for total in selectors.repriced_totals(asked)
    ]


def told_total(total: dict[str, Any]) -> dict[str, Any]:
    """A total in words: old, new, and what lies between them. Amounts may be texts, as a repricing keeps them."""
    before, after = Decimal(total["before"]), Decimal(total["after"])
    difference = after - before
    return {
        "before_text": marks.exact(before),
        "after_text": marks.exact(after),
        "difference_text": signed(difference),
        "percent_text": percent(difference, before),
        "tone": tone_of(difference),
        "account_count_text": marks.number(total["account_count"]),
        "changed_text": marks.number(total["changed"]),
        "refused_text": marks.number(total["refused"]),
    }


def signed(difference: Decimal | None) -> str:
    """With its sign, by a minus that is as wide as a plus."""
    if difference is None:
        return marks.NOTHING
    sign = "+" if difference > 0 else "\N{MINUS SIGN}" if difference < 0 else ""
    return f"{sign}{marks.exact(abs(difference))}"


def percent(difference: Decimal, before: Decimal) -> str:
    """Of what it was before, to a tenth; nothing where that or the difference is nothing."""
    return f"{signed(round(100 * difference / abs(before), 1))} %" if before and difference else ""


def tone_of(difference: Decimal | None) -> str:
    return "up" if difference and difference > 0 else "down" if difference and difference < 0 else "none"


def _pictures(asked: Repricing, currency: str) -> dict[str, Any]:
    rows = selectors.repriced_accounts().filter(repricing=asked, account__currency=currency, after__isnull=False)
    bars = count_bars(rows)
    return {
        "accounts": _largest(rows),
        "bars": bars,
        "histogram": histogram(bars),
        "url": marks.list_url("rating_repricedaccount", repricing=asked.pk, account__currency=currency),
    }


def _largest(rows: QuerySet[Any]) -> list[dict[str, Any]]:
    """The accounts with the largest differences, up or down, the largest first."""
    differing = rows.exclude(difference=0).alias(size=Abs("difference"))
    shown = list(differing.order_by("-size", "pk")[:MOST_ACCOUNTS])
    scale = max((abs(row.difference) for row in shown), default=NOTHING)
    return [
        {
            "account": marks.row_link(marks.clipped(str(row.account)), "rating_account", row.account_id),
            "before": marks.exact(row.before),
            "after": marks.exact(row.after),
            "difference": signed(row.difference),
            "tone": tone_of(row.difference),
            "bar": _bar(row.difference, scale),
            "changed": marks.number(row.changed_count),
            "refused": marks.number(row.refused_count),
        }
        for row in shown
    ]


def _bar(difference: Decimal, scale: Decimal) -> SafeString:
    """From the middle to the right for what grows, to the left for what shrinks; never too thin to see."""
    width = max(int(HALF * abs(difference) / scale), 1)
    tone = tone_of(difference)
    return format_html(
        '<svg class="difference" viewBox="0 0 {} 12" preserveAspectRatio="none" aria-hidden="true">'
        '<rect class="difference-{}" x="{}" width="{}" height="12"/><path class="axis" d="M{} 0v12"/></svg>',
        2 * HALF,
        tone,
        HALF if tone == "up" else HALF - width,
        width,
        HALF,
    )


def count_bars(rows: QuerySet[Any]) -> list[Bar]:
    """How many accounts differ by how much, by powers of ten, from the largest saving to the largest rise.

    Ten to a hundred is one bar and so on, five a side, the innermost down to zero: differences span orders.
    """
    ends = rows.aggregate(least=Min("difference"), most=Max("difference"))
    if ends["least"] is None:
        return []
    largest = max(-ends["least"], ends["most"], NOTHING)
    sides = _decades(largest) if largest else []
    bars = [Bar("down", low, high) for low, high in reversed(sides)] if ends["least"] < 0 else []
    bars.append(Bar("none", NOTHING, NOTHING))
    bars += [Bar("up", low, high) for low, high in sides] if ends["most"] > 0 else []
    counts = rows.aggregate(**{f"bar_{place}": Count("pk", filter=bar.condition) for place, bar in enumerate(bars)})
    return [Bar(bar.tone, bar.low, bar.high, counts[f"bar_{place}"]) for place, bar in enumerate(bars)]


def _decades(largest: Decimal) -> list[tuple[Decimal | None, Decimal | None]]:
    """The bounds of the bars above zero, the smallest first."""
    top = largest.adjusted()
    powers = [Decimal(10) ** power for power in range(top - DECADES + 2, top + 1)]
    return [*zip([None, *powers], [*powers, None], strict=True)]


def histogram(bars: list[Bar]) -> SafeString:
    """The bars as a picture; the table beside it says the same."""
    if not bars:
        return SafeString("")
    most = max(bar.count for bar in bars) or 1
    pieces = []
    for place, bar in enumerate(bars):
        height = max(int(BAR_HEIGHT * bar.count / most), 1 if bar.count else 0)
        middle = place * BAR_STEP + BAR_STEP // 2
        low = marks.exact(bar.low or bar.high) if bar.tone != "none" else "0"
        sign = {"up": "+", "down": "\N{MINUS SIGN}", "none": ""}[bar.tone]
        below = "< " if bar.tone != "none" and not bar.low else ""
        pieces.append(
            (
                bar.tone,
                middle - BAR_WIDTH // 2,
                BAR_HEIGHT + 16 - height,
                BAR_WIDTH,
                height,
                middle,
                BAR_HEIGHT + 11 - height,
                marks.number(bar.count),
                BAR_HEIGHT + 32,
                f"{below}{sign}{low}",
                bar.words,
            )
        )
    drawn = format_html_join(
        "",
        '<g><title>{10}: {7}</title><rect class="difference-{0}" x="{1}" y="{2}" width="{3}" height="{4}"/>'
        '<text x="{5}" y="{6}">{7}</text><text class="bound" x="{5}" y="{8}">{9}</text></g>',
        pieces,
    )
    width = len(bars) * BAR_STEP
    return format_html(
        '<svg class="histogram" width="{0}" height="{1}" viewBox="0 0 {0} {1}" role="img"'
        ' aria-label="Accounts by difference; the table beneath says the same">{2}'
        '<path class="axis" d="M0 {3}h{0}"/></svg>',
        width,
        BAR_HEIGHT + 40,
        drawn,
        BAR_HEIGHT + 16,
    )


def progress_bar(done: int, total: int) -> SafeString:
    """How much of the usage is through."""
    return format_html(
        '<svg class="outcomes" viewBox="0 0 {1} 6" preserveAspectRatio="none" role="img" aria-label="{2}">'
        '<title>{2}</title><rect class="outcome-imported" width="{0}" height="6"/></svg>',
        done,
        max(total, 1),
        f"{done:,} of {total:,} UDRs",
    )
