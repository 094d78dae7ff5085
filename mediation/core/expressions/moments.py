"""Moments as text: the one grammar that a cast and a literal read, and the one form that is written."""

import re
from datetime import UTC, datetime, timedelta

# Date, then perhaps a time of day, then perhaps an offset; without an offset it is UTC.
MOMENT_PATTERN = (
    r"^([0-9]{4}-[0-9]{2}-[0-9]{2})"
    r"(?:[T ]([0-9]{2}:[0-9]{2})(?::([0-5][0-9](?:\.[0-9]{1,9})?))? ?(?:Z|([+-][01][0-9]):?([0-5][0-9])?)?)?$"
)


def read_moment(text: str) -> datetime | None:
    """The moment that `text` names, None where it names none; digits beyond microseconds are cut."""
    match = re.fullmatch(MOMENT_PATTERN.removesuffix("$"), text)
    if match is None:
        return None
    date, clock, second, hours, minutes = match.groups()
    second, _, fraction = (second or "00").partition(".")
    try:
        local = datetime.fromisoformat(f"{date}T{clock or '00:00'}:{second}.{fraction[:6]:0<6}+00:00")
        offset = timedelta(hours=int((hours or "+0")[1:]), minutes=int(minutes or 0))
        return local + offset if (hours or "").startswith("-") else local - offset
    except (ValueError, OverflowError):
        return None


def write_moment(moment: datetime) -> str:
    """ISO 8601 in UTC, with microseconds where there are any."""
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat() + "Z"
