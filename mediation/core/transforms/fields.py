"""The part of a field's mapping that transforms make up: its head and its chain."""

from dataclasses import replace
from typing import Any

from mediation.core.transforms.frames import Transform
from mediation.core.transforms.heads import Head, parse_choose, parse_combine, parse_formula_head
from mediation.core.transforms.options import Scope
from mediation.core.transforms.parsing import parse_transforms

HEADS = {"choose": parse_choose, "combine": parse_combine, "formula": parse_formula_head}
MEMBERS = {*HEADS, "transforms", "unit"}
DATE_FIELDS = ("Date", "UsageBillDate")


def parse_head_and_chain(
    body: dict[str, Any], pointer: str, scope: Scope, mapped: tuple[str, ...]
) -> tuple[Head | None, tuple[Transform, ...]]:
    """What MEMBERS of a field's mapping say. mapped: every field of the profile, whose dates lookups may ask at.

    `unit` is short for a unit transform at the end.
    """
    scope = replace(scope, date_fields=_dates_before(scope.field, mapped))
    heads = [parse(body[name], f"{pointer}/{name}", scope) for name, parse in HEADS.items() if name in body]
    transforms = parse_transforms(body.get("transforms", []), f"{pointer}/transforms", scope)
    if "unit" in body:
        transforms += tuple(
            transform for transform in parse_transforms([{"unit": body["unit"]}], pointer, _without_place(scope))
        )
    return (heads[0] if heads else None), transforms


def _dates_before(field: str, mapped: tuple[str, ...]) -> tuple[str, ...]:
    """The dates that are known when `field` is mapped: dates come first, in their order."""
    before = DATE_FIELDS[: DATE_FIELDS.index(field)] if field in DATE_FIELDS else DATE_FIELDS
    return tuple(name for name in before if name in mapped)


def _without_place(scope: Scope) -> Scope:
    """The same scope, where the place in a list of one is left out of pointers."""
    return replace(scope, fault=lambda pointer, message: scope.fault(pointer.replace("/0/unit", "/unit"), message))
