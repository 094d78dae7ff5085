"""What audit entries say, in the words of the screens: fields, choices and references by their names."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import groupby
from typing import Any

from django.db.models import DateTimeField, Model, Q, QuerySet
from django.utils.dateparse import parse_datetime
from django.utils.text import capfirst
from django.utils.timezone import localtime

from config.auditing.tables import Audited
from config.auditing.triggers import audited_models
from config.models import AuditEntry
from mediation.core.differences import MISSING, differences

PAGE = 40
MOST_DIFFERENCES = 60
LONGEST = 600
SET_COUNT = "rows"  # in an entry of many rows: how many
HOW = {
    "screen": "on a screen",
    "API": "through the API",
    "worker": "by a worker",
    "command line": "by a command",
    "SQL": "by SQL",
}
Names = Mapping[tuple[type[Model], str], str]


@dataclass(frozen=True)
class Change:
    """One field: what it is called, and what it was and is, as text; empty where there was nothing."""

    field: str
    before: str
    after: str


@dataclass(frozen=True)
class Part:
    """One row of a deed, or a set of rows: what happened to it, what it is, and its fields."""

    entry: AuditEntry
    what: str
    name: str
    changes: list[Change]


@dataclass(frozen=True)
class Deed:
    """Rows that one person changed in one transaction for one reason."""

    first: AuditEntry
    parts: list[Part]

    @property
    def how(self) -> str:
        return HOW.get(self.first.source, self.first.source)


@cache
def models_by_table() -> dict[str, tuple[type[Model], Audited]]:
    return {model._meta.db_table: (model, said) for model, said in audited_models().items()}


def key_of(target: Model) -> str:
    """What the audit calls this row."""
    said = audited_models().get(type(target)._meta.concrete_model or type(target))
    return str(getattr(target, said.key)) if said and said.key else str(target.pk)


def entries_of(table: str, object_id: str, before: int | None = None) -> list[AuditEntry]:
    """The entries of a row and of what belongs to it, newest first; one more than a page holds, where there are more.

    Two questions put together: each walks its own index, where one with an OR would sort all that it finds.
    """
    older: QuerySet[AuditEntry] = AuditEntry.objects.order_by("-id")
    if before is not None:
        older = older.filter(id__lt=before)
    own = older.filter(table_name=table, object_id=object_id)[: PAGE + 1]
    parts = older.filter(owner_table=table, owner_id=object_id)[: PAGE + 1]
    beside = [
        older.filter(
            Q(**{f"after__{column}": int(object_id)}) | Q(**{f"before__{column}": int(object_id)}), table_name=of
        )[: PAGE + 1]
        for of, column in (_beside(table) if object_id.isdecimal() else ())
    ]
    return list(own.union(parts, *beside, all=True).order_by("-id")[: PAGE + 1])


def _beside(table: str) -> Iterator[tuple[str, str]]:
    """The tables whose rows name those of `table` beside what they are a part of, each with the column."""
    for name, (model, said) in models_by_table().items():
        field: Any = model._meta.get_field(said.beside) if said.beside else None
        if field and field.related_model._meta.db_table == table:
            yield name, field.column


def deeds(entries: Sequence[AuditEntry], of_table: str) -> list[Deed]:
    """Entries in words, those of one transaction together. of_table: the table whose page it is."""
    names = _names(entries)
    told = []
    for _, group in groupby(entries, key=lambda each: (each.transaction_id, each.actor_name, each.why)):
        rows = list(group)
        told.append(Deed(rows[0], [_part(row, names, of_table) for row in rows]))
    return told


def _part(entry: AuditEntry, names: Names, of_table: str) -> Part:
    model, _ = models_by_table().get(entry.table_name, (None, None))
    what = str(model._meta.verbose_name) if model else entry.table_name
    if model and (count := (entry.after or {}).get(SET_COUNT)) and not entry.object_id:
        return Part(entry, f"{count:,} {model._meta.verbose_name_plural}", "", list(changes_of(entry, names)))
    is_own = entry.table_name == of_table
    name = "" if is_own or model is None else names.get((model, entry.object_id), entry.object_id)
    return Part(entry, capfirst(what), name, list(changes_of(entry, names)))


def changes_of(entry: AuditEntry, names: Names) -> Iterator[Change]:
    """The fields that an entry tells of; of documents every place that differs."""
    model, _ = models_by_table().get(entry.table_name, (None, None))
    fields = {each.column: each for each in model._meta.concrete_fields} if model else {}
    before, after = entry.before or {}, entry.after or {}
    known = [name for name, said in fields.items() if (name in before or name in after) and not said.primary_key]
    others = [column for column in {**before, **after} if column not in fields]
    for column in [*known, *others]:
        said = fields.get(column)
        title = capfirst(str(said.verbose_name)) if said else column
        was, now = before.get(column), after.get(column)
        if is_document(was) and is_document(now):
            yield from _places(title, was, now)
        elif was not in (None, "", [], {}) or now not in (None, "", [], {}):
            yield Change(title, _worded(said, was, names), _worded(said, now, names))


def is_document(value: Any) -> bool:
    return isinstance(value, dict | list) and not _is_cut(value)


def _is_cut(value: Any) -> bool:
    return isinstance(value, dict) and value.keys() == {"begins", "length", "sha256"}


def _places(title: str, before: Any, after: Any) -> Iterator[Change]:
    found = list(differences(before, after))
    for each in found[:MOST_DIFFERENCES]:
        yield Change(f"{title} {each.pointer}", *(_as_json(value) for value in (each.before, each.after)))
    if len(found) > MOST_DIFFERENCES:
        yield Change(title, "", f"and {len(found) - MOST_DIFFERENCES:,} places more")


def _as_json(value: Any) -> str:
    if value is MISSING:
        return ""
    return _short(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))


def _worded(said: Any, value: Any, names: Names) -> str:
    """A value as the screens would show it."""
    if value is None or value == "":
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if _is_cut(value):
        return f"{_short(value['begins'])} ({value['length']:,} characters, SHA-256 {value['sha256'][:12]}…)"
    if is_document(value):
        return _as_json(value)
    if isinstance(said, DateTimeField) and (at := parse_datetime(str(value))):
        return f"{localtime(at):%Y-%m-%d %H:%M:%S}"
    if said is not None and said.is_relation:
        return names.get((said.related_model, str(value)), f"{said.related_model._meta.verbose_name} {value}")
    choices = {str(choice): str(label) for choice, label in said.flatchoices} if said is not None else {}
    return choices.get(str(value), _short(str(value)))


def _short(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}… ({len(text):,} characters)"


def _names(entries: Iterable[AuditEntry]) -> Names:
    """What the rows that entries tell of are called today, by one query a table; those that are gone have no name."""
    asked: dict[type[Model], set[str]] = {}
    for entry in entries:
        model, said = models_by_table().get(entry.table_name, (None, None))
        if model is None:
            continue
        if said is not None and not said.key:
            asked.setdefault(model, set()).add(entry.object_id)
        for each in model._meta.concrete_fields:
            if each.is_relation and each.related_model is not None:
                values = (rows.get(each.column) for rows in (entry.before or {}, entry.after or {}))
                asked.setdefault(each.related_model, set()).update(str(value) for value in values if value is not None)
    names = {}
    for model, keys in asked.items():
        rows = model._base_manager.select_related().filter(pk__in=keys - {""})
        names.update({(model, str(row.pk)): _short(str(row)) for row in rows})
    return names
