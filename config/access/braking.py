"""The brake on guessing passwords: after some wrong tries each further one has to wait, and longer each time.

A try is counted before its password is looked at, in rows that all processes of all hosts lock, so many at once are no
way around it; one that was right is taken back. Names that nobody has are counted like others. What others do holds up
nobody in a browser in which he was signed in before, which is counted by itself; elsewhere a name closes for a minute
at most, and for five from an address that tries it. So the address has to be the sender's, see `address_of`.
"""

import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import ip_address, ip_network
from typing import Any

from django.contrib.admin.forms import AdminAuthenticationForm
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied, ValidationError
from django.core.signing import BadSignature, dumps, loads
from django.db import connection, transaction
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.crypto import salted_hmac

from config.access.authentication import address_of
from config.models import LoginTries
from mediation import services as mediation

Kind = LoginTries.Kind
FORGOTTEN_AFTER = timedelta(days=1)
COOKIE = "sluice_browser"
COOKIE_SECONDS = 365 * 24 * 3600
SALT = "config.access.braking"


@dataclass(frozen=True)
class Brake:
    """free: wrong tries without a gap. first_seconds: the gap after these; it doubles up to most_seconds."""

    free: int
    first_seconds: int
    most_seconds: int

    def gap(self, failures: int) -> timedelta | None:
        """How long nothing is looked at after so many wrong tries."""
        if failures < self.free:
            return None
        return timedelta(seconds=min(self.first_seconds * 2 ** min(failures - self.free, 30), self.most_seconds))


# Many people may share an address, so it alone closes for seconds only.
BRAKES = {
    Kind.BROWSER: Brake(free=5, first_seconds=5, most_seconds=300),
    Kind.NAME_AND_ADDRESS: Brake(free=5, first_seconds=5, most_seconds=300),
    Kind.NAME: Brake(free=20, first_seconds=2, most_seconds=60),
    Kind.ADDRESS: Brake(free=100, first_seconds=1, most_seconds=10),
}
# What of a person's own a right password clears; what others share with him is left as it was.
OWN = (Kind.BROWSER, Kind.NAME_AND_ADDRESS)
# What a row says of its last try.
TOLD = ("failed_at", "closed_until", "braked_since", "address")


class UnableToSignIn(Exception):
    """A password is not looked at, since too many were wrong before. seconds: how long to wait."""

    def __init__(self, seconds: int) -> None:
        self.seconds = seconds
        many = f"{seconds} second{'' if seconds == 1 else 's'}" if seconds < 120 else f"{-(-seconds // 60)} minutes"
        super().__init__(
            f"Too many wrong tries. This one was not looked at: wait {many}, and try again. A superuser can let you in"
            " at once: Users, your name, Let in again."
        )


@dataclass(frozen=True)
class Tried:
    """A row in which a try was counted at a moment, and what it said before."""

    pk: int
    at: datetime
    failed_at: datetime
    closed_until: datetime | None
    braked_since: datetime | None
    address: str | None


@transaction.atomic
def take_try(*, name: str, address: str | None, browser: str = "") -> list[Tried]:
    """Count a try to sign in as a wrong one, until `was_right` says otherwise; returns where it is counted.

    browser: what its cookie proves it to be, empty for one that this name never was signed in with. Raises
    UnableToSignIn where it comes too early.
    """
    keys = _keys(name, address, browser)
    user = User.objects.filter(username=name).only("pk").first()
    now = _now()
    LoginTries.objects.bulk_create(
        [
            LoginTries(key=key, kind=kind, failed_at=now, user=None if kind == Kind.ADDRESS else user)
            for key, kind in keys
        ],
        ignore_conflicts=True,
    )
    rows = list(LoginTries.objects.select_for_update().filter(key__in=[key for key, _ in keys]).order_by("key"))
    now = _now()  # a try that waited for another one's lock comes after it
    wait = max((_wait(row, now) for row in rows), default=timedelta(0))
    if wait:
        raise UnableToSignIn(-int(-wait.total_seconds() // 1))
    tried = [Tried(row.pk, now, row.failed_at, row.closed_until, row.braked_since, row.address) for row in rows]
    for row in rows:
        is_long_ago = row.failed_at < now - FORGOTTEN_AFTER
        row.failures = 1 if is_long_ago else row.failures + 1
        gap = BRAKES[Kind(row.kind)].gap(row.failures)
        row.closed_until = None if gap is None else now + gap
        # The try at hand may be the right one; those before it were not.
        is_braked = row.failures > BRAKES[Kind(row.kind)].free
        row.braked_since = (None if is_long_ago else row.braked_since) or (now if is_braked else None)
        row.failed_at, row.address = now, address
        # The name may have become somebody's since.
        row.user = None if row.kind == Kind.ADDRESS else user
    LoginTries.objects.bulk_update(rows, [*TOLD, "failures", "user"])
    return tried


@transaction.atomic
def was_right(tried: Iterable[Tried]) -> None:
    """Take back a try that was counted: a person's own count is cleared, what others share with him loses this one.

    Rows stay: another try may wait for them.
    """
    before = {one.pk: one for one in tried}
    rows = list(LoginTries.objects.select_for_update().filter(pk__in=before).order_by("key"))
    for row in rows:
        row.failures = 0 if row.kind in OWN else max(0, row.failures - 1)
        if not row.failures:
            row.closed_until = row.braked_since = None
        elif row.failed_at == before[row.pk].at:  # no other was counted meanwhile
            for name in TOLD:
                setattr(row, name, getattr(before[row.pk], name))
    LoginTries.objects.bulk_update(rows, [*TOLD, "failures"])


@mediation.acts()
@transaction.atomic
def let_in_again(*, people: QuerySet[User], by: User) -> int:
    """Forget the wrong tries to sign in as these people, and those of addresses, which would still hold them up.

    Returns how many of the people had to wait or count.
    """
    if not by.is_superuser:
        raise PermissionDenied
    counted = LoginTries.objects.filter(Q(user__in=people) | Q(kind=Kind.ADDRESS), failures__gt=0)
    rows = list(counted.select_for_update().order_by("key"))
    LoginTries.objects.filter(pk__in=[row.pk for row in rows]).update(failures=0, closed_until=None, braked_since=None)
    return len({row.user_id for row in rows} - {None})


@transaction.atomic
def expire_tries() -> int:
    """Forget what is so long ago that it counts no more, but for what somebody tries at this moment."""
    old = LoginTries.objects.filter(failed_at__lt=_now() - FORGOTTEN_AFTER).order_by("key")
    gone = list(old.select_for_update(skip_locked=True).values_list("pk", flat=True)[:10_000])
    return LoginTries.objects.filter(pk__in=gone).delete()[0]


def braked_of_late(now: datetime) -> QuerySet[LoginTries]:
    """Those that are slowed down and were tried in the last hour, those with the most tries first."""
    recent = LoginTries.objects.filter(braked_since__isnull=False, failed_at__gt=now - timedelta(hours=1))
    return recent.select_related("user").order_by("-failures", "pk")


def _keys(name: str, address: str | None, browser: str) -> list[tuple[str, Kind]]:
    """What the try counts for, in one order for all, so that nobody waits for who waits for him."""
    network = _network(address)
    if browser:
        counted = [(Kind.BROWSER, f"{name}\0{browser}")]
    else:
        counted = [(Kind.NAME_AND_ADDRESS, f"{name}\0{network}"), (Kind.NAME, name), (Kind.ADDRESS, network)]
    return sorted((_digest(f"{kind}\0{text}"), kind) for kind, text in counted)


def _digest(text: str) -> str:
    return salted_hmac(SALT, text, algorithm="sha256").hexdigest()


def _network(address: str | None) -> str:
    """What one sender has of addresses: of IPv6 no less than a /64."""
    if address is None:
        return ""
    return address if ip_address(address).version == 4 else str(ip_network(f"{address}/64", strict=False))


def _now() -> datetime:
    """By the database's clock, which all hosts share."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        found: datetime = cursor.fetchone()[0]
    return found


def _wait(row: LoginTries, now: datetime) -> timedelta:
    """How long the row is closed yet; longer than any gap says that the clock was put back, and counts as not."""
    left = row.closed_until - now if row.closed_until else timedelta(0)
    most = timedelta(seconds=BRAKES[Kind(row.kind)].most_seconds)
    return left if timedelta(0) < left <= most else timedelta(0)


# The page


class SignInForm(AdminAuthenticationForm):
    """As Django has it, behind the brake."""

    request: Any  # the page always gives one

    def clean(self) -> dict[str, Any]:
        name, password = self.cleaned_data.get("username"), self.cleaned_data.get("password")
        if not (name and password):
            return super().clean()
        try:
            tried = take_try(name=name, address=address_of(self.request.META), browser=_browser(self.request, name))
        except UnableToSignIn as refusal:
            self.request.sign_in_wait = refusal.seconds
            raise ValidationError(str(refusal), code="too_many_tries") from None
        cleaned = super().clean()
        was_right(tried)
        return cleaned


def sign_in(request: HttpRequest, page: Callable[[], HttpResponse]) -> HttpResponse:
    """The page to sign in, or what follows: 429 for who has to wait, a cookie for the browser of who is in."""
    answer = page()
    wait = getattr(request, "sign_in_wait", None)
    if wait is not None:
        answer.status_code = 429
        answer["Retry-After"] = str(wait)
    elif request.method == "POST" and request.user.is_authenticated and answer.status_code == 302:
        name = request.user.get_username()
        told = dumps([_digest(name), _browser(request, name) or secrets.token_urlsafe(16)], salt=SALT)
        kept: dict[str, Any] = {"path": request.path, "httponly": True, "samesite": "Lax"}
        answer.set_cookie(COOKIE, told, COOKIE_SECONDS, secure=request.is_secure(), **kept)
    return answer


def _browser(request: HttpRequest, name: str) -> str:
    """Which browser it is, if this name was signed in with it before."""
    try:
        of_name, browser = loads(request.COOKIES.get(COOKIE, ""), salt=SALT, max_age=COOKIE_SECONDS)
    except (BadSignature, ValueError, TypeError):
        return ""
    return str(browser) if of_name == _digest(name) else ""
