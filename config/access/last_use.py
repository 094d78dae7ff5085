"""When a token was used last: noted at most once a minute by each process, on the way of its first request in it."""

from datetime import datetime, timedelta
from threading import Lock

from django.db import connection

EVERY = timedelta(minutes=1)
MOST = 10_000

# The last statement wins even where two hosts' clocks differ: the later moment stays. A token that is deleted at this
# very moment is noted nowhere.
NOTE = """
    INSERT INTO config_tokenuse AS noted (token_id, last_used_at, last_used_from)
    SELECT digest, %(now)s, %(address)s FROM knox_authtoken WHERE digest = %(digest)s
    ON CONFLICT (token_id) DO UPDATE SET
        last_used_at = EXCLUDED.last_used_at, last_used_from = EXCLUDED.last_used_from
    WHERE noted.last_used_at < EXCLUDED.last_used_at
"""

_noted: dict[str, datetime] = {}
_lock = Lock()


def note_use(*, digest: str, address: str | None, now: datetime) -> None:
    """Note that a token was used, unless this process did within the minute. address: an IP address, if known."""
    with _lock:
        last = _noted.get(digest)
        if last is not None and last <= now < last + EVERY:
            return
        if len(_noted) >= MOST:
            _noted.clear()
        _noted[digest] = now
    with connection.cursor() as cursor:
        cursor.execute(NOTE, {"digest": digest, "address": address, "now": now})
