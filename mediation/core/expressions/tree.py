"""The typed, frozen tree that an expression becomes: fields, literals, and calls of named operations."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from mediation.core.expressions.kinds import Kind

Value = str | Decimal | datetime | bool | None
Span = tuple[int, int]  # half-open character offsets into the text


@dataclass(frozen=True)
class Field:
    """A field of the record, by its full name."""

    name: str
    kind: Kind
    span: Span = field(default=(0, 0), compare=False)


@dataclass(frozen=True)
class Literal:
    """A value written in the text; None is NULL of a known kind."""

    value: Value
    kind: Kind
    span: Span = field(default=(0, 0), compare=False)


@dataclass(frozen=True)
class Call:
    """An operation of `rules.RULES` on its operands; `kind` is what it yields."""

    op: str
    args: "tuple[Node, ...]"
    kind: Kind
    span: Span = field(default=(0, 0), compare=False)


Node = Field | Literal | Call


@dataclass(frozen=True)
class Expression:
    """A checked expression: its text as typed, and the tree that counts when two are compared."""

    text: str = field(compare=False)
    root: Node

    @property
    def kind(self) -> Kind:
        return self.root.kind


def nodes_of(root: Node) -> Iterator[Node]:
    """Every node of the tree, parents first."""
    yield root
    if isinstance(root, Call):
        for argument in root.args:
            yield from nodes_of(argument)


def fields_of(expression: Expression) -> frozenset[str]:
    """The full names of the fields that the expression reads."""
    return frozenset(node.name for node in nodes_of(expression.root) if isinstance(node, Field))
