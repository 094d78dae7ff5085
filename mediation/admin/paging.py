"""Pages of long tables without counting them: an estimate when nothing is filtered, else a count that stops early."""

from functools import cached_property
from typing import Any

from django.contrib.admin.views.main import ChangeList
from django.core.paginator import Paginator
from django.db import connection
from django.db.models import Model
from django.http import HttpRequest

# Beyond this many rows an exact count costs seconds at 20 million rows, and nobody turns that many pages.
COUNTED_ROWS = 10_000

ESTIMATE = """
SELECT coalesce(sum(greatest(reltuples, 0)), 0)::bigint FROM pg_class
WHERE oid = %s::regclass AND relkind = 'r' OR oid IN (SELECT relid FROM pg_partition_tree(%s::regclass) WHERE isleaf)
"""


class EstimatingPaginator(Paginator):
    """Pages reach the first COUNTED_ROWS rows; `count_text` says what is known about the rest."""

    object_list: Any

    @cached_property
    def count(self) -> int:
        return min(self.rows_known, COUNTED_ROWS)

    @property
    def count_text(self) -> str:
        if self.is_estimated:
            return f"about {self.rows_known:,}"
        return f"{COUNTED_ROWS:,}+" if self.rows_known > COUNTED_ROWS else f"{self.rows_known:,}"

    @property
    def is_cut(self) -> bool:
        return self.rows_known > COUNTED_ROWS

    @cached_property
    def rows_known(self) -> int:
        if self.is_estimated:
            return self._estimate
        return self.object_list.order_by()[: COUNTED_ROWS + 1].count()

    @cached_property
    def is_estimated(self) -> bool:
        return not self.object_list.query.where and self._estimate > COUNTED_ROWS

    @cached_property
    def _estimate(self) -> int:
        return estimated_rows(self.object_list.model)


class LimitedChangeList(ChangeList):
    """Asks for a page's rows by their number also where they are so few that they fill no page.

    Without a limit the database would look for more of them through the whole table.
    """

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        if not self.multi_page:
            self.result_list = self.result_list[: self.list_per_page]


def estimated_rows(model: type[Model]) -> int:
    """How many rows the table of a model has, by the database's own statistics."""
    table = model._meta.db_table
    with connection.cursor() as cursor:
        cursor.execute(ESTIMATE, [f'"{table}"', f'"{table}"'])
        (estimate,) = cursor.fetchone()
    return int(estimate)
