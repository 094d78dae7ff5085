"""Zones by the longest prefix of an identifier: one join for each length that a prefix has."""

from collections.abc import Sequence

import polars as pl

from rating.core.tariffs import Version


def prefixes_of(versions: Sequence[Version]) -> pl.DataFrame:
    """The prefixes of every version's zones: version_id, prefix, zone."""
    rows = [
        (version.version_id, prefix, zone.name)
        for version in versions
        for zone in version.plan.zones
        for prefix in zone.prefixes
    ]
    return pl.DataFrame(
        rows, schema={"version_id": pl.Int64, "prefix": pl.String, "zone": pl.String}, orient="row"
    ).unique(["version_id", "prefix"], keep="first", maintain_order=True)


def find_zones(numbers: pl.DataFrame, prefixes: pl.DataFrame) -> pl.Series:
    """The zone whose prefix of all in its version is the longest that each identifier begins with; null without one.

    numbers: version_id, identifier. prefixes: as `prefixes_of` gives them.
    """
    asked = numbers.select("version_id", "identifier").unique().filter(pl.col("identifier").is_not_null())
    left, found = asked, []
    by_length = prefixes.with_columns(length=pl.col("prefix").str.len_chars()).partition_by("length", as_dict=True)
    for (length,), known in sorted(by_length.items(), reverse=True):
        tried = left.with_columns(prefix=pl.col("identifier").str.head(length)).join(
            known.drop("length"), on=["version_id", "prefix"], how="left", maintain_order="left"
        )
        found.append(tried.filter(pl.col("zone").is_not_null()).drop("prefix"))
        left = tried.filter(pl.col("zone").is_null()).select(asked.columns)
    zones = pl.concat(found) if found else asked.with_columns(zone=pl.lit(None, pl.String))
    return numbers.join(zones, on=["version_id", "identifier"], how="left", maintain_order="left")["zone"]
