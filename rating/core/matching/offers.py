"""The rates of the versions that usage met, in the order in which they are tried."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import polars as pl

from rating.core.frames import MOMENT, Schema
from rating.core.plans.spec import Group
from rating.core.tariffs import PricedRate, Version

from .questions import ZONE_COLUMNS, Questions, of_group, of_rate

OFFERS: Schema = {
    "version_id": pl.Int64,
    "usage_class_id": pl.Int64,
    "near_zone": pl.String,  # the zone for which this row stands; null: all others
    "place": pl.Int64,
    "rate_key": pl.Int64,
    "starts_at": MOMENT,
    "ends_at": MOMENT,
    "question": pl.Int64,
}

GROUPS: Schema = {
    "version_id": pl.Int64,
    "place": pl.Int64,
    "group": pl.Int64,  # equal to `place`, as an answer
    "starts_at": MOMENT,
    "ends_at": MOMENT,
    "question": pl.Int64,
}


@dataclass(frozen=True)
class Offers:
    """Rates as candidates. A rate of a zone is tried for usage of its zone alone, so that thousands of zones cost no
    more than one: `near` says by which identifier the zone in `near_zone` is found in each version."""

    frame: pl.DataFrame  # OFFERS
    near: dict[int, str]  # version_id -> zone_by
    questions: Questions


def offers_of(rates: Sequence[PricedRate]) -> Offers:
    """The candidates among `rates`, which come in the order of their groups."""
    near: dict[int, str] = {}
    for rate in rates:
        if rate.rate.zone is not None:
            near.setdefault(rate.version.version_id, rate.group.zone_by)
    questions = Questions()
    by_class: dict[tuple[int, int], list[PricedRate]] = {}
    for rate in rates:
        if rate.usage_class_id is not None:
            by_class.setdefault((rate.version.version_id, rate.usage_class_id), []).append(rate)
    rows = [row for (version_id, _), own in by_class.items() for row in _rows(own, near.get(version_id), questions)]
    return Offers(pl.DataFrame(rows, schema=OFFERS, orient="row"), near, questions)


def _rows(rates: list[PricedRate], near: str | None, questions: Questions) -> Iterator[tuple[object, ...]]:
    """The candidates of one class in one version, once for each zone that they know and once for the rest."""
    always: list[tuple[int, PricedRate]] = []
    by_zone: dict[str, list[tuple[int, PricedRate]]] = {}
    for place, rate in enumerate(rates):
        if _near_zone(rate, near) is None:
            always.append((place, rate))
        else:
            by_zone.setdefault(str(rate.rate.zone), []).append((place, rate))
    for zone, own in (*by_zone.items(), (None, [])):
        ordered = sorted((*own, *always), key=lambda placed: placed[0])
        for place, (_, rate) in enumerate(ordered):
            question = of_rate(rate.version, rate.group, rate.rate, is_zone_known=_near_zone(rate, near) is not None)
            yield (
                rate.version.version_id,
                rate.usage_class_id,
                zone,
                place,
                rate.key,
                rate.group.starts_at,
                rate.group.ends_at,
                questions.number(question),
            )


def _near_zone(rate: PricedRate, near: str | None) -> str | None:
    return rate.rate.zone if rate.group.zone_by == near else None


def groups_of(versions: Sequence[Version], questions: Questions) -> pl.DataFrame:
    """The groups of versions as candidates of their own, schema GROUPS."""
    rows = [
        (version.version_id, place, place, group.starts_at, group.ends_at, questions.number(of_group(version, group)))
        for version in versions
        for place, group in enumerate(version.plan.groups)
    ]
    return pl.DataFrame(rows, schema=GROUPS, orient="row")


def zones_asked(groups: Sequence[Group]) -> list[tuple[str, str]]:
    """The columns of identifier and zone that the rates of groups ask for."""
    asked = {group.zone_by for group in groups if any(rate.zone is not None for rate in group.rates)}
    return [columns for zone_by, columns in ZONE_COLUMNS.items() if zone_by in asked]
