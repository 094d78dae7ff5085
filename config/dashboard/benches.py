"""What the workbenches show as value at risk: the estimates, in words with their currency."""

from collections.abc import Sequence
from decimal import Decimal

from django.db.models import QuerySet

from config.dashboard import value_at_risk
from mediation.admin import marks, workbench


def in_words(value: Decimal | None, currency: str | None) -> str:
    """An estimate as a workbench shows it; "" where there is none."""
    return f"{marks.exact(value)}\N{NO-BREAK SPACE}{currency}" if value is not None and currency else ""


def of_import_exceptions(rows: QuerySet) -> str:
    return in_words(value_at_risk.value_of_import_exceptions(rows), value_at_risk.currency_of_estimates())


def of_import_groups(groups: Sequence[tuple[int, int]]) -> list[str]:
    """groups: (feed, how many records) of each."""
    currency = value_at_risk.currency_of_estimates()
    values = value_at_risk.values_of_groups([{feed: count} for feed, count in groups])
    return [in_words(value, currency) for value in values]


def of_rating_exceptions(rows: QuerySet) -> str:
    return in_words(value_at_risk.value_of_rating_exceptions(rows), value_at_risk.currency_of_estimates())


def of_rating_groups(groups: Sequence[tuple[int, int, Decimal]]) -> list[str]:
    """groups: (usage class, how many UDRs, their quantity) of each."""
    currency = value_at_risk.currency_of_estimates()
    values = value_at_risk.values_of_usage([{kind: (count, quantity)} for kind, count, quantity in groups])
    return [in_words(value, currency) for value in values]


IMPORT_VALUES = workbench.Values(of_rows=of_import_exceptions, of_groups=of_import_groups)
RATING_VALUES = workbench.Values(of_rows=of_rating_exceptions, of_groups=of_rating_groups)
