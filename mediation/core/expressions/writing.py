"""From a tree back to text that parses to the same tree: how a stored expression is shown."""

from datetime import datetime
from decimal import Decimal

from mediation.core.expressions.kinds import BOOLEAN, MOMENT, TEXT, Kind
from mediation.core.expressions.moments import write_moment
from mediation.core.expressions.tree import Call, Expression, Field, Literal, Node

SIGNS = {
    "and": "AND", "or": "OR", "join": "||", "eq": "=", "ne": "<>", "lt": "<", "le": "<=", "gt": ">", "ge": ">=",
    "add": "+", "sub": "-", "mul": "*", "mod": "%", "regexp_like": "~",
}  # fmt: skip
SUFFIXES = {"is_null": "IS NULL", "is_true": "IS TRUE", "is_false": "IS FALSE"}


def unparse(expression: Expression) -> str:
    """The expression in full parentheses; parsed over the same fields it gives the same tree.

    It is longer than what was typed, so near the limit of 2,000 characters it may no longer be short enough to parse.
    """
    return _written(expression.root)


def _written(node: Node) -> str:
    if isinstance(node, Field):
        return '"' + node.name.replace('"', '""') + '"'
    if isinstance(node, Literal):
        return _literal(node)
    args = [_written(argument) for argument in node.args]
    if node.op in SIGNS:
        return "(" + f" {SIGNS[node.op]} ".join(args) + ")"
    if node.op in SUFFIXES:
        return f"({args[0]} {SUFFIXES[node.op]})"
    return _call(node, args)


def _call(node: Call, args: list[str]) -> str:
    first, *rest = args
    match node.op:
        case "not" | "neg":
            return f"({'NOT' if node.op == 'not' else '-'} {first})"
        case "between":
            return f"({first} BETWEEN {rest[0]} AND {rest[1]})"
        case "in":
            return f"({first} IN ({', '.join(rest)}))"
        case "like":
            return f"({first} LIKE {rest[0]}" + (f" ESCAPE {rest[1]})" if rest[1:] else ")")
        case "case":
            branches = " ".join(f"WHEN {when} THEN {then}" for when, then in zip(args[:-1:2], args[1::2], strict=True))
            return f"CASE {branches} ELSE {args[-1]} END"
        case "quotient":
            return f"ROUND({first} / {rest[0]}, {rest[1]})"
        case "cast":
            return f"CAST({first} AS {type_name(node.kind)})"
        case "shift":
            return f"({first} + ({rest[0]} * INTERVAL '1' {_word(node.args[2])}))"
        case "extract":
            return f"EXTRACT({_word(node.args[1])} FROM {first})"
        case "truncate":
            return f"DATE_TRUNC({rest[0]}, {first})"
    return f"{node.op.upper()}({', '.join(args)})"


def _word(node: Node) -> str:
    return str(node.value).upper() if isinstance(node, Literal) else ""


def _literal(node: Literal) -> str:
    value = node.value
    if value is None:
        return "NULL" if node.kind.is_number and not node.kind.limit else f"CAST(NULL AS {type_name(node.kind)})"
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, datetime):
        return f"TIMESTAMP '{write_moment(value)}'"
    return "'" + value.replace("'", "''") + "'"


def type_name(kind: Kind) -> str:
    """The name of a kind in a CAST."""
    if kind.is_number:
        return f"DECIMAL({kind.digits}, {kind.scale})"
    return {TEXT: "TEXT", BOOLEAN: "BOOLEAN", MOMENT: "TIMESTAMP"}[kind]
