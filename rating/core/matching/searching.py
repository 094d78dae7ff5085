"""Which version of the plan and which of its rates prices usage: groups top-down, the first rate that fits wins."""

from collections.abc import Sequence

import polars as pl

from rating.core.frames import MOMENT, REFUSED, Rated, Schema, empty
from rating.core.plans.spec import Group
from rating.core.tariffs import PricedRate, Version

from .book import Book
from .local_time import wall_clock
from .offers import Offers, offers_of, zones_asked
from .questions import ZONE_COLUMNS
from .reading import with_extensions
from .refusing import DATE, refuse
from .unmatched import without_rate
from .validity import first_fitting, placed
from .zones import find_zones, prefixes_of

VERSIONS: Schema = {"plan_id": pl.Int64, "version_id": pl.Int64, "starts_at": MOMENT, "ends_at": MOMENT}


def find_versions(paid: pl.DataFrame, book: Book) -> Rated:
    """Add `version_id`, the version of the plan that was active at the date; refuse usage from before any, or after.

    paid: schema PAID.
    """
    plans = set(paid["plan_id"].unique().to_list())
    rows = [
        (version.plan_id, version.version_id, version.starts_at, version.ends_at)
        for version in book.prices.versions
        if version.plan_id in plans
    ]
    versions = pl.DataFrame(rows, schema=VERSIONS, orient="row")
    # The latest first: usage is of today, plans have a past.
    versions = placed(versions, ["plan_id"], "starts_at", descending=True)
    found = first_fitting(paid.select("plan_id", "date").with_row_index("row"), versions, ["plan_id"], "version_id")
    dated = paid.with_columns(found.alias("version_id"))
    if not found.null_count():
        return Rated(dated, empty(REFUSED))
    message = pl.format(
        "No version of plan “{}” was active at {}. Activate a version from then on, then rerate.", "plan", DATE
    )
    return Rated(dated.filter(found.is_not_null()), refuse(dated.filter(found.is_null()), "no_rate_group", message))


def find_rates(dated: pl.DataFrame, book: Book) -> Rated:
    """Add `rate_key`, the first rate of the version's groups that fits, and what was asked for on the way.

    dated: as `find_versions` leaves it. Refuses usage that no rate fits, naming what is missing.
    """
    met = set(dated["version_id"].unique().to_list())
    rates = [rate for rate in book.prices.rates if rate.version.version_id in met and not rate.is_cost]
    versions = [version for version in book.prices.versions if version.version_id in met]
    offers = offers_of(rates)
    asked = with_answers(dated, offers, versions)
    keys = search(asked, offers)
    matched = asked.with_columns(keys.alias("rate_key"))
    if not keys.null_count():
        return Rated(matched, empty(REFUSED))
    left = matched.filter(keys.is_null()).drop("rate_key")
    return Rated(matched.filter(keys.is_not_null()), without_rate(left, versions, rates))


def find_costs(usage: pl.DataFrame, rates: Sequence[PricedRate]) -> pl.Series:
    """The key of the first rate among `rates` that fits each row; null without one. usage: with its version_id."""
    versions = list({rate.version.version_id: rate.version for rate in rates}.values())
    offers = offers_of(rates)
    return search(with_answers(usage, offers, versions), offers)


def with_answers(usage: pl.DataFrame, offers: Offers, versions: Sequence[Version]) -> pl.DataFrame:
    """Add what the offers ask about: the reading of the clock, extensions, zones by each identifier asked for."""
    if offers.questions.need_clock and "wall_clock" not in usage.columns:
        usage = usage.with_columns(wall_clock(usage))
    usage = with_extensions(usage, offers.questions.fields)
    prefixes = None
    for identifier, column in zones_asked([group for each in versions for group in groups_in(each)]):
        if column not in usage.columns:
            prefixes = prefixes_of(versions) if prefixes is None else prefixes
            numbers = usage.select("version_id", identifier=identifier)
            usage = usage.with_columns(find_zones(numbers, prefixes).alias(column))
    return usage


def groups_in(version: Version) -> tuple[Group, ...]:
    """The groups of a version, those that say its costs after those that say its prices."""
    return (*version.plan.groups, *version.plan.cost_groups)


def search(usage: pl.DataFrame, offers: Offers) -> pl.Series:
    """The key of the first offer that fits each row; null without one."""
    on = ["version_id", "usage_class_id"]
    rows = usage.select(*on, "date").with_row_index("row")
    if offers.near:
        on.append("near_zone")
        rows = rows.with_columns(_near_zones(usage, offers))

    def fits(tried: pl.DataFrame) -> pl.Series:
        return offers.questions.answers(usage, tried)

    return first_fitting(rows, offers.frame, on, "rate_key", fits)


def _near_zones(usage: pl.DataFrame, offers: Offers) -> pl.Series:
    """The zone of each row where an offer of its class stands for it, else null."""
    zone = pl.coalesce(
        pl.when(pl.col("version_id").is_in(_of(offers, zone_by))).then(column)
        for zone_by, (_, column) in ZONE_COLUMNS.items()
        if zone_by in offers.near.values()
    )
    keys = ["version_id", "usage_class_id", "near_zone"]
    known = offers.frame.select(keys).unique().filter(pl.col("near_zone").is_not_null())
    named = usage.select("version_id", "usage_class_id", near_zone=zone)
    matched = named.join(known.with_columns(known="near_zone"), on=keys, how="left", maintain_order="left")
    return matched["known"].alias("near_zone")


def _of(offers: Offers, zone_by: str) -> list[int]:
    return [version_id for version_id, near in offers.near.items() if near == zone_by]
