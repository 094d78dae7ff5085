"""What a chain of transforms asks for, conditions and all."""

from collections.abc import Iterable, Iterator

from mediation.core.transforms.conditions import Conditional
from mediation.core.transforms.frames import Transform
from mediation.core.transforms.tables import Convert, Lookup


def every_transform(transforms: Iterable[Transform]) -> Iterator[Transform]:
    """The transforms of a chain, and those inside their conditions."""
    for transform in transforms:
        yield transform
        if isinstance(transform, Conditional):
            yield from every_transform((*transform.then, *transform.otherwise))


def lookups_of(transforms: Iterable[Transform]) -> frozenset[tuple[str, str]]:
    """The lookup tables that a chain asks, with the column that each gives."""
    found = (transform for transform in every_transform(transforms) if isinstance(transform, Lookup))
    return frozenset((lookup.table, lookup.give) for lookup in found)


def units_of(transforms: Iterable[Transform]) -> frozenset[str]:
    """The usage units that a chain names itself; those that records name are not known beforehand."""
    found = (transform for transform in every_transform(transforms) if isinstance(transform, Convert))
    return frozenset(convert.unit for convert in found if convert.unit)
