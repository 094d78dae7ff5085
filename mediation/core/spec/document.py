"""What every part of a profile document is read with: its faults, each with its place, all at once."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

FaultSink = Callable[[str, str], None]

MAX_NAME = 200  # characters of a field's or filter's name, as far as exceptions can hold it


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong with a profile: where (a JSON pointer), and what to do."""

    pointer: str
    message: str

    def __str__(self) -> str:
        return f"{self.pointer}: {self.message}"


class FaultySpecError(ValueError):
    """A profile document that cannot be used; carries every fault."""

    def __init__(self, faults: list[Fault]) -> None:
        super().__init__("; ".join(map(str, faults)))
        self.faults = faults


class Document:
    """A part of a document that is being read; every part adds to one list of faults."""

    def __init__(self, faults: list[Fault]) -> None:
        self.faults = faults

    def fault(self, pointer: str, message: str) -> None:
        self.faults.append(Fault(pointer or "/", message))

    def object(self, value: Any, pointer: str, known: set[str]) -> dict[str, Any]:
        if not isinstance(value, dict):
            self.fault(pointer, "must be an object")
            return {}
        for name in value.keys() - known:
            self.fault(f"{pointer}/{name}", f"is not known here; known are {', '.join(sorted(known))}")
        return value

    def texts(self, value: Any, pointer: str) -> tuple[str, ...]:
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            self.fault(pointer, "must be a list of texts")
            return ()
        return tuple(value)

    def text(self, of: dict[str, Any], name: str, pointer: str, default: str | None = None) -> str | None:
        value = of.get(name, default)
        if value is not None and not isinstance(value, str):
            self.fault(f"{pointer}/{name}", "must be a text")
            return default
        return value

    def choice(self, of: dict[str, Any], name: str, pointer: str, choices: tuple[str, ...], default: str) -> str:
        value = of.get(name, default)
        if value not in choices:
            self.fault(f"{pointer}/{name}", f"must be one of {', '.join(choices)}")
            return default
        return value
