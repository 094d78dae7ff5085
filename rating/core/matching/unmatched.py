"""Why no rate fits usage: no group, no rate for its class, no zone, or rates that do not hold for it."""

from collections.abc import Sequence

import polars as pl

from rating.core.tariffs import PricedRate, Version

from .local_time import wall_clock
from .offers import groups_of
from .questions import ZONE_COLUMNS, Questions
from .reading import with_extensions
from .refusing import DATE, refuse
from .validity import IS_VALID


def without_rate(usage: pl.DataFrame, versions: Sequence[Version], rates: Sequence[PricedRate]) -> pl.DataFrame:
    """Refuse usage that no rate fits, for what is missing first on the way from the plan to a rate.

    usage: as `searching.with_answers` leaves it. rates: those of the versions. Returns schema REFUSED.
    """
    questions = Questions()
    groups = groups_of(versions, questions)
    asked = with_extensions(usage, questions.fields)
    if questions.need_clock and "wall_clock" not in asked.columns:
        asked = asked.with_columns(wall_clock(asked))
    asked = asked.with_columns(
        in_group=pl.lit(False),
        has_rate=pl.lit(False),
        unzoned=pl.lit(None, pl.String),  # the identifier for which no zone was found
        zoned_by=pl.lit(None, pl.String),
    )
    classes = _classes(versions, rates)
    for _, layer in sorted(groups.partition_by("place", include_key=False, as_dict=True).items()):
        asked = _tried(asked, layer, questions, classes)
    refusals = [refuse(asked.filter(which), cause, message) for cause, which, message in REASONS]
    return pl.concat(refusals)


def _tried(asked: pl.DataFrame, layer: pl.DataFrame, questions: Questions, classes: pl.DataFrame) -> pl.DataFrame:
    """What the group in one place of each version adds to what is known of rows that no rate fits."""
    rows = asked.select("version_id", "date").with_row_index("row")
    tried = rows.join(layer, on="version_id", how="inner", maintain_order="left")
    fits = tried.select(IS_VALID).to_series() & questions.answers(asked, tried)
    inside = tried.filter(fits).select("row", "group", is_inside=pl.lit(True))
    joined = asked.with_row_index("row").join(inside, on="row", how="left", maintain_order="left")
    joined = joined.join(classes, on=["version_id", "usage_class_id", "group"], how="left", maintain_order="left")
    lacks = pl.lit(False)
    identifier: pl.Expr = pl.lit(None, pl.String)
    for zone_by, (number, zone) in ZONE_COLUMNS.items():
        if zone in asked.columns:
            is_so = (pl.col("zone_by") == zone_by).fill_null(False) & pl.col(zone).is_null()
            lacks = lacks | is_so
            identifier = pl.when(is_so).then(pl.col(number).fill_null("")).otherwise(identifier)
    joined = joined.with_columns(
        in_group=pl.col("in_group") | pl.col("is_inside").fill_null(False),
        has_rate=pl.col("has_rate") | pl.col("has_class").fill_null(False),
        unzoned=pl.coalesce("unzoned", identifier),
        zoned_by=pl.coalesce("zoned_by", pl.when(lacks).then("zone_by")),
    )
    return joined.select(asked.columns)


def _classes(versions: Sequence[Version], rates: Sequence[PricedRate]) -> pl.DataFrame:
    """Which groups have a rate for which class, and by which identifier they ask for its zone."""
    places: dict[tuple[int, str], int] = {}
    for version in versions:
        for place, group in enumerate(version.plan.groups):
            places.setdefault((version.version_id, group.name), place)
    zoned: dict[tuple[int, int, int], str | None] = {}
    for rate in rates:
        if rate.usage_class_id is not None:
            key = (rate.version.version_id, rate.usage_class_id, places[rate.version.version_id, rate.group.name])
            zoned[key] = zoned.get(key) or (rate.group.zone_by if rate.rate.zone is not None else None)
    return pl.DataFrame(
        [(*key, zone_by, True) for key, zone_by in zoned.items()],
        schema={
            "version_id": pl.Int64,
            "usage_class_id": pl.Int64,
            "group": pl.Int64,
            "zone_by": pl.String,
            "has_class": pl.Boolean,
        },
        orient="row",
    )


IN_GROUP, HAS_RATE, LACKS_ZONE = pl.col("in_group"), pl.col("has_rate"), pl.col("zoned_by").is_not_null()

REASONS = (
    (
        "no_rate_group",
        ~IN_GROUP,
        pl.format(
            "Plan “{}” has no rate group whose validity, condition and time period hold for the usage at {}. Add a "
            "group, then rerate.",
            "plan",
            DATE,
        ),
    ),
    (
        "no_rate",
        IN_GROUP & ~HAS_RATE,
        pl.format(
            "Plan “{}” has groups in {} valid at {}, but none has a rate for class “{}”. Add the rate, then rerate.",
            "plan",
            "account_currency",
            DATE,
            "usage_class",
        ),
    ),
    (
        "no_rate",
        IN_GROUP & HAS_RATE & LACKS_ZONE,
        pl.format(
            "Plan “{}” prices class “{}” by zones, but no zone has a prefix of “{}” ({}). Add the prefix to a zone, "
            "then rerate.",
            "plan",
            "usage_class",
            "unzoned",
            "zoned_by",
        ),
    ),
    (
        "no_rate",
        IN_GROUP & HAS_RATE & ~LACKS_ZONE,
        pl.format(
            "Plan “{}” has rates for class “{}” at {}, but the condition, time period or zone of none holds for the "
            "usage. Add a rate that does, then rerate.",
            "plan",
            "usage_class",
            DATE,
        ),
    ),
)
