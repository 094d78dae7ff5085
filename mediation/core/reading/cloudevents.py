"""CloudEvents 1.0 in JSON: one event, a batch, or an event a line. The spec's JSON format, structured and batched.

An event is read as any JSON record is, so that sources are its attributes (`id`, `subject`, an extension's name) and
paths into its data (`data.tokens`). Data that came as base64 and holds JSON is read as if it stood in `data`.
"""

import base64
from collections.abc import Iterable, Iterator, Sequence

import polars as pl

from mediation.core.codes import Code
from mediation.core.reading import json_records
from mediation.core.reading.frames import RAW, Span, source_column

REQUIRED = ("specversion", "id", "source", "type")
SPEC_VERSION = "1.0"
DATA = "data"
BASE64 = "data_base64"
MEDIA_TYPE = "datacontenttype"
JSON_TYPE = r"^\s*[\w.+-]+/(?:[\w.-]+\+)?json\s*(?:;|$)"


def cut(blocks: Iterable[bytes]) -> tuple[None, Iterator[Span]]:
    """The spans that the file can be read in. Raises UnreadableError, also while they are taken."""
    return None, json_records.cut(blocks)


def read(content: bytes, sources: Sequence[str], *, import_id: int, first_number: int) -> pl.DataFrame:
    """RECORDS of a span that `cut` found."""
    records = json_records.read(content, _asked(sources), import_id=import_id, first_number=first_number)
    return _judge(_with_data(records, sources), sources)


def read_rows(rows: pl.DataFrame, sources: Sequence[str]) -> pl.DataFrame:
    """RECORDS of rows that came one by one. rows: columns import_id, record_number, raw."""
    return _judge(_with_data(json_records.read_rows(rows, _asked(sources)), sources), sources)


def _asked(sources: Sequence[str]) -> list[str]:
    """What is read of an event: what the profile asks for, and what decides whether it is one."""
    return list(dict.fromkeys([*sources, *REQUIRED, DATA, BASE64, MEDIA_TYPE]))


def _with_data(records: pl.DataFrame, sources: Sequence[str]) -> pl.DataFrame:
    """Events whose data came as base64, with the sources in it filled."""
    packed = pl.col(source_column(BASE64))
    inside = {source: source.removeprefix(f"{DATA}.") for source in sources if source.startswith(f"{DATA}.")}
    is_packed = packed.is_not_null() & pl.col("fault").is_null()
    events = records.filter(is_packed)
    if events.is_empty():
        return records
    text = pl.Series([_unpacked(one) for one in events[source_column(BASE64)].to_list()], dtype=pl.String)
    found = events.select(
        "import_id", "record_number", raw=text, is_json=_says_json(), has_both=pl.col(source_column(DATA)).is_not_null()
    )
    message = (
        pl.when("has_both")
        .then(pl.lit("the event has both data and data_base64"))
        .when(pl.col("raw").is_null())
        .then(pl.lit("data_base64 is not base64 of UTF-8 text"))
    )
    data = json_records.read_rows(found.with_columns(pl.col("raw").fill_null("")), list(inside.values()))
    read = found.with_columns(
        data_message=pl.coalesce(
            message,
            pl.when(pl.col("is_json") & data["fault"].is_not_null() & pl.lit(bool(inside))).then(
                pl.lit("data_base64 holds no JSON object that can be read")
            ),
        ),
        **{f"data:{source}": data[source_column(path)] for source, path in inside.items()},
    )
    keys = ["import_id", "record_number"]
    joined = records.join(read.drop("raw", "is_json", "has_both"), on=keys, how="left", maintain_order="left")
    is_faulty = pl.col("data_message").is_not_null()
    return joined.with_columns(
        fault=pl.coalesce("fault", pl.when(is_faulty).then(pl.lit(str(Code.MALFORMED)))),
        fault_message=pl.coalesce("fault_message", "data_message"),
        **{source_column(source): pl.coalesce(f"data:{source}", source_column(source)) for source in inside},
    ).drop("data_message", *(f"data:{source}" for source in inside))


def _unpacked(text: str) -> str | None:
    """The text that base64 stands for; None where it stands for none."""
    try:
        return base64.b64decode(text, validate=True).decode()
    except ValueError:
        return None


def _says_json() -> pl.Expr:
    """Whether an event says that its data is JSON; one that says nothing does."""
    return pl.col(source_column(MEDIA_TYPE)).str.to_lowercase().str.contains(JSON_TYPE).fill_null(True)


def _judge(records: pl.DataFrame, sources: Sequence[str]) -> pl.DataFrame:
    """Name the first rule of the specification that an event breaks."""
    version = pl.col(source_column("specversion"))
    rules = [
        (pl.col(source_column(name)).fill_null("") == "", pl.lit(f"the event lacks {name}, which CloudEvents require"))
        for name in REQUIRED
    ]
    wrong = pl.format("specversion {} is not read here; {} is", version, pl.lit(SPEC_VERSION))
    rules.append((version != SPEC_VERSION, wrong))
    message = pl.when(pl.col("fault").is_null()).then(pl.coalesce(pl.when(broken).then(told) for broken, told in rules))
    return records.with_columns(
        fault=pl.coalesce("fault", pl.when(message.is_not_null()).then(pl.lit(str(Code.MALFORMED)))),
        fault_message=pl.coalesce("fault_message", message),
    ).select(*RAW, *(source_column(source) for source in sources))
