"""Twins: requests with the same key at the same moment. The later one waits for the first, though not for ever."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import OperationalError, connection
from psycopg.errors import LockNotAvailable

# The first one is committed in milliseconds unless its server or the database stands still.
PATIENCE_MS = 1_000
# In a statement: holds until its transaction ends.
LIMIT = f"set_config('lock_timeout', '{PATIENCE_MS}', true)"


class TwinInFlight(Exception):
    """The request that has the key has neither succeeded nor failed yet."""

    def __init__(self) -> None:
        super().__init__(
            "A request with this Idempotency-Key is not finished. Come again: then it is, or this one is taken."
        )


@contextmanager
def waiting_for_a_twin() -> Iterator[None]:
    """Tell a wait that took too long as TwinInFlight; what sets the LIMIT is inside."""
    try:
        yield
    except OperationalError as error:
        if isinstance(error.__cause__, LockNotAvailable):
            raise TwinInFlight from None
        raise


def limit_wait() -> None:
    """Let nothing of this transaction wait for a lock longer than PATIENCE_MS."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {LIMIT}")
