"""Rows whose ids begin with their batch, newest first, found by way of the batches of some feeds."""

from collections.abc import Collection
from typing import Any, Self, cast

from django.core.exceptions import EmptyResultSet
from django.db import connections, transaction
from django.db.models import Model, QuerySet

from mediation.models import UdrBatch

# Where the feeds have few rows, or old ones, the order of the ids leads through the rows of all other feeds: 14 s at
# twenty million charges. From batch to batch it leads through their own rows alone.
WALK = """
SELECT found.id FROM (
    SELECT id FROM {batches} WHERE feed_id = ANY(%s::bigint[]) ORDER BY id DESC
) batch CROSS JOIN LATERAL ({rows}) found (id) ORDER BY batch.id DESC LIMIT %s
"""
COUNT = "SELECT count(*) FROM ({walk}) walked"
OF_BATCH = "{id} >= batch.id << {bits} AND {id} < (batch.id + 1) << {bits}"


class RowsByBatch(QuerySet):
    """Rows that are already narrowed to `feeds`: their pages newest first, and their counts up to a limit, are walked.

    id_bits: by how many bits the id of a row is longer than that of its batch. Every other question is asked as usual.
    """

    feeds: Collection[int] = ()
    id_bits: int | None = None

    def walked(self, feeds: Collection[int], id_bits: int) -> Self:
        rows = self.all()
        rows.feeds, rows.id_bits = feeds, id_bits
        return rows

    def _clone(self) -> Self:
        rows: Self = super()._clone()  # type: ignore[misc]
        rows.feeds, rows.id_bits = self.feeds, self.id_bits
        return rows

    def _fetch_all(self) -> None:
        if self._result_cache is None and self._is_page:
            self._result_cache = list(self._asked_as_usual().filter(pk__in=self._walk()[self.query.low_mark :]))
        super()._fetch_all()  # type: ignore[misc]

    def count(self) -> int:
        if self._result_cache is None and self._is_limited:
            return max(0, self._walk(COUNT)[0] - self.query.low_mark)
        return super().count()

    @property
    def _is_limited(self) -> bool:
        query = self.query
        return self.id_bits is not None and query.high_mark is not None and not (query.distinct or query.group_by)

    @property
    def _is_page(self) -> bool:
        # A walk over more than a few thousand ids ends in a list that is slower to ask for than the rows.
        is_short = self.query.high_mark is not None and self.query.high_mark <= 20_000
        return is_short and self._is_limited and self.query.order_by[:1] in (("-pk",), ("-id",))

    def _asked_as_usual(self) -> QuerySet[Any]:
        rows = self.all()
        rows.id_bits = None
        rows.query.clear_limits()
        return rows

    def _walk(self, asked: str = "{walk}") -> list[int]:
        """The ids up to the limit, or what is asked of them."""
        options = cast(type[Model], self.model)._meta
        of_batch = OF_BATCH.format(id=f'"{options.db_table}"."{options.pk.column}"', bits=self.id_bits)
        rows = self._asked_as_usual().extra(where=[of_batch]).order_by("-pk").values_list("pk")  # noqa: S610
        try:
            inner, values = rows[: self.query.high_mark].query.sql_with_params()
        except EmptyResultSet:
            return [] if asked == "{walk}" else [0]
        walk = WALK.format(batches=f'"{UdrBatch._meta.db_table}"', rows=inner)
        with transaction.atomic(using=self.db), connections[self.db].cursor() as cursor:
            # Compiling a walk over thirty partitions takes ten times as long as the walk.
            cursor.execute("SET LOCAL jit = off")
            cursor.execute(asked.format(walk=walk), [list(self.feeds), *values, self.query.high_mark])
            found = [row[0] for row in cursor.fetchall()]
            cursor.execute("SET LOCAL jit TO DEFAULT")
        return found
