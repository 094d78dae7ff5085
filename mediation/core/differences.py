"""What differs between two JSON documents: by JSON pointer, and line by line as two columns of text."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any, NamedTuple


class Missing:
    """Stands where one of the documents has nothing; JSON's null is a value."""

    def __repr__(self) -> str:
        return "–"


MISSING = Missing()


@dataclass(frozen=True)
class Difference:
    """A place at which two documents differ: a JSON pointer, what was there and what is; MISSING where nothing is."""

    pointer: str
    before: Any
    after: Any

    @property
    def kind(self) -> str:
        if self.before is MISSING:
            return "added"
        return "removed" if self.after is MISSING else "changed"


def differences(before: Any, after: Any, pointer: str = "") -> Iterator[Difference]:
    """Every difference at the deepest place that both documents share. The order of members does not count."""
    if isinstance(before, dict) and isinstance(after, dict):
        for name in [*before, *(name for name in after if name not in before)]:
            yield from differences(
                before.get(name, MISSING), after.get(name, MISSING), f"{pointer}/{_escaped(str(name))}"
            )
    elif isinstance(before, list) and isinstance(after, list):
        for place in range(max(len(before), len(after))):
            yield from differences(_at(before, place), _at(after, place), f"{pointer}/{place}")
    elif before is MISSING or after is MISSING or json.dumps(before) != json.dumps(after):
        yield Difference(pointer or "/", before, after)


def _at(items: list[Any], place: int) -> Any:
    return items[place] if place < len(items) else MISSING


def _escaped(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")


class LinePair(NamedTuple):
    """A line of each text beside the other's; a number is None where that side has no line."""

    kind: str  # same, changed, added, removed
    before_number: int | None
    before: str
    after_number: int | None
    after: str


def side_by_side(before: str, after: str) -> list[LinePair]:
    """Two texts as lines in two columns, equal lines beside each other."""
    old, new = before.splitlines(), after.splitlines()
    pairs: list[LinePair] = []
    for kind, first, last, from_, to in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        for step in range(max(last - first, to - from_)):
            left = first + step if first + step < last else None
            right = from_ + step if from_ + step < to else None
            pairs.append(
                LinePair(
                    _line_kind(kind, left, right),
                    None if left is None else left + 1,
                    "" if left is None else old[left],
                    None if right is None else right + 1,
                    "" if right is None else new[right],
                )
            )
    return pairs


def _line_kind(kind: str, left: int | None, right: int | None) -> str:
    if kind == "equal":
        return "same"
    if left is None:
        return "added"
    return "removed" if right is None else "changed"
