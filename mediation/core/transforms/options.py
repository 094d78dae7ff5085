"""Reading the options of a transform: every fault is reported with its place, and a usable value comes back."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from mediation.core import expressions
from mediation.core.dates import DATE_FORMAT_HINT, fault_of_date_format
from mediation.core.expressions import TEXT, Expression, ExpressionError, Kind
from mediation.core.expressions.patterns import check_regex
from mediation.core.transforms.frames import THIS, Otherwise

Fault = Callable[[str, str], None]


class AnySource(Mapping[str, Kind]):
    """The fields of a source whose fields are not known beforehand: every name is a text."""

    def __getitem__(self, name: str) -> Kind:
        return TEXT

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str)

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0


@dataclass(frozen=True)
class Scope:
    """Where a transform stands. fields: what its expressions may name; depth: of conditions around it.

    field: the UDR field that is mapped, with its signs for numbers; date_fields: the UDR fields at whose moment a
    lookup may ask.
    """

    fault: Fault
    fields: Mapping[str, Kind]
    field: str = ""
    date_fields: tuple[str, ...] = ()
    decimal_sign: str = "."
    group_sign: str = ""
    depth: int = 0

    def deeper(self) -> "Scope":
        return replace(self, depth=self.depth + 1)

    def with_this(self) -> "Scope":
        """The scope of an expression that may name the text that came so far."""
        return replace(self, fields=_WithThis(self.fields))


class _WithThis(Mapping[str, Kind]):
    def __init__(self, fields: Mapping[str, Kind]) -> None:
        self.fields = fields

    def __getitem__(self, name: str) -> Kind:
        return TEXT if name == THIS else self.fields[name]

    def __contains__(self, name: object) -> bool:
        return name == THIS or name in self.fields

    def __iter__(self) -> Iterator[str]:
        return iter({THIS: None, **dict.fromkeys(self.fields)})

    def __len__(self) -> int:
        return len(dict.fromkeys([THIS, *self.fields]))


class Options:
    """The options of one transform. short: the option that a bare value stands for, as in {"case": "upper"}."""

    def __init__(self, value: Any, pointer: str, scope: Scope, *, short: str | None = None) -> None:
        if short is not None and not isinstance(value, dict):
            value = {short: value}
        if not isinstance(value, dict):
            scope.fault(pointer, "must be an object of options")
            value = {}
        self.given: dict[str, Any] = value
        self.pointer, self.scope = pointer, scope
        self.known: set[str] = set()

    def has(self, name: str) -> bool:
        self.known.add(name)
        return name in self.given

    def fault(self, name: str, message: str) -> None:
        self.scope.fault(f"{self.pointer}/{name}" if name else self.pointer, message)

    def text(self, name: str, default: str | None = None, *, may_be_empty: bool = False, most: int = 1_000) -> str:
        """A text; a fault where it is missing and there is no default."""
        self.known.add(name)
        value = self.given.get(name, default)
        if not isinstance(value, str) or (not value and not may_be_empty) or len(value) > most:
            size = f"at most {most:,} characters" if may_be_empty else f"1 to {most:,} characters"
            self.fault(name, f"must be a text of {size}")
            return default or ""
        return value

    def maybe_text(self, name: str) -> str | None:
        return self.text(name) if self.has(name) else None

    def choice(self, name: str, choices: tuple[str, ...], default: str) -> str:
        self.known.add(name)
        value = self.given.get(name, default)
        if value not in choices:
            self.fault(name, f"must be one of {', '.join(choices)}")
            return default
        return str(value)

    def whole(self, name: str, least: int, most: int, default: int | None = None) -> int:
        self.known.add(name)
        value = self.given.get(name, default)
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            self.fault(name, f"must be a whole number from {least:,} to {most:,}")
            return default if default is not None else least
        return value

    def flag(self, name: str, default: bool) -> bool:
        self.known.add(name)
        value = self.given.get(name, default)
        if not isinstance(value, bool):
            self.fault(name, "must be true or false")
            return default
        return value

    def texts(self, name: str, *, most: int = 100) -> tuple[str, ...]:
        """A list of texts, or a single one."""
        self.known.add(name)
        value = self.given.get(name)
        value = [value] if isinstance(value, str) else value
        if (
            not isinstance(value, list)
            or not 1 <= len(value) <= most
            or not all(isinstance(item, str) for item in value)
        ):
            self.fault(name, f"must be a text or a list of 1 to {most:,} texts")
            return ()
        return tuple(value)

    def date_formats(self, name: str) -> tuple[str, ...]:
        """Date formats: iso, epoch, or directives."""
        formats = self.texts(name, most=10)
        wrong = [(text, fault) for text in formats if (fault := fault_of_date_format(text))]
        for text, fault in wrong:
            self.fault(name, f"{text!r} {fault}; {DATE_FORMAT_HINT}")
        return ("iso",) if wrong or not formats else formats

    def table(self, name: str, *, most: int = 10_000) -> dict[str, str]:
        """An object of texts."""
        self.known.add(name)
        value = self.given.get(name)
        if (
            not isinstance(value, dict)
            or len(value) > most
            or not all(isinstance(item, str) for item in value.values())
        ):
            self.fault(name, f"must be an object of at most {most:,} texts")
            return {}
        return value

    def otherwise(self, default: str = "fault") -> Otherwise:
        """What to do without an answer: fault, null, keep, or {"text": …}."""
        self.known.add("otherwise")
        value = self.given.get("otherwise", default)
        if isinstance(value, dict) and set(value) == {"text"} and isinstance(value["text"], str):
            return Otherwise("text", value["text"])
        if value not in ("fault", "null", "keep"):
            self.fault("otherwise", 'must be fault, null, keep or {"text": "…"}')
            return Otherwise(default)
        return Otherwise(str(value))

    def pattern(self, name: str) -> tuple[str, int]:
        """A regular expression of the linear engine, and how many groups it has."""
        value = self.text(name)
        try:
            return value, check_regex(value, (0, len(value)))
        except ExpressionError as error:
            self.fault(name, error.message)
            return "", 0

    def expression(self, name: str, *, kinds: tuple[str, ...] = ()) -> Expression | None:
        """An expression; of one of `kinds`, where given."""
        value = self.text(name, most=2_000)
        return read_expression(value, f"{self.pointer}/{name}", self.scope, kinds=kinds) if value else None

    def done(self) -> None:
        """Report options that were never asked for."""
        for name in sorted(self.given.keys() - self.known):
            self.fault(name, f"is not known here; known are {', '.join(sorted(self.known))}")


def read_expression(value: str, pointer: str, scope: Scope, *, kinds: tuple[str, ...] = ()) -> Expression | None:
    """The expression that `value` says, or None after its faults were reported with their characters."""
    try:
        expression = expressions.parse(value, scope.fields)
    except ExpressionError as error:
        for fault in error.faults:
            scope.fault(pointer, f"at characters {fault.start + 1} to {fault.end}: {fault.message}")
        return None
    if kinds and expression.kind.name not in kinds:
        scope.fault(pointer, f"is {expression.kind}, where {' or '.join(str(Kind(name)) for name in kinds)} is needed")
        return None
    return expression
