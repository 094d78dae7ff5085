"""A stretch of work in which the database refuses every write."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection, transaction


@contextmanager
def reading_only() -> Iterator[None]:
    """Inside, any write raises; what is shown to a person before it happens must not happen."""
    with transaction.atomic():
        with connection.cursor() as cursor:
            # Of this transaction, or of this savepoint: PostgreSQL lifts it at its end.
            cursor.execute("SET LOCAL transaction_read_only = on")
        yield
