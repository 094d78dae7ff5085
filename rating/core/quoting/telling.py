"""A quote as tables that a person reads in a terminal."""

from collections.abc import Iterable, Sequence
from typing import Any

Row = dict[str, Any]

CHARGES = (
    "id",
    "date",
    "account",
    "service",
    "rate",
    "tier",
    "value",
    "rated_quantity",
    "from_buckets",
    "credit",
    "amount",
)
LINES = ("kind", "about", "tier", "records", "rated_quantity", "amount", "line_amount")
TAX = ("line", "code", "part", "percent", "base", "amount")
BUCKETS = ("bucket", "account", "service", "starts_at", "ends_at", "granted", "carried", "used", "left")
NUMBERS = frozenset(
    {"tier", "value", "rated_quantity", "from_buckets", "credit", "amount", "records", "line_amount", "line", "percent"}
    | {"base", "granted", "carried", "used", "left"}
)


def tell(answer: Row) -> str:
    """The whole of an answer (see `answer.answer`): charges, exceptions, statements, buckets, totals."""
    parts = [_titled("Charges", _table(CHARGES, map(_charge, answer["charges"])))]
    if answer["exceptions"]:
        parts.append(_titled("Exceptions", [f"{each['id']}: {each['message']}" for each in answer["exceptions"]]))
    parts += [_statement(statement) for statement in answer["statements"]]
    if answer["buckets"]:
        parts.append(_titled("Buckets", _table(BUCKETS, answer["buckets"])))
    for total in answer["totals_by_currency"]:
        told = "Total {total} {currency}: {subtotal} and {tax} of tax; exact amount {amount}."
        parts.append(told.format(**total))
    return "\n\n".join(parts)


def _charge(charge: Row) -> Row:
    drawn = ", ".join(f"{draw['quantity']} {draw['bucket']}" for draw in charge["draws"])
    return {**charge, "rate": f"{charge['group']} / {charge['rate']}", "from_buckets": drawn}


def _statement(statement: Row) -> str:
    title = "Statement of account {account}, {starts_at} to {ends_at}".format(**statement)
    lines = [{**line, "about": _about(line)} for line in statement["lines"]]
    told = _table(LINES, lines) + (_table(TAX, statement["tax"]) if statement["tax"] else [])
    told += [f"Cannot be closed: {fault}" for fault in statement["faults"]]
    return _titled(title, [*told, "Total {total} {currency}".format(**statement)])


def _about(line: Row) -> str:
    return line["commitment"] or (f"{line['group']} / {line['rate']}" if line["rate"] else line["usage_class"] or "")


def _titled(title: str, lines: Iterable[str]) -> str:
    return "\n".join([title, *lines])


def _table(columns: Sequence[str], rows: Iterable[Row]) -> list[str]:
    """Rows under their column names, columns as wide as their widest cell, numbers to the right."""
    cells = [[_cell(row.get(name)) for name in columns] for row in rows]
    widths = [max([len(name), *(len(row[at]) for row in cells)]) for at, name in enumerate(columns)]
    shown = [[name.replace("_", " ") for name in columns], *cells]
    return ["  ".join(_padded(*each) for each in zip(columns, row, widths, strict=True)).rstrip() for row in shown]


def _cell(value: Any) -> str:
    return "" if value is None else str(value)


def _padded(name: str, cell: str, width: int) -> str:
    return cell.rjust(width) if name in NUMBERS else cell.ljust(width)
