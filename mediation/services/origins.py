"""Which submissions a worker's work is of: said on every line that is logged meanwhile."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import structlog

# Set by the roof, which sees imports: the tracking id of each, and the id of the request that it came by, or none.
ORIGINS: list[Callable[[Iterable[int]], Iterable[tuple[str, str]]]] = []


@contextmanager
def working_on(import_ids: Iterable[int]) -> Iterator[None]:
    """Have each line that is logged inside bear the `tracking_ids` of imports, and the `request_ids` they came by.

    Both are lists, since small submissions are worked on together.
    """
    found = [one for look in ORIGINS for one in look(import_ids)]
    told = {
        "tracking_ids": [tracking_id for tracking_id, _ in found],
        "request_ids": list(dict.fromkeys(request_id for _, request_id in found if request_id)),
    }
    with structlog.contextvars.bound_contextvars(**{name: ids for name, ids in told.items() if ids}):
        yield
