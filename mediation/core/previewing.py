"""What a profile would make of records, told step by step: source fields, each UDR field's texts, value and outcome."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Any

import polars as pl

from mediation.core.frames import UDRS, Catalogue, Verdict
from mediation.core.judging import mediate, sort_repeats
from mediation.core.mapping import NO_TABLES, map_texts, type_fields
from mediation.core.reading import source_column
from mediation.core.spec import FieldMapping, ProfileSpec
from mediation.core.transforms import Tables
from mediation.core.validations import validate

OUTCOMES = ("imported", "exception", "skipped", "duplicate")


@dataclass(frozen=True)
class Step:
    """What a step of a mapping left of a field's text."""

    name: str
    text: str | None


@dataclass(frozen=True)
class FieldTrace:
    """How a UDR field came to its value. origin: the source field or literal that its text began with."""

    name: str
    origin: str
    steps: tuple[Step, ...]
    value: str | None


@dataclass(frozen=True)
class PreviewedRecord:
    """A record and what would become of it.

    reason: the rules that repaired it, the filter that skipped it, the code of its exception, or the number of the
    record that it repeats.
    """

    number: int
    raw: str
    sources: dict[str, str | None]
    fields: tuple[FieldTrace, ...]
    outcome: str
    reason: str = ""
    field: str = ""
    message: str = ""


@dataclass(frozen=True)
class Preview:
    """Every record once, in its order. udrs: UDRS of those that would be imported. is_cut: the sample held more."""

    records: tuple[PreviewedRecord, ...]
    udrs: pl.DataFrame
    is_cut: bool = False

    @property
    def counts(self) -> dict[str, int]:
        """How many records have each outcome."""
        counted = Counter(record.outcome for record in self.records)
        return {outcome: counted[outcome] for outcome in OUTCOMES}

    @property
    def reasons(self) -> list[tuple[str, str, int]]:
        """(outcome, filter or code, count), the commonest first; duplicates are not told apart."""
        counted = Counter(
            (record.outcome, record.reason) for record in self.records if record.outcome in ("exception", "skipped")
        )
        return [(outcome, reason, count) for (outcome, reason), count in counted.most_common()]


def preview(
    records: pl.DataFrame,
    *,
    spec: ProfileSpec,
    catalogue: Catalogue,
    windows: pl.DataFrame,
    tables: Tables = NO_TABLES,
    is_cut: bool = False,
) -> Preview:
    """What becomes of RECORDS of one import, with the steps that made it. windows: WINDOWS, a row for that import."""
    verdict = mediate(records, spec=spec, catalogue=catalogue, windows=windows, tables=tables)
    ends = outcomes_of(verdict)
    traces = list(_traces(records, spec, tables))
    sources = [source for source in spec.sources if source_column(source) in records.columns]
    told = [
        PreviewedRecord(
            number=row["record_number"],
            raw=row["raw"],
            sources={source: row[source_column(source)] for source in sources},
            fields=fields if row["fault"] is None else (),
            **ends[row["record_number"]],
        )
        for row, fields in zip(records.iter_rows(named=True), traces, strict=True)
    ]
    told.sort(key=lambda record: record.number)
    return Preview(tuple(told), verdict.kept.select(list(UDRS)), is_cut)


def outcomes_of(verdict: Verdict) -> dict[int, dict[str, str]]:
    """Each record number of one import with its outcome, reason, field and message; repeats are told by the sample."""
    holders = verdict.kept.select("key", held_by="record_number", held_hash="content_hash")
    duplicates, conflicts = sort_repeats(verdict.repeated, holders)
    ends = {
        number: {"outcome": "imported"} | ({"reason": repairs, "message": f"repaired by {repairs}"} if repairs else {})
        for number, repairs in verdict.kept.select("record_number", "repairs").iter_rows()
    }
    for number, reason in verdict.skipped.select("record_number", "reason").iter_rows():
        ends[number] = {"outcome": "skipped", "reason": reason}
    for number, first in duplicates.select("record_number", "udr_id").iter_rows():
        ends[number] = {"outcome": "duplicate", "reason": str(first), "message": f"repeats record {first}"}
    for part in (verdict.rejected, conflicts):
        for row in part.select("record_number", "code", "field", "message").iter_rows():
            ends[row[0]] = {"outcome": "exception", "reason": row[1], "field": row[2], "message": row[3]}
    return ends


def named_by(records: pl.DataFrame, spec: ProfileSpec, tables: Tables = NO_TABLES) -> Catalogue:
    """A catalogue of just the names that the records use, each class of the type that they give it."""
    texts = map_texts(records.filter(pl.col("fault").is_null()), spec, tables)
    lacking = [f"text:{name}" for name in NAMED if f"text:{name}" not in texts.columns]
    texts = texts.with_columns(pl.lit(None, pl.String).alias(name) for name in lacking)
    classes = texts.select(usage_class_name="text:UsageClassName", known_class_type="text:UsageClassTypeName")
    types = texts.select(pl.col("text:UdrIdentifierTypeName").fill_null("Unknown").alias("identifier_type_name"))
    numbered = classes.drop_nulls("usage_class_name").unique("usage_class_name", keep="first", maintain_order=True)
    return Catalogue(
        classes=numbered.with_columns(usage_class_id=-1 - pl.int_range(pl.len(), dtype=pl.Int64)).select(
            "usage_class_name", "usage_class_id", "known_class_type"
        ),
        identifier_types=types.unique(maintain_order=True).with_columns(
            identifier_type_id=1 + pl.int_range(pl.len(), dtype=pl.Int64)
        ),
    )


NAMED = ("UsageClassName", "UsageClassTypeName", "UdrIdentifierTypeName")

# Steps

# The parts of a mapping in the order in which they work on the text, with what each is without effect.
PARTS: tuple[tuple[str, str, Any], ...] = (
    ("trim", "trimmed", False),
    ("transforms", "transform", ()),
    ("case", "case", None),
    ("value_map", "value map", None),
    ("default", "default", None),
)


def _traces(records: pl.DataFrame, spec: ProfileSpec, tables: Tables) -> Iterator[tuple[FieldTrace, ...]]:
    """The fields of each record, in the order of the records."""
    stages = [(name, _texts(records, staged, tables)) for name, staged in _stages(spec)]
    typed = type_fields(map_texts(records, spec, tables), spec)
    mended, _ = validate(typed, spec.validations, {mapping.name: mapping.decimal_sign for mapping in spec.fields})
    if spec.validations:
        stages.append(("repaired", _texts_in(mended, spec)))
    values = {mapping.name: _shown_values(mended, mapping) for mapping in spec.fields}
    for place in range(records.height):
        yield tuple(
            FieldTrace(
                name=mapping.name,
                origin=origin_of(mapping),
                steps=tuple(_steps(mapping, stages, place)),
                value=values[mapping.name][place],
            )
            for mapping in spec.fields
        )


def _steps(mapping: FieldMapping, stages: Sequence[tuple[str, dict[str, list[Any]]]], place: int) -> Iterator[Step]:
    """The text as it began, then each step that changed it."""
    before: Any = Ellipsis
    for name, texts in stages:
        text = texts[mapping.name][place]
        if text != before:
            yield Step(_name_of(name, mapping) if before is not Ellipsis else _beginning(mapping), text)
            before = text


def _texts(records: pl.DataFrame, spec: ProfileSpec, tables: Tables) -> dict[str, list[Any]]:
    return _texts_in(map_texts(records, spec, tables), spec)


def _texts_in(mapped: pl.DataFrame, spec: ProfileSpec) -> dict[str, list[Any]]:
    return {mapping.name: mapped[f"text:{mapping.name}"].to_list() for mapping in spec.fields}


def _stages(spec: ProfileSpec) -> Iterator[tuple[str, ProfileSpec]]:
    """The spec with the first part of every mapping at work, then the first two, and so on to the whole."""
    bare = [replace(mapping, **{part: idle for part, _, idle in PARTS}) for mapping in spec.fields]
    yield "as read", replace(spec, fields=tuple(bare), null_texts=())
    for part, name, _ in PARTS:
        if part == "transforms":
            for length in range(1, max((len(mapping.transforms) for mapping in spec.fields), default=0) + 1):
                bare = _with(bare, [{part: mapping.transforms[:length]} for mapping in spec.fields])
                yield f"{name} {length}", replace(spec, fields=tuple(bare))
            continue
        bare = _with(bare, [{part: getattr(mapping, part)} for mapping in spec.fields])
        if part == "trim":
            yield name, replace(spec, fields=tuple(bare), null_texts=())
            name = "no value"
        yield name, replace(spec, fields=tuple(bare))


def _with(mappings: Sequence[FieldMapping], parts: Sequence[dict[str, Any]]) -> list[FieldMapping]:
    return [replace(mapping, **one) for mapping, one in zip(mappings, parts, strict=True)]


def _name_of(stage: str, mapping: FieldMapping) -> str:
    """A stage's name; a transform's own where the stage is one of a chain."""
    if not stage.startswith("transform "):
        return stage
    transform = mapping.transforms[int(stage.removeprefix("transform ")) - 1]
    return str(getattr(transform, "name", type(transform).__name__.lower()))


def origin_of(mapping: FieldMapping) -> str:
    """Where a field's text begins, for a person."""
    return mapping.source if mapping.source is not None else _beginning(mapping)


def _beginning(mapping: FieldMapping) -> str:
    if mapping.source is not None:
        return "as read"
    return "fixed text" if mapping.literal is not None else "computed"


def _shown_values(typed: pl.DataFrame, mapping: FieldMapping) -> list[str | None]:
    name = f"typed:{mapping.name}" if f"typed:{mapping.name}" in typed.columns else f"text:{mapping.name}"
    return [shown(value) for value in typed[name].to_list()]


def shown(value: Any) -> str | None:
    """A typed value as a person reads it: every digit that says something, moments in UTC."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, datetime):
        text = value.strftime("%Y-%m-%d %H:%M:%S.%f").rstrip("0").removesuffix(".")
        return f"{text} UTC"
    if isinstance(value, Decimal):
        return f"{value.normalize() if value else Decimal(0):f}"
    return str(value).lower() if isinstance(value, bool) else str(value)
