"""JSON and XML samples: where their records are, and each record's leaves as texts by path."""

import xml.etree.ElementTree as Tree
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from mediation.core.reading import json_records
from mediation.core.suggesting.proposals import Reason, UnableToSuggestError

MAX_PATHS = 2_000
CLOUD_EVENT = {"specversion", "id", "source", "type"}


@dataclass(frozen=True)
class Documents:
    """Records as {path: text}, and the format that reads them."""

    format: dict[str, Any]
    records: list[dict[str, str | None]]
    reasons: list[Reason]


def columns_of(records: Sequence[dict[str, str | None]]) -> dict[str, Sequence[str | None]]:
    """A column for every path that any record has."""
    paths = dict.fromkeys(path for record in records for path in record)
    return {path: [record.get(path) for record in records] for path in list(paths)[:MAX_PATHS]}


# JSON


def read_json(text: str, most: int) -> Documents:
    """The records of a JSON text that may be cut off at its end. Raises UnableToSuggestError."""
    format_, values, words = _json_values(text)
    records = [value for value in values if isinstance(value, dict)][:most]
    if not records:
        raise UnableToSuggestError("The sample is JSON without an object in it; records are objects.")
    if all(record.keys() >= CLOUD_EVENT for record in records):
        format_ = {"kind": "cloudevents"}
        words = "every record has the members of a CloudEvent: specversion, id, source and type"
    reason = Reason("/format/kind", format_["kind"], "sure", words)
    return Documents(format_, [dict(_leaves(record)) for record in records], [reason])


def _json_values(text: str) -> tuple[dict[str, Any], list[Any], str]:
    """The format, the values that are records, and how they were found."""
    try:
        whole, end = json_records.decode(text.strip())
    except ValueError:
        whole, end = None, 0
    if end == len(text.strip()):
        return _values_in(whole)
    start = json_records.ARRAY_START.match(text)
    found = [value for _, value, code, _ in json_records.records(text[start.end() :] if start else text) if not code]
    if not found:
        raise UnableToSuggestError("The sample starts like JSON, but no record in it can be read. Is it cut in a line?")
    return {"kind": "json"}, found, "a JSON array" if start else "one JSON object follows another"


def _values_in(whole: Any) -> tuple[dict[str, Any], list[Any], str]:
    if isinstance(whole, list):
        return {"kind": "json"}, whole, "a JSON array of records"
    if json_records.is_wrapper(whole):
        return {"kind": "json"}, whole["data"], "a JSON object around a list of records named data"
    lists = list(_lists_of_objects(whole, ()))
    if len(lists) == 1 and len(lists[0][1]) > 1:
        path = ".".join(lists[0][0])
        return (
            {"kind": "json", "records_path": path},
            lists[0][1],
            f"the records are a list inside the document, at {path}",
        )
    return {"kind": "json"}, [whole], "one JSON object"


def _lists_of_objects(value: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], list[Any]]]:
    for name, inner in value.items():
        if isinstance(inner, list) and inner and all(isinstance(item, dict) for item in inner):
            yield (*path, name), inner
        elif isinstance(inner, dict) and len(path) < json_records.MAX_DEPTH:
            yield from _lists_of_objects(inner, (*path, name))


def _leaves(record: dict[str, Any], before: str = "") -> Iterator[tuple[str, str | None]]:
    """Each leaf's path, as a profile's source names it, and its text; a list is one leaf."""
    for name, value in record.items():
        if isinstance(value, dict) and value and not (before == "" and name == "Extensions"):
            yield from _leaves(value, f"{before}{name}.")
        else:
            yield before + name, text_of(value)


def text_of(value: Any) -> str | None:
    """A leaf's text, as a profile's source gives it."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    return json_records.dump(value)


# XML


def read_xml(text: str, most: int) -> Documents:
    """The records of an XML text that may be cut off at its end. Raises UnableToSuggestError."""
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise UnableToSuggestError("The sample declares a document type. Such XML is refused; ask for it without.")
    paths, found = Counter[tuple[str, ...]](), dict[tuple[str, ...], list[Tree.Element]]()
    open_path: list[str] = []
    for event, element in _events(text):
        if event == "start":
            open_path.append(_local(element.tag))
            if len(open_path) > json_records.MAX_DEPTH:
                raise UnableToSuggestError(f"The sample's XML is nested more than {json_records.MAX_DEPTH} deep.")
            continue
        path = tuple(open_path)
        open_path.pop()
        paths[path] += 1
        if (len(element) or element.attrib) and len(path) > 1 and len(found.setdefault(path, [])) < most:
            found[path].append(element)
    if not found:
        raise UnableToSuggestError("The sample is XML without a repeated element that could be a record.")
    # The outermost element that repeats; where none does, the outermost below the root.
    path = min(found, key=lambda path: (paths[path] == 1, len(path), -paths[path]))
    name = path[-1]
    is_alone = sum(other[-1] == name for other in paths) == 1
    record = name if is_alone else "/".join(path)
    words = f"the element {name} repeats {paths[path]:,} times" if paths[path] > 1 else f"one element {name}"
    reason = Reason("/format/record", record, "likely" if paths[path] > 1 else "guess", words)
    records = [dict(_xml_leaves(element)) for element in found[path]]
    return Documents({"kind": "xml", "record": record}, records, [reason])


def _events(text: str) -> Iterator[tuple[str, Tree.Element]]:
    parser: Any = Tree.XMLPullParser(("start", "end"))  # what could make it expand was refused before
    try:
        parser.feed(text)
    except Tree.ParseError as error:
        raise UnableToSuggestError(f"The sample starts like XML, but cannot be read: {error}.") from None
    try:
        for event in parser.read_events():
            yield event[0], event[1]
    except Tree.ParseError as error:
        raise UnableToSuggestError(f"The sample starts like XML, but cannot be read: {error}.") from None


def _local(tag: str) -> str:
    return tag.rpartition("}")[2]


def _xml_leaves(element: Tree.Element, before: str = "") -> Iterator[tuple[str, str | None]]:
    """Attributes as @name, elements without children by their path; a repeated name counts from the second on."""
    for name, value in element.attrib.items():
        yield f"{before}@{_local(name)}", value
    seen = Counter[str]()
    for child in element:
        name = _local(child.tag)
        seen[name] += 1
        path = before + (name if seen[name] == 1 else f"{name}[{seen[name]}]")
        if len(child) == 0:
            yield path, child.text
        yield from _xml_leaves(child, f"{path}/")
