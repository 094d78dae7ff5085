"""Sorting records into kept, skipped and rejected; every record ends in exactly one of them."""

from collections.abc import Iterable, Sequence
from functools import reduce
from operator import and_, or_

import polars as pl
import polars_hash  # noqa: F401 - registers the hash expressions

from mediation.core.codes import Code
from mediation.core.expressions import to_polars
from mediation.core.frames import KEYS, LEFT_OUT, REJECTED, REPEATED, UDRS, Catalogue, Verdict
from mediation.core.mapping import NO_TABLES, in_order, map_texts, rules_of_mapping, text_of, type_fields
from mediation.core.reading import json_records, source_column
from mediation.core.spec import EXTENSION_PREFIX, IDENTIFIER_FIELDS, REQUIRED_FIELDS, ProfileSpec, SkipFilter
from mediation.core.structure.aggregating import RECORD_SEPARATOR
from mediation.core.transforms import Tables
from mediation.core.validations import Rule, validate
from mediation.core.voiding import Voids, Window, leave_out, leave_out_replaced, outside_of
from mediation.core.wording import quoted

MAX_KEY_CHARS = 200
MAX_VALUE_CHARS = 200  # of a text at fault: enough to tell groups of faults apart
# What looks like a date in a record's text; a number that does is as good.
A_DAY = r"((?:19|20)[0-9]{2}-?[0-9]{2}-?[0-9]{2}|[0-9]{1,2}[./][0-9]{1,2}[./](?:19|20)[0-9]{2})"
ASKED_BY_RULES = ("came:", "failed:", "failure:", "clock:", "offset:", "parsed:", "in_gap:")
TEXT_FIELDS = {
    "OriginatingIdentifier": "originating_identifier",
    "TerminatingIdentifier": "terminating_identifier",
    "UdrUsageIdentifier": "udr_usage_identifier",
    "CandidateTerminatingIdentifier": "candidate_terminating_identifier",
    "UniquenessIdentifier": "uniqueness_identifier",
    "Currency": "currency",
}


def mediate(
    records: pl.DataFrame,
    *,
    spec: ProfileSpec,
    catalogue: Catalogue,
    windows: pl.DataFrame,
    tables: Tables = NO_TABLES,
    voids: Voids | None = None,
    window: Window | None = None,
    replaced: Sequence[Window] = (),
) -> Verdict:
    """Sort RECORDS into UDRs, skipped and rejected ones.

    records: RAW and the source columns that the spec reads, as `reading` gives them. windows: WINDOWS, a row an import.
    tables: what the profile's transforms look things up in. voids: what was taken back and does not come again.
    window: of the backfill that the records came by. replaced: windows whose usage from before a backfill took the
    place of; `voids` says when the records came.
    """
    records, aside = _set_aside(records.join(windows, on="import_id", how="left", maintain_order="left"))
    readable, faulty = _apart(records, pl.col("fault").is_null())
    rejected = [_reading_faults(faulty)]
    readable, skipped = _skip(readable, spec.skip)
    typed = type_fields(map_texts(readable, spec, tables), spec)
    signs = {mapping.name: mapping.decimal_sign for mapping in spec.fields}
    mended, own_rules = validate(typed, spec.validations, signs)
    kept, refused = _refuse(_name_ids(mended, catalogue, spec), [*own_rules, *_rules(spec)], spec)
    rejected.append(refused)
    kept, without_key = _refuse(_add_keys(kept, spec), [_key_rule(spec)], spec)
    rejected.append(without_key)
    kept, outside = outside_of(kept, window)
    rejected.append(outside)
    kept, voided = leave_out(kept, voids)
    if voids is not None:
        kept, by_backfill = leave_out_replaced(kept, replaced, voids.arrivals)
        voided = pl.concat([voided, by_backfill])
    # A key's records lie in their order, so that the first of them is the one that counts.
    firsts, repeated = _apart(_in_order_of_records(kept), pl.col("key").is_first_distinct())
    udrs = firsts.select(*_udr_columns(spec), *KEYS, "raw")
    return Verdict(udrs, pl.concat([aside, skipped, voided]), pl.concat(rejected), repeated.select(list(REPEATED)))


def _set_aside(records: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Records that are to be judged, and LEFT_OUT rows of headers, trailers and parts of others."""
    if "aside" not in records.columns:
        return records, pl.DataFrame(schema=LEFT_OUT)
    usage, aside = _apart(records, pl.col("aside").is_null())
    left_out = aside.select(
        "import_id", "record_number", outcome="aside", reason="aside_reason", udr_id=pl.lit(None, pl.Int64)
    )
    return usage, left_out.cast(LEFT_OUT)  # type: ignore[arg-type]


def _apart(frame: pl.DataFrame, condition: pl.Expr) -> tuple[pl.DataFrame, pl.DataFrame]:
    mark = frame.select(condition.fill_null(False)).to_series()
    # Nearly always all of them: a frame that nothing is taken from need not be copied.
    return frame if mark.all() else _those(frame, mark), _those(frame, ~mark)


def _those(frame: pl.DataFrame, mark: pl.Series) -> pl.DataFrame:
    """The marked rows, in one piece: `format` of polars 2.1.0 panics at a column whose first piece is empty."""
    return frame.filter(mark).rechunk()


def _in_order_of_records(kept: pl.DataFrame) -> pl.DataFrame:
    """By import and record; a part of a file is so already, and sorting it would copy every column."""
    is_one = kept["import_id"].min() == kept["import_id"].max()
    return kept if is_one and kept["record_number"].is_sorted() else kept.sort("import_id", "record_number")


def _reading_faults(faulty: pl.DataFrame) -> pl.DataFrame:
    return faulty.select(
        "import_id", "record_number", "raw", code="fault", field=pl.lit(""), value=pl.lit(""), message="fault_message"
    ).cast(REJECTED)  # type: ignore[arg-type]


# Skip filters


def _skip(records: pl.DataFrame, filters: Iterable[SkipFilter]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Records that no filter matches, and LEFT_OUT rows that name the first filter that did."""
    by = pl.coalesce(*(pl.when(matches(skip)).then(pl.lit(skip.name)) for skip in filters), pl.lit(None, pl.String))
    kept, matched = _apart(records.with_columns(skipped_by=by), pl.col("skipped_by").is_null())
    skipped = matched.select(
        "import_id", "record_number", outcome=pl.lit("skipped"), reason="skipped_by", udr_id=pl.lit(None, pl.Int64)
    )
    return kept.drop("skipped_by"), skipped.cast(LEFT_OUT)  # type: ignore[arg-type]


def matches(skip: SkipFilter) -> pl.Expr:
    """Whether a filter skips a record."""
    if skip.condition is not None:
        return to_polars(skip.condition, lambda name: pl.col(source_column(name)))
    text = pl.col(source_column(skip.source)).fill_null("")
    if skip.operator == "matches":
        # Rust's regular expressions: linear in the text, whatever the pattern.
        return reduce(or_, (text.str.contains(pattern) for pattern in skip.values))
    if skip.operator in ("is_empty", "is_not_empty"):
        is_empty = text.str.strip_chars() == ""
        return is_empty if skip.operator == "is_empty" else ~is_empty
    is_one = text.is_in(skip.values)
    return is_one if skip.operator == "equals" else ~is_one


# Names to ids


def _name_ids(mapped: pl.DataFrame, catalogue: Catalogue, spec: ProfileSpec) -> pl.DataFrame:
    """Add usage_class_id, known_class_type and identifier_type_id by the names that the records use."""
    if spec.mapping("UdrIdentifierTypeName") is None:
        mapped = mapped.with_columns(pl.lit("Unknown").alias("text:UdrIdentifierTypeName"))
    classes = catalogue.classes.rename({"usage_class_name": "text:UsageClassName"})
    types = catalogue.identifier_types.rename({"identifier_type_name": "text:UdrIdentifierTypeName"})
    named = mapped.with_columns(text_of("UdrIdentifierTypeName").fill_null("Unknown"))
    return named.join(classes, on="text:UsageClassName", how="left", maintain_order="left").join(
        types, on="text:UdrIdentifierTypeName", how="left", maintain_order="left"
    )


# Rules: the first that a record breaks names its exception


def _rules(spec: ProfileSpec) -> Iterable[Rule]:
    for name in REQUIRED_FIELDS:
        mapping = spec.mapping(name)
        if mapping and mapping.value_map is None and not mapping.is_rich:
            yield Rule(Code.MISSING_VALUE, name, text_of(name).is_null(), pl.lit("is empty, and no UDR is without it"))
    for mapping in in_order(spec.fields):
        yield from rules_of_mapping(mapping, spec)
    for name in REQUIRED_FIELDS:
        yield Rule(Code.MISSING_VALUE, name, text_of(name).is_null(), pl.lit("is empty, and no UDR is without it"))
    if spec.mapping("Extensions"):
        text = text_of("Extensions")
        is_bad = ~text.map_elements(json_records.is_object, return_dtype=pl.Boolean, skip_nulls=True)
        message = pl.format("{} is no JSON object that can be kept", quoted(text))
        yield Rule(Code.BAD_EXTENSIONS, "Extensions", is_bad, message)
    yield from _name_rules(spec)
    mapped = [name for name in IDENTIFIER_FIELDS if spec.mapping(name)]
    yield Rule(
        Code.MISSING_IDENTIFIER,
        mapped[0],
        reduce(and_, (text_of(name).is_null() for name in mapped)),
        pl.lit("no identifier says whose usage it is"),
    )
    if spec.mapping("Currency"):
        is_bad = ~text_of("Currency").str.contains(r"^[A-Z]{3}$")
        message = pl.format("{} is no ISO 4217 code, such as EUR", quoted(text_of("Currency")))
        yield Rule(Code.BAD_CURRENCY, "Currency", is_bad, message)
    yield from _age_rules()


def _name_rules(spec: ProfileSpec) -> Iterable[Rule]:
    name = text_of("UsageClassName")
    yield Rule(
        Code.UNKNOWN_USAGE_CLASS,
        "UsageClassName",
        pl.col("usage_class_id").is_null(),
        pl.format("there is no usage class {}; add it, or map the value", quoted(name)),
    )
    if spec.mapping("UsageClassTypeName"):
        type_name, known = text_of("UsageClassTypeName"), pl.col("known_class_type")
        yield Rule(
            Code.USAGE_CLASS_TYPE_MISMATCH,
            "UsageClassTypeName",
            type_name.is_not_null() & type_name.ne_missing(known),
            pl.format("usage class {} is of type {}, not {}", quoted(name), quoted(known), quoted(type_name)),
        )
    yield Rule(
        Code.UNKNOWN_IDENTIFIER_TYPE,
        "UdrIdentifierTypeName",
        pl.col("identifier_type_id").is_null(),
        pl.format("there is no identifier type {}; add it, or map the value", quoted(text_of("UdrIdentifierTypeName"))),
    )


def _age_rules() -> Iterable[Rule]:
    date, earliest, latest = pl.col("typed:Date"), pl.col("earliest"), pl.col("latest")
    message = pl.format("{} lies before {}, the oldest that the feed takes", _shown(date), _shown(earliest))
    yield Rule(Code.TOO_OLD, "Date", date < earliest, message)
    message = pl.format("{} lies after {}, the latest that the feed takes", _shown(date), _shown(latest))
    yield Rule(Code.IN_FUTURE, "Date", date > latest, message)


def _shown(moment: pl.Expr) -> pl.Expr:
    return moment.dt.to_string("%Y-%m-%d %H:%M:%S UTC")


def _refuse(frame: pl.DataFrame, rules: list[Rule], spec: ProfileSpec) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Records that keep every rule, and REJECTED rows that name the first one broken."""
    broken = frame.with_columns(
        broken=pl.coalesce(pl.when(rule.broken).then(pl.lit(place, pl.Int16)) for place, rule in enumerate(rules))
    )
    is_kept = broken["broken"].is_null()
    # What only rules ask for is not copied along.
    done_with = [name for name in broken.columns if name.startswith(ASKED_BY_RULES)]
    kept, refused = _those(broken.drop("broken", *done_with), is_kept), _those(broken, ~is_kept)
    parts = [
        refused.filter(pl.col("broken") == place).select(
            "import_id",
            "record_number",
            "raw",
            code=code if isinstance(code := rules[place].code, pl.Expr) else pl.lit(str(code)),
            field=pl.lit(rules[place].field),
            value=_offending_value(rules[place].field, spec),
            message=rules[place].message,
        )
        for place in refused["broken"].unique().sort().to_list()
    ]
    return kept, pl.concat([pl.DataFrame(schema=REJECTED), *parts])


def _offending_value(field: str, spec: ProfileSpec) -> pl.Expr:
    """The source's text behind a UDR field; of a field made of several, their texts."""
    mapping = spec.mapping(field)
    if mapping is None:
        return pl.lit("")
    if mapping.source is not None:
        text = pl.col(source_column(mapping.source))
    elif mapping.head is not None:
        names = [name for name in spec.sources if name in mapping.head.sources]
        text = pl.concat_str([pl.lit(""), *map(pl.col, map(source_column, names))], separator=" ", ignore_nulls=True)
        text = text.str.strip_chars()
    else:
        text = text_of(field)
    return text.fill_null("").str.head(MAX_VALUE_CHARS)


# Uniqueness


def _add_keys(kept: pl.DataFrame, spec: ProfileSpec) -> pl.DataFrame:
    """Add `content_hash`, and the `key` that must be new in the feed; a null key could not be made."""
    # A record that several rows make is all of their texts.
    content = pl.coalesce("content", "raw") if "content" in kept.columns else pl.col("raw")
    if not spec.is_of_rows:
        texts = kept.select(content).to_series()
        kept = kept.with_columns(_content=pl.Series(map(_canonical, texts), dtype=pl.String))
        content = pl.col("_content")
    kept = kept.with_columns(content_hash=content.chash.sha2_256().str.slice(0, 32))  # type: ignore[attr-defined]
    if not spec.uniqueness and not spec.unique_sources:
        # The day in front keeps keys of one time together in the index. It is taken from the text and not from what the
        # profile makes of it: a version that reads the date in another zone must know the record again.
        return kept.with_columns(
            key=pl.concat_str(content.str.extract(A_DAY).fill_null(""), pl.lit("-"), "content_hash")
        )
    parts = [_key_part(name, spec) for name in spec.uniqueness]
    parts += [pl.col(source_column(name)).fill_null("") for name in spec.unique_sources]
    # A unit separator cannot be mistaken for a part's own text by length: each part but the last is counted.
    whole = parts[0] if len(parts) == 1 else pl.concat_str(*(_counted(part) for part in parts))
    hashed = whole.str.slice(0, 64) + "#" + whole.chash.sha2_256()  # type: ignore[attr-defined]
    key = pl.when(whole.str.len_chars() > MAX_KEY_CHARS).then(hashed).otherwise(whole)
    is_empty = reduce(and_, (part == "" for part in parts))
    return kept.with_columns(key=pl.when(~is_empty).then(key))


def _canonical(content: str) -> str:
    """One text for all spellings of the JSON objects that make a record."""
    return RECORD_SEPARATOR.join(sorted(map(json_records.canonical, content.split(RECORD_SEPARATOR))))


def _key_part(name: str, spec: ProfileSpec) -> pl.Expr:
    mapping = spec.mapping(name)
    if mapping is not None and mapping.kind == "date":
        return pl.col(f"typed:{name}").dt.strftime("%Y-%m-%dT%H:%M:%S%.6fZ").fill_null("")
    return text_of(name).fill_null("")


def _counted(part: pl.Expr) -> pl.Expr:
    return part.str.len_chars().cast(pl.String) + ":" + part + ";"


def _key_rule(spec: ProfileSpec) -> Rule:
    names = ", ".join(spec.uniqueness)
    message = pl.lit(f"none of the fields that make a record unique has a value: {names}")
    return Rule(
        Code.MISSING_UNIQUENESS, spec.uniqueness[0] if spec.uniqueness else "", pl.col("key").is_null(), message
    )


def sort_repeats(repeats: pl.DataFrame, holders: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Records whose key a UDR holds: LEFT_OUT where the content is the same, REJECTED where it is not.

    repeats: REPEATED. holders: key, held_by (the UDR), held_hash (its content).
    """
    known = repeats.join(holders, on="key", how="left", maintain_order="left")
    duplicates, conflicts = _apart(known, pl.col("content_hash") == pl.col("held_hash"))
    left_out = duplicates.select(
        "import_id", "record_number", outcome=pl.lit("duplicate"), reason="key", udr_id="held_by"
    )
    message = pl.format("the key {} stands for other content in a record that came before", quoted(pl.col("key")))
    rejected = conflicts.select(
        "import_id",
        "record_number",
        "raw",
        code=pl.lit(str(Code.CONFLICT)),
        field=pl.lit(""),
        value=pl.lit(""),
        message=message,
    )
    return left_out.cast(LEFT_OUT), rejected.cast(REJECTED)  # type: ignore[arg-type]


# The UDR


def _udr_columns(spec: ProfileSpec) -> list[pl.Expr]:
    columns = {
        "import_id": pl.col("import_id"),
        "record_number": pl.col("record_number"),
        "date": pl.col("typed:Date"),
        "source_zone": pl.col("zone:Date"),
        "usage_class_id": pl.col("usage_class_id"),
        "identifier_type_id": pl.col("identifier_type_id"),
        "value": pl.col("typed:Value"),
        "amount": _typed("Amount", spec),
        "inbound": _typed("Inbound", spec).fill_null(False) if spec.mapping("Inbound") else pl.lit(False),
        "reverse_rating": (
            _typed("ReverseRating", spec).fill_null(False) if spec.mapping("ReverseRating") else pl.lit(False)
        ),
        "primary_data_row": _typed("PrimaryDataRow", spec),
        "usage_bill_date": _typed("UsageBillDate", spec),
        "extensions": _extensions(spec),
        "repairs": pl.col("repairs"),
    }
    for field, column in TEXT_FIELDS.items():
        columns[column] = text_of(field) if spec.mapping(field) else pl.lit(None, pl.String)
    return [columns[name].cast(kind).alias(name) for name, kind in UDRS.items()]


def _typed(name: str, spec: ProfileSpec) -> pl.Expr:
    return pl.col(f"typed:{name}") if spec.mapping(name) else pl.lit(None)


def _extensions(spec: ProfileSpec) -> pl.Expr:
    """One JSON object a record: the source's own object, or the single values that the profile names."""
    if spec.mapping("Extensions"):
        return text_of("Extensions")
    named = [mapping.name for mapping in spec.fields if mapping.name.startswith(EXTENSION_PREFIX)]
    if not named:
        return pl.lit(None, pl.String)
    return pl.struct(text_of(name).alias(name.removeprefix(EXTENSION_PREFIX)) for name in named).struct.json_encode()
