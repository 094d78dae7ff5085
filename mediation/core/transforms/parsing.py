"""From a profile's list of transforms to transforms that run; every fault is reported with its place."""

from collections.abc import Callable
from typing import Any

from mediation.core.transforms import conditions, phones, tables, texts, times
from mediation.core.transforms.conditions import Conditional
from mediation.core.transforms.frames import Transform
from mediation.core.transforms.options import Options, Scope

MAX_TRANSFORMS = 20
MAX_DEPTH = 4

# name: what reads its options, and the option that a bare value stands for.
PARSERS: dict[str, tuple[Callable[[Options], Transform | None], str | None]] = {
    "trim": (texts.parse_trim, "side"),
    "case": (texts.parse_case, "to"),
    "substitute": (texts.parse_substitute, None),
    "regex": (texts.parse_regex, "pattern"),
    "date": (times.parse_date, "formats"),
    "time": (times.parse_time, "as"),
    "pad": (texts.parse_pad, "length"),
    "slice": (texts.parse_slice, None),
    "split": (texts.parse_split, None),
    "map": (tables.parse_map, None),
    "lookup": (tables.parse_lookup, None),
    "phone": (phones.parse_phone, "region"),
    "unit": (tables.parse_unit, "from"),
    "formula": (conditions.parse_formula, "expression"),
}
NAMES = (*PARSERS, "conditional")


def parse_transforms(value: Any, pointer: str, scope: Scope) -> tuple[Transform, ...]:
    """The chain that a list of {"<name>": options} says, without those that have faults."""
    if not isinstance(value, list) or len(value) > MAX_TRANSFORMS:
        scope.fault(pointer, f"must be a list of at most {MAX_TRANSFORMS} transforms")
        return ()
    parsed = (_transform(body, f"{pointer}/{place}", scope) for place, body in enumerate(value))
    return tuple(transform for transform in parsed if transform is not None)


def _transform(body: Any, pointer: str, scope: Scope) -> Transform | None:
    if not isinstance(body, dict) or len(body) != 1 or next(iter(body)) not in NAMES:
        scope.fault(pointer, f'must be one transform, {{"<name>": options}}; known are {", ".join(NAMES)}')
        return None
    name, value = next(iter(body.items()))
    if name == "conditional":
        return _conditional(value, f"{pointer}/{name}", scope)
    parse, short = PARSERS[name]
    options = Options(value, f"{pointer}/{name}", scope, short=short)
    transform = parse(options)
    options.done()
    return transform


def _conditional(value: Any, pointer: str, scope: Scope) -> Transform | None:
    if scope.depth >= MAX_DEPTH:
        scope.fault(pointer, f"stands in more than {MAX_DEPTH} conditions")
        return None
    options = Options(value, pointer, scope.with_this())
    condition = options.expression("if", kinds=("boolean",))
    inner = scope.deeper()
    branches = [
        parse_transforms(options.given[name], f"{pointer}/{name}", inner) if options.has(name) else ()
        for name in ("then", "else")
    ]
    if not options.given.keys() & {"then", "else"}:
        options.fault("", "needs then or else, a list of transforms")
    options.done()
    return Conditional(condition, *branches) if condition else None
