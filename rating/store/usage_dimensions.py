"""What an account's usage is parted by: columns of its charges, and what profiles keep of records as extensions."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date

from django.db import connection

EXTENSION_PREFIX = "Extensions."
MOST_EXTENSIONS = 2  # of one question
LONGEST_NAME = 100
LONGEST_VALUE = 200  # characters of an extension's value that tell it from others


@dataclass(frozen=True)
class Dimension:
    """key: the column or expression of a charge, of type `kind`; column: what it is called in the query; told: name ->
    what is shown of it; counted: the key of counted usage, where it is another; parameters: of the key.

    is_line: it tells an account's lines apart. is_counted: counted usage has it at all.
    """

    column: str
    key: str
    kind: str
    told: dict[str, str]
    join: str = ""
    counted: str = ""
    is_line: bool = False
    is_counted: bool = True
    parameters: dict[str, str] = field(default_factory=dict)


DIMENSIONS = {
    "day": Dimension("by_day", "(c.date AT TIME ZONE %(zone)s)::date", "date", {"day": "by_day"}, counted="c.day"),
    "class": Dimension(
        "by_class",
        "c.usage_class_id",
        "bigint",
        {"usage_class": "k.name", "unit": "k.unit"},
        "JOIN mediation_usageclass k ON k.id = by_class",
    ),
    "service": Dimension(
        "by_service",
        "c.service_id",
        "bigint",
        {"service_id": "by_service", "service": "s.name"},
        "JOIN rating_service s ON s.id = by_service",
        is_line=True,
    ),
    "identifier": Dimension(
        "by_identifier",
        "c.service_identifier_id",
        "bigint",
        {"identifier": "i.identifier"},
        "JOIN rating_serviceidentifier i ON i.id = by_identifier",
        is_line=True,
    ),
    "plan": Dimension("by_plan", "c.plan_id", "bigint", {"plan": "p.name"}, "JOIN rating_rateplan p ON p.id = by_plan"),
    "rate": Dimension(
        "by_rate",
        "c.rate_id",
        "bigint",
        {"rate_group": 'r."group"', "rate": "r.name"},
        "JOIN rating_rate r ON r.id = by_rate",
    ),
}

# A charge has its UDR's date, unless it is of a later part of a record that was split.
EXTENSIONS_OF_CHARGE = """
    CROSS JOIN LATERAL (
        SELECT CASE WHEN c.part = 0 THEN
            (SELECT u.extensions FROM mediation_udr u WHERE u.id = c.udr_id AND u.date = c.date)
        ELSE (SELECT u.extensions FROM mediation_udr u WHERE u.id = c.udr_id AND u.date <= c.date) END AS extensions
        OFFSET 0
    ) u
"""
KEPT = """
    SELECT DISTINCT field FROM mediation_profileversion v CROSS JOIN LATERAL jsonb_object_keys(
        CASE jsonb_typeof(v.spec -> 'fields') WHEN 'object' THEN v.spec -> 'fields' ELSE '{}' END
    ) AS field
    WHERE v.status <> 'draft' AND (field = 'Extensions' OR field = ANY(%s))
"""


def dimensions_of(by: Sequence[str]) -> list[Dimension]:
    """The dimensions of these names, each of DIMENSIONS or `Extensions.NAME`."""
    extensions = [name for name in by if is_extension(name)]
    return [DIMENSIONS.get(name) or _of_extension(name, extensions.index(name)) for name in by]


def _of_extension(name: str, place: int) -> Dimension:
    """Where a record has none, it is the empty text, which pages can be parted at; it is told as null."""
    column, parameter = f"by_extension_{place}", f"extension_{place}"
    return Dimension(
        column,
        f"""coalesce(left(u.extensions ->> %({parameter})s, {LONGEST_VALUE}), '') COLLATE "C\"""",
        "text",
        {name: f"nullif({column}, '')"},
        is_counted=False,
        parameters={parameter: name.removeprefix(EXTENSION_PREFIX)},
    )


def is_extension(name: str) -> bool:
    """Whether a dimension is asked for by the name of an extension."""
    return name.startswith(EXTENSION_PREFIX) and len(EXTENSION_PREFIX) < len(name) <= LONGEST_NAME and "\0" not in name


def extensions_kept(names: Sequence[str]) -> set[str]:
    """Those of `Extensions.NAME` that a profile's version keeps or kept; all of them where one keeps whole objects."""
    with connection.cursor() as cursor:
        cursor.execute(KEPT, [list(names)])
        found = {name for (name,) in cursor.fetchall()}
    return set(names) if "Extensions" in found else found


def is_key(key: Sequence[str], by: Sequence[str]) -> bool:
    """Whether texts are the key of a row that is parted by these dimensions."""
    if len(key) != len(by) + 1 or not (len(key[-1]) == 3 and key[-1].isascii()):
        return False
    return all(_is_of(each.kind, text) for each, text in zip(dimensions_of(by), key, strict=False))


def _is_of(kind: str, text: str) -> bool:
    if kind == "bigint":
        return text.isascii() and text.isdecimal() and len(text) < 19
    if kind == "text":
        return len(text) <= LONGEST_VALUE and "\0" not in text
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False
