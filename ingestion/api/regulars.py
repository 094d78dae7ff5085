"""Regulars: whose token sends to which feed on which terms, remembered by this process so that nothing is asked twice.

Nothing here is trusted for longer than it is true: the terms carry the acceptance stamp, and nothing is written once
that is another one. So a remembered sender can only be accepted; every refusal is found out afresh.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from threading import Lock
from typing import Any

from django.contrib.auth.models import User
from knox.models import AuthToken

from ingestion.services import Terms

MOST = 1_000

Key = tuple[bytes, str]


@dataclass(frozen=True)
class Regular:
    """The terms of one token for one feed. user: only the number, for the log."""

    terms: Terms
    user: User
    token: AuthToken = field(repr=False)


_known: dict[Key, Regular] = {}
_lock = Lock()


def key_of(headers: Mapping[str, Any], feed: str) -> Key | None:
    """Under what a sender is remembered: a digest, so that no token is; None for those who show no token."""
    credential = headers.get("HTTP_AUTHORIZATION")
    if not credential or len(feed) > 60:
        return None
    return hashlib.sha256(credential.encode()).digest(), feed


def find(key: Key, now: datetime) -> Regular | None:
    regular = _known.get(key)
    if regular is None or (regular.token.expiry is not None and regular.token.expiry < now):
        return None
    return regular


def remember(key: Key, terms: Terms, token: AuthToken) -> None:
    regular = Regular(terms, User(pk=terms.by_id), token)
    with _lock:
        if key not in _known and len(_known) >= MOST:
            del _known[next(iter(_known))]
        _known[key] = regular


def forget(key: Key) -> None:
    with _lock:
        _known.pop(key, None)
