"""Tokens are issued with a name and what limits them, limited anew, and revoked; none is ever deleted."""

from collections.abc import Collection, Iterable
from datetime import datetime, timedelta
from typing import NamedTuple

from django.contrib.auth.models import User
from django.db import transaction
from knox.models import AuthToken

from config.access.verbs import VERBS
from config.models import TokenScope
from mediation import services as mediation

MAY_ISSUE = "knox.add_authtoken"
MAY_REVOKE = "knox.delete_authtoken"


class Limits(NamedTuple):
    """What a token may do of what its user may. feeds: by their numbers; None: all of its user's, as of verbs.

    Rates are of a minute; None: those of the settings, 0: none.
    """

    feeds: Collection[int] | None = None
    verbs: Collection[str] | None = None
    requests_per_minute: int | None = None
    records_per_minute: int | None = None


def issue_token(
    *, user: User, name: str, limits: Limits, lifetime: timedelta, by: User | None
) -> tuple[AuthToken, str]:
    """Make a token for `user`; its text is given here and kept nowhere. Raises ValueError for an unknown verb."""
    mediation.require_permission(by, MAY_ISSUE)
    columns = _columns(limits)
    with transaction.atomic():
        token, text = AuthToken.objects.create(user=user, expiry=lifetime)
        TokenScope.objects.create(token=token, name=name, **columns)
    return token, str(text)


def limit_token(*, token: AuthToken, name: str, limits: Limits, by: User | None) -> None:
    """Limit a token otherwise than so far, from its next request on. Raises ValueError for an unknown verb."""
    mediation.require_permission(by, MAY_ISSUE)
    TokenScope.objects.update_or_create(token=token, defaults={"name": name, **_columns(limits)})


def revoke_tokens(*, tokens: Iterable[AuthToken], reason: str, by: User | None, now: datetime) -> int:
    """Refuse what is sent with these tokens from now on, and keep them; gives how many were good until now."""
    mediation.require_permission(by, MAY_REVOKE)
    revoked = {"revoked_at": now, "revoked_by": by, "revoke_reason": reason}
    count = 0
    with transaction.atomic(), mediation.acting(by=by, why=reason):
        for token in tokens:
            TokenScope.objects.get_or_create(token=token, defaults={"name": ""})
            count += TokenScope.objects.filter(token=token, revoked_at=None).update(**revoked)
    return count


def _columns(limits: Limits) -> dict[str, list[int] | list[str] | int | None]:
    """Limits as their columns hold them; nothing chosen is no limit."""
    if unknown := sorted(set(limits.verbs or ()) - set(VERBS)):
        raise ValueError(f"There are no such verbs: {', '.join(unknown)}. Known are {', '.join(VERBS)}.")
    return {
        "feeds": sorted(limits.feeds) if limits.feeds else None,
        "verbs": [name for name in VERBS if name in limits.verbs] if limits.verbs else None,
        "requests_per_minute": limits.requests_per_minute,
        "records_per_minute": limits.records_per_minute,
    }
