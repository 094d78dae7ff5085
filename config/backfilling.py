"""Backfills beside their charges: what is to be taken back, and what is billed."""

from collections.abc import Sequence
from decimal import Decimal

from ingestion.models import Backfill
from rating import store


def charged_in_window(backfill: Backfill) -> Sequence[tuple[str, int, Decimal]]:
    """(currency, charges, amount) that stand for what the backfill would replace."""
    return store.standing_in_window(
        feed_id=backfill.feed_id,
        starts_at=backfill.starts_at,
        ends_at=backfill.ends_at,
        backfill_id=backfill.pk,
    )


def is_billed(backfill: Backfill) -> bool:
    """Whether a statement that was closed since tells of the backfill, or of what was taken back because of it."""
    return backfill.closed_at is not None and store.is_billed(backfill_id=backfill.pk, since=backfill.closed_at)
