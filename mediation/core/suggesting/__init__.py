"""A profile proposed from the start of a sample file, with the reason of each part and what a person must decide.

bytes ─► sampling   is it text, in which encoding
      ─► layouts    delimited, fixed width, JSON, XML, NEM: its format and its columns
      ─► kinds      what each column holds: dates, numbers, identifiers, few texts
      ─► names      which column feeds which UDR field, by name and kind
"""

from typing import Any

from mediation.core.reading import json_records
from mediation.core.spec import FIELD_KINDS
from mediation.core.suggesting.kinds import Column, look_at
from mediation.core.suggesting.layouts import find_layout
from mediation.core.suggesting.names import ask_reading, field_document, map_fields, missing_of
from mediation.core.suggesting.proposals import Question, Reason, Suggestion, UnableToSuggestError
from mediation.core.suggesting.sampling import MAX_SAMPLE_BYTES

__all__ = [
    "MAX_SAMPLE_BYTES",
    "Column",
    "Question",
    "Reason",
    "Suggestion",
    "UnableToSuggestError",
    "answer",
    "feed_field",
    "missing_of",
    "open_questions",
    "previewable",
    "set_at",
    "settle_uniqueness",
    "suggest",
]


def suggest(content: bytes, *, is_whole: bool = True) -> Suggestion:
    """A complete profile document for a sample: its first bytes, at most MAX_SAMPLE_BYTES of them count.

    is_whole: the sample is not cut off, so that its last record counts. Raises UnableToSuggestError for what is no
    sample of records.
    """
    is_whole = is_whole and len(content) <= MAX_SAMPLE_BYTES
    layout = find_layout(content[:MAX_SAMPLE_BYTES], is_whole=is_whole)
    null_texts, columns = look_at(layout)
    fields, reasons, questions, missing = map_fields(columns)
    if layout.fields is not None:
        fields, reasons, questions, missing = dict(layout.fields), [], [], []
    document: dict[str, Any] = {"format": layout.format, "fields": fields}
    if layout.structure:
        document["structure"] = layout.structure
    if layout.uniqueness:
        document["uniqueness"] = list(layout.uniqueness)
    settle_uniqueness(document)
    if null_texts:
        document["null_texts"] = list(null_texts)
        reasons = [_null_reason(null_texts), *reasons]
    return Suggestion(
        document=document,
        columns=tuple(columns),
        reasons=(*layout.reasons, *reasons),
        questions=(*layout.questions, *questions),
        missing=tuple(missing),
        record_count=layout.record_count,
    )


def _null_reason(null_texts: tuple[str, ...]) -> Reason:
    shown = ", ".join(f"“{text}”" for text in null_texts)
    return Reason("/null_texts", list(null_texts), "likely", f"{shown} stands where a column has no value")


def feed_field(name: str, source: str, suggestion: Suggestion) -> dict[str, Any]:
    """The mapping that feeds UDR field `name` from a column of the sample, as that column's values want it."""
    column = next((column for column in suggestion.columns if column.name == source), None)
    return {"source": source} if column is None else field_document(name, column)


def settle_uniqueness(document: dict[str, Any]) -> None:
    """Let the field that tells records apart do so, where nothing else is said to; and no longer once it is gone."""
    own = ["UniquenessIdentifier"]
    if own[0] not in document["fields"]:
        if document.get("uniqueness") == own:
            del document["uniqueness"]
    elif not document.get("uniqueness"):
        document["uniqueness"] = own


def open_questions(document: dict[str, Any], suggestion: Suggestion) -> list[Question]:
    """What a document leaves open, as it is mapped now: columns may have been changed since it was proposed."""
    columns = {column.name: column for column in suggestion.columns if column.readings}
    asked = [question for question in suggestion.questions if not question.pointer.startswith("/fields/")]
    for name, mapping in document.get("fields", {}).items():
        column = columns.get(str(mapping.get("source"))) if isinstance(mapping, dict) else None
        if column is not None and FIELD_KINDS.get(name) == column.kind:
            asked.append(ask_reading(name, column))
    return asked


def answer(document: dict[str, Any], question: Question, choice: int) -> None:
    """Let the document say what a person has chosen; an answer of several members takes the place of the others'."""
    value = question.choices[choice][0]
    if not isinstance(value, dict):
        set_at(document, question.pointer, value)
        return
    mapping = document["fields"][question.pointer.removeprefix("/fields/")]
    for options, _ in question.choices:
        for member in options:
            mapping.pop(member, None)
    mapping.update(value)


def previewable(content: bytes) -> bytes:
    """A sample as a profile can read it: where it was cut off, up to its last whole record."""
    if len(content) <= MAX_SAMPLE_BYTES:
        return content
    content = content[:MAX_SAMPLE_BYTES]
    text = content.decode("utf-8", "ignore")
    if not text.lstrip("\ufeff \r\n\t").startswith(("{", "[")):
        return content[: max(content.rfind(b"\n"), content.rfind(b"\r")) + 1] or content
    start = json_records.ARRAY_START.match(text)
    rest = text[start.end() :] if start else text
    return "\n".join(raw for raw, _, code, _ in json_records.records(rest) if code is None).encode()


def set_at(document: dict[str, Any], pointer: str, value: Any) -> None:
    """Put `value` at a JSON pointer of a document; what is missing on the way is made."""
    *way, last = (step.replace("~1", "/").replace("~0", "~") for step in pointer.removeprefix("/").split("/"))
    for step in way:
        document = document.setdefault(step, {})
    document[last] = value
