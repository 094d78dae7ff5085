"""When work that failed for want of something is tried again by itself: gaps that grow, and an end."""

from datetime import datetime, timedelta

# What is mended within the hour is soon found; what takes days costs little meanwhile. All together two weeks.
GAPS = (
    timedelta(minutes=1),
    timedelta(minutes=5),
    timedelta(minutes=15),
    timedelta(hours=1),
    timedelta(hours=4),
    *(timedelta(days=1) for _ in range(14)),
)


def next_try(*, tried: int, now: datetime) -> datetime | None:
    """When to try again after `tried` tries of the schedule, at least 0; None where it has come to its end."""
    return now + GAPS[tried] if tried < len(GAPS) else None
