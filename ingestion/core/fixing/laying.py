"""Corrections of a record: another text of it, and source fields that are laid over what is read from the text."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import polars as pl

from mediation.core.frames import source_column

Changes = Mapping[str, str | None]  # source field -> its text, or None where it is to be empty
# Between a record's text and the changes laid over it, and between the texts of a combined record.
SEPARATOR = "\x1e"


@dataclass(frozen=True)
class Corrected:
    """What a record is read from now. raw: None is the text as received. changes: laid over what is read from it."""

    raw: str | None = None
    changes: Changes = field(default_factory=dict)

    def then(self, raw: str | None, changes: Changes | None) -> "Corrected":
        """With one more revision: a new text forgets the changes before it, new changes join those that stand."""
        before = self.changes if raw is None else {}
        return Corrected(self.raw if raw is None else raw, {**before, **(changes or {})})


def fold(revisions: Iterable[tuple[str | None, Changes | None]]) -> Corrected:
    """What revisions (text or None, changes or None) come to, in their order."""
    corrected = Corrected()
    for raw, changes in revisions:
        corrected = corrected.then(raw, changes)
    return corrected


def lay_over(records: pl.DataFrame, changes: Mapping[tuple[int, int], Changes]) -> pl.DataFrame:
    """RECORDS with the changes of each (import id, record number) laid over their source columns.

    Fields that the records do not have are not read by their profile, and left alone. Where a change says something
    else than the text, it is part of the record's `content`: rows alike that are mended differently are different
    records, and those that are mended alike are still one.
    """
    numbers = zip(records["import_id"], records["record_number"], strict=True)
    places = {place: changes[number] for place, number in enumerate(numbers) if changes.get(number)}
    laid: dict[int, dict[str, str | None]] = {}
    columns = []
    for name in sorted({name for one in places.values() for name in one}):
        if source_column(name) not in records.columns:
            continue
        before = records[source_column(name)]
        wanted = {place: one[name] for place, one in places.items() if name in one and one[name] != before[place]}
        for place, text in wanted.items():
            laid.setdefault(place, {})[name] = text
        columns.append(_with(before, wanted))
    return records.with_columns(*columns, _content(records, laid)) if laid else records


def _with(before: pl.Series, texts: Mapping[int, str | None]) -> pl.Series:
    """`scatter` writes into the series that it is called on, which other frames may share."""
    return before.clone().scatter(list(texts), pl.Series(list(texts.values()), dtype=pl.String)) if texts else before


def _content(records: pl.DataFrame, laid: Mapping[int, Changes]) -> pl.Series:
    """The text that tells a record apart; null where its own does."""
    has_content = "content" in records.columns
    content = records["content"] if has_content else pl.Series("content", [None], dtype=pl.String)
    content = content if has_content else content.new_from_index(0, records.height)
    told = {
        place: (content[place] or records["raw"][place])
        + SEPARATOR
        + json.dumps(dict(sorted(one.items())), ensure_ascii=False)
        for place, one in laid.items()
    }
    return _with(content, told)
