"""What a customer's own page shows of an account: usage and charges by day, class and more, and bucket balances."""

import base64
import binascii
import json
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any, cast
from zoneinfo import ZoneInfo

from django.contrib.auth.models import User
from django.db.models import Q, QuerySet
from django.http import StreamingHttpResponse
from django.utils import timezone
from rest_framework import serializers
from rest_framework import status as http
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.urls import replace_query_param
from rest_framework.views import APIView

from mediation import services as mediation
from mediation.api import CsvRows, Listed, ModelPermissions, NewestFirst, Problem, is_for_spreadsheet
from mediation.api.describing import describe
from rating import selectors, store
from rating.api.granting import BucketGrantSerializer
from rating.api.schemas import DAYS_OF_USAGE, USAGE
from rating.models import Account, BillingPeriod, BucketGrant
from rating.store.account_usage import UsageAsked, as_texts, totals_by_class, usage_as_csv, usage_of_account
from rating.store.usage_dimensions import DIMENSIONS, MOST_EXTENSIONS, extensions_kept, is_extension, is_key

MOST_DAYS = 366
USUAL_SIZE, MOST = 100, 1_000


class AccountUsage(APIView):
    """Usage and charges from one day to another, both included, in the account's zone; parted by what `by` names.

    As CSV all rows at once.
    """

    renderer_classes = (JSONRenderer, CsvRows)

    @describe(
        "Get an account's usage",
        parameters=DAYS_OF_USAGE,
        responses={200: USAGE},
        refuses=("unknown_account", "bad_day", "bad_days", "unknown_dimension", "bad_page_size", "bad_cursor"),
    )
    def get(self, request: Request, account: str) -> Response | StreamingHttpResponse:
        if not request.user.has_perm("rating.view_charge"):
            self.permission_denied(request)
        found = account_of(account)
        first, last = _days(request, found)
        by = _dimensions(request)
        size, is_safe = _size(request), is_for_spreadsheet(request)
        asked = _asked(found, first, last, cast(User, request.user))
        after = _cursor(request, by)
        if request.accepted_renderer.format == CsvRows.format:
            return StreamingHttpResponse(
                usage_as_csv(asked, by, spreadsheet=is_safe),
                content_type="text/csv; charset=utf-8",
                headers={"Content-Disposition": 'attachment; filename="usage.csv"'},
            )
        rows = usage_of_account(asked, by, after=after, most=size + 1)
        is_whole = "class" in by and after is None and len(rows) <= size
        totals = None
        if after is None:
            totals = totals_by_class(rows) if is_whole else usage_of_account(asked, ["class"])
        next_page = None
        if len(rows) > size:
            cursor = base64.urlsafe_b64encode(json.dumps(rows[size - 1]["key"]).encode()).decode()
            next_page = replace_query_param(request.build_absolute_uri(), "cursor", cursor)
        return Response(
            {
                "account": found.number,
                "name": found.name,
                "time_zone": found.time_zone,
                "from": first.isoformat(),
                "to": last.isoformat(),
                "by": by,
                "totals": totals and [as_texts(row) for row in totals],
                "next": next_page,
                "results": [as_texts(row) for row in rows[:size]],
            }
        )


def account_of(number: str) -> Account:
    """The account with this number. Raises Problem."""
    account = None if "\0" in number else Account.objects.select_related("parent").filter(number=number).first()
    if account is None:
        raise Problem(http.HTTP_404_NOT_FOUND, "unknown_account", f"There is no account {number!r}.")
    return account


def _days(request: Request, account: Account) -> tuple[date, date]:
    """The first and the last day; unless said, of this month until today."""
    today = timezone.now().astimezone(ZoneInfo(account.time_zone)).date()
    last = _day(request, "to") or today
    first = _day(request, "from") or last.replace(day=1)
    if not 0 <= (last - first).days < MOST_DAYS:
        detail = f"“to” is a day from “from” on, and they are at most {MOST_DAYS} days together."
        raise Problem(http.HTTP_400_BAD_REQUEST, "bad_days", detail)
    return first, last


def _day(request: Request, name: str) -> date | None:
    text = request.query_params.get(name)
    if text is None:
        return None
    try:
        day = datetime.strptime(text, "%Y-%m-%d").date()  # noqa: DTZ007 - a day has no zone
    except ValueError:
        day = date.min
    if not 1900 <= day.year < 9999:
        raise Problem(http.HTTP_400_BAD_REQUEST, "bad_day", f"{name} is a day such as 2026-05-31, not {text[:50]!r}.")
    return day


def _dimensions(request: Request) -> list[str]:
    """What is told apart, `day` first: only then do running totals run."""
    said = request.query_params.get("by", "day,class").split(",")
    extensions = [name for name in said if is_extension(name)]
    if set(said) - set(DIMENSIONS) - set(extensions) or len(set(said)) < len(said):
        detail = f"by names some of {', '.join(DIMENSIONS)} and Extensions.NAME, each once, parted by commas."
        raise Problem(http.HTTP_400_BAD_REQUEST, "unknown_dimension", detail)
    if len(extensions) > MOST_EXTENSIONS:
        detail = f"by names at most {MOST_EXTENSIONS} extensions. Ask once for each."
        raise Problem(http.HTTP_400_BAD_REQUEST, "unknown_dimension", detail)
    if extensions and (unknown := set(extensions) - extensions_kept(extensions)):
        detail = f"No profile keeps {', '.join(sorted(unknown))}. Name an extension as the profile of the feed does."
        raise Problem(http.HTTP_400_BAD_REQUEST, "unknown_dimension", detail)
    return [*(name for name in DIMENSIONS if name in said), *extensions]


def _size(request: Request) -> int:
    text = request.query_params.get("page_size", str(USUAL_SIZE))
    if text.isascii() and text.isdecimal() and len(text) < 5 and 1 <= int(text) <= MOST:
        return int(text)
    detail = f"page_size is a whole number from 1 to {MOST:,}, not {text[:50]!r}."
    raise Problem(http.HTTP_400_BAD_REQUEST, "bad_page_size", detail)


def _cursor(request: Request, by: Sequence[str]) -> list[str] | None:
    text = request.query_params.get("cursor")
    if text is None:
        return None
    try:
        key = json.loads(base64.urlsafe_b64decode(text))
    except (binascii.Error, ValueError, RecursionError):
        key = None
    if isinstance(key, list) and all(isinstance(one, str) for one in key) and is_key(key, by):
        return key
    detail = "This cursor is of no page with this “by”; take the address of “next” as it is."
    raise Problem(http.HTTP_400_BAD_REQUEST, "bad_cursor", detail)


def _asked(account: Account, first: date, last: date, by: User) -> UsageAsked:
    """Usage is billed in the period of its day, or in a later one where that was closed."""
    zone = ZoneInfo(account.time_zone)
    starts_at, ends_at = (
        datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC) for day in (first, last + timedelta(days=1))
    )
    periods = BillingPeriod.objects.filter(account=account, ends_at__gt=starts_at).values_list("pk", flat=True)
    seen = mediation.feeds_seen(by)
    return UsageAsked(list(periods), account.time_zone, first, last, starts_at, ends_at, seen)


class BalanceSerializer(BucketGrantSerializer):
    """A grant that serves usage of this moment, with what it is of and who shares it; null where no version says so."""

    of = serializers.SerializerMethodField()
    shared = serializers.SerializerMethodField()

    class Meta(BucketGrantSerializer.Meta):
        fields = (*BucketGrantSerializer.Meta.fields, "of", "shared")  # type: ignore[assignment]

    def get_of(self, grant: BucketGrant) -> str | None:
        return self._said(grant, "of")

    def get_shared(self, grant: BucketGrant) -> str | None:
        return self._said(grant, "shared")

    def _said(self, grant: BucketGrant, name: str) -> str | None:
        bucket = self.context["buckets"].get(grant.bucket_id)
        return getattr(bucket, name) if bucket else None


@describe("List an account's balances", refuses=("unknown_account",))
class AccountBalances(Listed):
    """What is left of the grants that serve an account's usage now: its own, and those that its family shares."""

    queryset = BucketGrant.objects.none()
    serializer_class = BalanceSerializer
    pagination_class = NewestFirst
    permission_classes = (ModelPermissions,)
    filter_backends = ()

    def get_queryset(self) -> QuerySet[BucketGrant]:
        account, now = account_of(self.kwargs["account"]), timezone.now()
        family = [number for number, bucket in self._buckets().items() if bucket.shared == "family"]
        top = selectors.topmost_account(account)
        whose = Q(account=account) | Q(account=top, service_id=0, bucket_id__in=family)
        is_now = Q(ends_at=None) | Q(ends_at__gt=now)
        return selectors.bucket_grants().filter(whose, is_now, starts_at__lte=now)

    def get_serializer_context(self) -> dict[str, Any]:
        return {**super().get_serializer_context(), "buckets": self._buckets()}

    def _buckets(self) -> dict[int, Any]:
        """Each bucket as the version says it that was activated last."""
        return {each.bucket_id: each.bucket for each in store.book().prices.buckets}
