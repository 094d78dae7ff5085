"""Pictures of figures as SVG: pure functions from values to markup; colours come from the style, names are escaped.

Texts stand beside the pictures, not in them: a picture is stretched to its place, also on a narrow screen. What holds
links is a group, for the parts of an image are hidden from those who cannot see it; the links are left out of the walk
by keyboard, because the table behind each picture has the same ones.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

STEP, WIDTH, HEIGHT = 12, 9, 100
LEAST = Decimal(1)  # of a hundred: what is there can be seen

Number = Decimal | int


@dataclass(frozen=True)
class Series:
    """A kind of thing that is counted in every column; tone: the class that colours it."""

    name: str
    tone: str


@dataclass(frozen=True)
class Column:
    """A column of a chart: the value of each series, as it is told, and where it leads."""

    label: str
    values: tuple[Number, ...]
    texts: tuple[str, ...]
    urls: tuple[str, ...]

    @property
    def total(self) -> Decimal:
        """How high it is: what is below zero takes no room."""
        return sum((Decimal(value) for value in self.values if value > 0), Decimal(0))


def stacked_columns(
    columns: Sequence[Column], series: Sequence[Series], *, name: str, title: str, description: str
) -> SafeString:
    """Columns of stacked parts, the first series at the bottom; each part links to its rows.

    name: distinguishes its ids on the page. Values below zero take no room.
    """
    most = max((column.total for column in columns), default=0) or 1
    parts = [
        (column.urls[number], f"{column.label}: {column.texts[number]} {one.name}", one.tone, *place)
        for at, column in enumerate(columns)
        for (number, one), place in zip(enumerate(series), _stack(at, column.values, most), strict=True)
        if column.values[number] > 0
    ]
    drawn = format_html_join(
        "",
        '<a href="{}" tabindex="-1" aria-label="{}"><title>{}</title><rect class="{}" x="{}" y="{}" width="{}"'
        ' height="{}"/></a>',
        ((url, told, told, tone, x, y, WIDTH, height) for url, told, tone, x, y, height in parts),
    )
    return format_html(
        '<svg class="columns" viewBox="0 0 {width} {height}" preserveAspectRatio="none" role="group"'
        ' aria-labelledby="{name}-title {name}-desc"><title id="{name}-title">{title}</title>'
        '<desc id="{name}-desc">{description}</desc>{drawn}<path class="axis" d="M0 {height}h{width}"/></svg>',
        width=max(len(columns), 1) * STEP,
        height=HEIGHT,
        name=name,
        title=title,
        description=description,
        drawn=drawn,
    )


def _stack(at: int, values: Sequence[Number], most: Number) -> list[tuple[int, str, str]]:
    """Where the parts of a column stand: x, y and height of each."""
    places, top = [], Decimal(HEIGHT)
    for value in values:
        height = max(Decimal(value) * HEIGHT / Decimal(most), LEAST) if value > 0 else Decimal(0)
        top -= height
        places.append((at * STEP + (STEP - WIDTH) // 2, f"{max(top, Decimal(0)):.2f}", f"{height:.2f}"))
    return places


def bar(value: Number, most: Number, *, tone: str = "bar") -> SafeString:
    """A bar from the left, as long as its share of the longest; the figure stands beside it."""
    share = max(100 * Decimal(value) / Decimal(most), LEAST) if value > 0 and most > 0 else Decimal(0)
    return format_html(
        '<svg class="bar" viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true">'
        '<rect class="{}" width="{}" height="8"/></svg>',
        tone,
        f"{share:.2f}",
    )


def sparkline(values: Sequence[Number], *, title: str) -> SafeString:
    """A line through values from the first to the last, drawn over nothing; says in words what it shows."""
    most = Decimal(max(values, default=0)) or Decimal(1)
    points = " ".join(
        f"{at},{Decimal(20) - max(Decimal(value), Decimal(0)) * 18 / most:.2f}" for at, value in enumerate(values)
    )
    return format_html(
        '<svg class="spark" viewBox="0 0 {} 21" preserveAspectRatio="none" role="img" aria-label="{}">'
        '<title>{}</title><polyline points="{}"/></svg>',
        max(len(values) - 1, 1),
        title,
        title,
        points,
    )
