"""Finding a record by whatever one knows of it: a number, an identifier, a place in a file; quick at any size."""

import re
import time as clock
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from typing import Any
from uuid import UUID

from django.contrib.auth.models import User
from django.db import OperationalError, connection, transaction
from django.db.models import Max, Q, QuerySet

from config.tracing.finding import Place
from ingestion.models import Feed, ImportException, UsageImport
from mediation.models import Udr, UdrKey
from mediation.services import feeds_seen
from mediation.services.seeing import seen
from mediation.store import months_around
from rating.core.explaining import About
from rating.models import Account, ServiceIdentifier, Statement
from rating.selectors import charges_seen

MOST = 50
MOST_EXCEPTIONS = 20_000  # the newest, whose raw rows are looked through
SECONDS = 5  # for the usage that no index leads to
CANCELED = "57014"
SPANS = (3, 12, 36)  # months that may be searched by identifier
LARGEST = 2**63 - 1
PART_OF_UUID = re.compile(r"[0-9a-f]{4,32}")
PLACE = re.compile(r"(?P<what>.+):(?P<number>\d{1,18})")

SEES_RECORDS = (
    "ingestion.view_usageimport",
    "ingestion.view_importexception",
    "mediation.view_udr",
    "rating.view_charge",
)


@dataclass(frozen=True)
class Match:
    """Something that was found: a record by its place, or another thing that has a page."""

    text: str
    detail: str
    at: datetime | None = None
    place: Place | None = None
    about: About | None = None


@dataclass(frozen=True)
class Group:
    """What was found of one kind; has_more: there is more than is listed."""

    title: str
    matches: tuple[Match, ...]
    has_more: bool = False


@dataclass(frozen=True)
class Found:
    """What a search came to.

    since: from which day on usage was to be searched by identifier; searched_since: from which day on it was.
    """

    groups: tuple[Group, ...]
    since: date
    searched_since: date | None = None

    @property
    def only(self) -> Match | None:
        """The one thing that was found, where it is one."""
        matches = [match for group in self.groups for match in group.matches]
        places = {match.place for match in matches}
        return matches[0] if len(matches) == 1 or (len(places) == 1 and None not in places) else None


def may_search(by: User) -> bool:
    """Whether a person sees anything of records."""
    return any(by.has_perm(permission) for permission in SEES_RECORDS)


def search(term: str, *, by: User, now: datetime, months: int = SPANS[0]) -> Found:
    """What `by` may see of what `term` names. months: how far back usage is searched by identifier; now: until when."""
    term = term.strip().replace("\0", "")[:500]
    firsts = months_around(now.astimezone(UTC).date(), back=months - 1, ahead=0)
    kinds: tuple[tuple[str, Callable[[str, User], Iterable[Match]]], ...] = (
        ("Records", _records_at),
        ("UDRs", _udr_by_number),
        ("Charges", _charge_by_number),
        ("Statements", _statements),
        ("Accounts", _accounts),
        ("Imports", _imports),
        ("Records with this uniqueness key", _by_key),
        ("Services that own this identifier, or did", _services),
    )
    groups = [_group(title, find(term, by)) for title, find in kinds] if term else []
    searched_since = None
    if term and not groups[0].matches and not _is_whole_id(term):
        usage, searched_since = _usage(term, by, firsts[::-1])
        groups += [_group("Usage with this identifier", usage), _group("Exceptions", _exceptions(term, by))]
    return Found(tuple(group for group in groups if group.matches), firsts[0], searched_since)


def _is_whole_id(term: str) -> bool:
    """Whether a term is a tracking id, and so no identifier."""
    digits = term.replace("-", "").lower()
    return len(digits) == 32 and PART_OF_UUID.fullmatch(digits) is not None


def _group(title: str, matches: Iterable[Match]) -> Group:
    listed = tuple(matches)
    return Group(title, listed[:MOST], len(listed) > MOST)


def _number(term: str) -> int | None:
    """The number that a term is, where a key could be that."""
    number = int(term) if term.isascii() and term.isdecimal() and len(term) < 20 else None
    return number if number is not None and number <= LARGEST else None


def _imports_seen(by: User) -> QuerySet[UsageImport]:
    return seen(UsageImport.objects.select_related("feed"), by)


def _records_at(term: str, by: User) -> Iterator[Match]:
    """A line of a file, or a record of a submission: `usage.csv:12`, `4d5b…:3`."""
    place = PLACE.fullmatch(term)
    if place is None or not may_search(by):
        return
    number = int(place["number"])
    for usage_import in _named(place["what"].strip(), by)[: MOST + 1]:
        yield Match(
            f"Record {number:,} of {_name(usage_import)}",
            f"{usage_import.feed}, {usage_import.get_status_display()}",
            usage_import.received_at,
            Place(usage_import.pk, number),
        )


def _named(name: str, by: User) -> QuerySet[UsageImport]:
    """Imports with this file name, or whose tracking id begins so; the newest first."""
    given = Q(file_name=name) & ~Q(file_name="")
    digits = name.replace("-", "").lower()
    if PART_OF_UUID.fullmatch(digits):
        given |= Q(tracking_id__gte=UUID(digits.ljust(32, "0")), tracking_id__lte=UUID(digits.ljust(32, "f")))
    return _imports_seen(by).filter(given).order_by("-pk")


def _name(usage_import: UsageImport) -> str:
    return usage_import.file_name or f"submission {usage_import.tracking_id}"


def _imports(term: str, by: User) -> Iterator[Match]:
    if not by.has_perm("ingestion.view_usageimport"):
        return
    for one in _named(term, by)[: MOST + 1]:
        records = f"{one.record_count:,} record{'' if one.record_count == 1 else 's'}"
        detail = f"{one.feed}, {records}, {one.get_status_display()}"
        place = Place(one.pk, 1) if one.record_count == 1 and not one.payload else None
        yield Match(_name(one), detail, one.received_at, place, About("import", one.pk))


def _udr_by_number(term: str, by: User) -> Iterator[Match]:
    number = _number(term)
    if number is not None and by.has_perm("mediation.view_udr"):
        yield from map(_usage_match, seen(Udr.objects.select_related("usage_class"), by).filter(pk=number))


def _usage_match(udr: Udr) -> Match:
    who = " · ".join(filter(None, (udr.udr_usage_identifier, udr.originating_identifier, udr.terminating_identifier)))
    detail = f"{udr.value.normalize():f} of {udr.usage_class}, {who or 'no identifier'}"
    return Match(f"UDR {udr.pk}", detail, udr.date, Place(udr.import_id, udr.record_number), About("udr", udr.pk))


def _charge_by_number(term: str, by: User) -> Iterator[Match]:
    number = _number(term)
    if number is None or not by.has_perm("rating.view_charge"):
        return
    for charge in charges_seen(by).select_related("account").filter(pk=number):
        numbers = Udr.objects.filter(pk=charge.udr_id).values_list("record_number", flat=True)
        place = next((Place(charge.import_id, number) for number in numbers), None)
        detail = f"{charge.amount.normalize():f} {charge.currency}, account {charge.account}"
        yield Match(f"{charge.kind} {charge.pk}", detail, charge.date, place, About("charge", charge.pk))


def _statements(term: str, by: User) -> Iterator[Match]:
    number = _number(term)
    if number is None or not by.has_perm("rating.view_statement"):
        return
    for statement in Statement.objects.filter(number=number).select_related("period__account"):
        detail = f"account {statement.period.account}, {statement.period}"
        yield Match(
            f"Statement {statement}", detail, statement.issued_at, about=About("statement", statement.period_id)
        )


def _accounts(term: str, by: User) -> Iterator[Match]:
    if by.has_perm("rating.view_account"):
        for account in Account.objects.filter(number=term):
            yield Match(f"Account {account.number}", account.name, about=About("account", account.pk))


def _services(term: str, by: User) -> Iterator[Match]:
    if not by.has_perm("rating.view_serviceidentifier"):
        return
    owned = ServiceIdentifier.objects.filter(identifier=term).select_related("service__account").order_by("starts_at")
    for one in owned[: MOST + 1]:
        until = f" until {one.ends_at:%Y-%m-%d}" if one.ends_at else ""
        detail = f"account {one.service.account}, from {one.starts_at:%Y-%m-%d}{until}"
        yield Match(f"Service {one.service}", detail, about=About("identifier", one.pk))


def _by_key(term: str, by: User) -> Iterator[Match]:
    """By the uniqueness key, which an event feed's usage identifier is: its index begins with the feed."""
    if not by.has_perm("mediation.view_udr"):
        return
    feeds = feeds_seen(by)
    keys = UdrKey.objects.filter(feed_id__in=_all_feeds() if feeds is None else feeds, key=term)
    numbers = list(keys.values_list("pk", flat=True)[: MOST + 1])
    if numbers:
        yield from map(_usage_match, Udr.objects.filter(pk__in=numbers).select_related("usage_class"))


def _all_feeds() -> list[int]:
    return list(Feed.objects.values_list("pk", flat=True))


def _usage(term: str, by: User, months: Sequence[date]) -> tuple[list[Match], date | None]:
    """UDRs with an identifier, and from which day on they were searched: month by month while time is left.

    months: their first days, the newest first; usage that is dated ahead belongs to the newest.
    """
    if not (by.has_perm("mediation.view_udr") or by.has_perm("rating.view_charge")):
        return [], None
    rows = seen(Udr.objects.filter(carrying(term)), by).select_related("usage_class").order_by("-date", "-pk")
    found: dict[Place | None, Match] = {}
    searched_since, ends = None, clock.monotonic() + SECONDS
    for first in months:
        start = datetime.combine(first, time.min, UTC)
        try:
            with _within(ends - clock.monotonic()):
                matches = [_usage_match(udr) for udr in rows.filter(date__gte=start)[: MOST + 1]]
        except OperationalError as late:
            if getattr(late.__cause__, "sqlstate", "") != CANCELED:
                raise
            break
        for match in matches:
            found.setdefault(match.place, match)
        searched_since = first
        if len(found) > MOST:
            break
        rows = rows.filter(date__lt=start)
    return list(found.values()), searched_since


def carrying(term: str) -> Q:
    """That a UDR carries this identifier."""
    return Q(udr_usage_identifier=term) | Q(originating_identifier=term) | Q(terminating_identifier=term)


@contextmanager
def _within(seconds: float) -> Iterator[None]:
    """A stretch of queries that the server ends after so long."""
    with transaction.atomic():
        with connection.cursor() as cursor:
            # Compiling such a query takes longer than a third of running it over 20 million rows.
            cursor.execute("SET LOCAL jit = off")
            cursor.execute("SELECT set_config('statement_timeout', %s, true)", [f"{max(int(seconds * 1000), 1)}ms"])
        yield
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL statement_timeout TO DEFAULT")
            cursor.execute("SET LOCAL jit TO DEFAULT")


def _exceptions(term: str, by: User) -> Iterator[Match]:
    """Records that became no UDR, among the newest: they have no identifier but what their raw row says."""
    if not by.has_perm("ingestion.view_importexception"):
        return
    newest = ImportException.objects.aggregate(newest=Max("pk"))["newest"] or 0
    rows: QuerySet[Any] = ImportException.objects.filter(pk__gt=newest - MOST_EXCEPTIONS, raw__contains=term)
    told: set[Place] = set()  # each attempt at an import may have made one of the same record
    for one in seen(rows, by).select_related("usage_import").order_by("-pk")[: MOST + 1]:
        detail = f"{one.code.replace('_', ' ')}, {one.get_status_display()}"
        place = Place(one.usage_import_id, one.record_number)
        if place not in told:
            text = f"Record {one.record_number:,} of {_name(one.usage_import)}"
            yield Match(text, detail, one.created_at, place, About("exception", one.pk))
        told.add(place)
