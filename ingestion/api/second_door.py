"""The second door: the paths and answers of `DataImport/…`, so that an integration moves by changing its base address.

The same services, rights and refusals as `/api/v1/`, by other names. See the README of ingestion.
"""

import re
import uuid
from collections.abc import Callable
from typing import Any

from django.core.exceptions import ObjectDoesNotExist
from django.db.models import Prefetch, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.urls import ResolverMatch, URLPattern, path
from django.views.decorators.csrf import csrf_exempt
from rest_framework import status as http
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from ingestion import selectors, services
from ingestion.api.schemas import BODIES, SENDING_CODES
from ingestion.api.second_door_schemas import (
    DETAIL_READ,
    EXCEPTIONS_READ,
    FEED_READ,
    HISTORY_READ,
    OF_FEED,
    PAGE,
    REFERENCE,
    USAGE_SENT,
)
from ingestion.api.second_door_ways import Lenient, answer_of, asked
from ingestion.api.seeing import SendersSeeTheirOwn, seen_exceptions, seen_feed, seen_imports
from ingestion.api.usage import SubmitUsage
from ingestion.core.bodies import Shape
from ingestion.models import ExceptionRevision, Feed, ImportException, UsageImport
from mediation.api import Problem
from mediation.api.describing import FEED, IDEMPOTENCY_KEY, describe

USUAL_SIZE, MOST, MOST_PAGES = 100, 1_000, 100
MOST_COUNTED = 10_000
MOST_CHARS = 4_000  # of a record in a list
PAGE_CODES = ("bad_page", "bad_pageSize", "repeated_parameter")
# The numbers under which they tell what a history or an exception has come to; ours, in the order of a life.
HISTORY_STATUS = {status: number for number, status in enumerate(UsageImport.Status, 1)}
EXCEPTION_STATUS = {status: number for number, status in enumerate(ImportException.Status, 1)}


def sending(summary: str) -> Callable[[Any], Any]:
    """What each address for sending says of itself."""
    return describe(
        summary,
        parameters=[FEED, IDEMPOTENCY_KEY],
        request=dict.fromkeys(("application/json", "text/json"), BODIES["application/json"]),
        responses={200: USAGE_SENT},
        refuses=SENDING_CODES,
    )


class SendUsage(Lenient, SubmitUsage):
    """Takes the JSON that `feeds/{feed}/usage` takes; answers with what was sent and with what follows it."""

    shapes = frozenset((Shape.JSON,))
    also_called = {"text/json": Shape.JSON, "": Shape.JSON}

    def _accept_regular(self, request: HttpRequest, feed: str) -> HttpResponse | None:
        return None

    def seconds_to_wait(self, request: Request) -> int:
        """None: no parameter is read here."""
        return 0

    def receive(self, request: Request, **said: Any) -> services.Received:
        """New usage: no parameter is read here."""
        return services.receive_usage(**said)

    @sending("Send rows by the second door")
    def post(self, request: Request, feed: str) -> Response:
        answer = super().post(request, feed)
        tracking_id, found = answer.data["tracking_id"], selectors.feed_by(feed)
        named = {"trackingId": tracking_id, "udrFeedId": found.pk if found else None}
        more = {"udrFeedName": answer.data["feed"], "recordCount": answer.data["record_count"]}
        items = [
            ("messageSent", "sendUsage", named),
            ("created", "dataImportRequestTracking", named | more),
        ]
        return Response(answer_of("sendMessage", items, tracking_id=tracking_id), status=http.HTTP_200_OK)


class Reading(Lenient, APIView):
    """What is read here; each person sees what he sees by the first door."""

    permission_classes = (SendersSeeTheirOwn,)

    def page(self, rows: QuerySet[Any]) -> tuple[list[Any], int]:
        """The rows of the page that is asked for, and how many there are, counted up to 10,000."""
        size, number = self._page_size(), self._page_number()
        start = (number - 1) * size
        return list(rows.order_by("-pk")[start : start + size]), rows.order_by()[:MOST_COUNTED].count()

    def _page_size(self) -> int:
        """No more than we tell at once, whatever is asked for."""
        text = asked(self.request, "pageSize") or str(USUAL_SIZE)
        if not (size := _whole(text)):
            detail = f"pageSize is a whole number of at least 1, not {text[:50]!r}."
            raise Problem(http.HTTP_400_BAD_REQUEST, "bad_pageSize", detail)
        return min(size, MOST)

    def _page_number(self) -> int:
        text = asked(self.request, "page") or "1"
        if not 1 <= (number := _whole(text)) <= MOST_PAGES:
            detail = f"page is a whole number from 1 to {MOST_PAGES:,}, not {text[:50]!r}."
            raise Problem(http.HTTP_400_BAD_REQUEST, "bad_page", detail)
        return number

    def history(self, reference: str) -> UsageImport:
        """The import with this number or tracking id."""
        own = seen_imports(selectors.history(), self.request.user)
        try:
            if reference.isascii() and reference.isdecimal() and len(reference) < 19:
                found: UsageImport = own.get(pk=int(reference))
            else:
                found = own.get(tracking_id=uuid.UUID(reference))
        except (ObjectDoesNotExist, ValueError):
            raise Http404 from None
        return found


def _whole(text: str) -> int:
    """A number of any length, told as no more than nine digits can; 0 for what is none."""
    return int(text.lstrip("0")[:9] or 0) if text.isascii() and text.isdecimal() else 0


class SendRecords(SendUsage):
    """The same by another of its names."""

    @sending("Send records by the second door")
    def post(self, request: Request, feed: str) -> Response:
        return super().post(request, feed)


class SendRecord(SendUsage):
    """The same by another of its names."""

    @sending("Send a record by the second door")
    def post(self, request: Request, feed: str) -> Response:
        return super().post(request, feed)


class ReadFeed(Reading):
    """A feed by its number or API name."""

    @describe("Get a feed by the second door", parameters=[FEED], responses={200: FEED_READ}, refuses=("unknown_feed",))
    def get(self, request: Request, feed: str) -> Response:
        return Response(answer_of("get", [("read", "udrFeed", _feed(seen_feed(feed, request.user)))]))


class ReadHistory(Reading):
    """The history, newest first: `page`, `pageSize`, and `udrFeedId` if one feed is asked for."""

    @describe(
        "List the history by the second door",
        parameters=[*PAGE, OF_FEED],
        responses={200: HISTORY_READ},
        refuses=PAGE_CODES,
    )
    def get(self, request: Request) -> Response:
        rows = seen_imports(selectors.history(), request.user)
        if reference := asked(request, "udrFeedId"):
            feed = selectors.feed_by(reference)
            rows = rows.filter(feed=feed) if feed else rows.none()
        page, total = self.page(rows)
        items = [("read", "dataImportHistory", _history(one)) for one in page]
        return Response(answer_of("get", items, total=total))


class ReadOneHistory(Reading):
    """One line of the history; with what rating made of it where details are asked for."""

    has_details = False

    @describe("Get an import by the second door", parameters=[REFERENCE], responses={200: HISTORY_READ})
    def get(self, request: Request, reference: str) -> Response:
        found: Any = self.history(reference)
        told = _history(found)
        if self.has_details:
            told |= {
                "source": found.source,
                "error": found.error if found.status == UsageImport.Status.FAILED else "",
                "attempts": found.attempt,
                "dataProfileVersion": found.profile_version.number,
                "ratedCount": found.rated_count,
                "ratingExceptionCount": found.rating_exception_count,
            }
        return Response(answer_of("get", [("read", "dataImportHistory", told)]))


class ReadDetail(ReadOneHistory):
    """The same with what rating made of it."""

    has_details = True

    @describe("Get an import in detail by the second door", parameters=[REFERENCE], responses={200: DETAIL_READ})
    def get(self, request: Request, reference: str) -> Response:
        return super().get(request, reference)


class ReadExceptions(Reading):
    """Import exceptions, newest first."""

    @describe(
        "List exceptions by the second door",
        parameters=PAGE,
        responses={200: EXCEPTIONS_READ},
        refuses=PAGE_CODES,
    )
    def get(self, request: Request, reference: str | None = None) -> Response:
        latest = Prefetch("revisions", ExceptionRevision.objects.order_by("number"))
        rows = ImportException.objects.select_related("usage_import", "feed").prefetch_related(latest)
        rows = seen_exceptions(rows, request.user)
        if reference is not None:
            rows = rows.filter(usage_import=self.history(reference))
        page, total = self.page(rows)
        items = [("read", "dataImportException", _exception(one)) for one in page]
        return Response(answer_of("get", items, total=total))


class ReadExceptionsOfOne(ReadExceptions):
    """Those of one import."""

    @describe(
        "List the exceptions of an import by the second door",
        parameters=[REFERENCE, *PAGE],
        responses={200: EXCEPTIONS_READ},
        refuses=PAGE_CODES,
    )
    def get(self, request: Request, reference: str | None = None) -> Response:
        return super().get(request, reference)


def _feed(feed: Feed) -> dict[str, Any]:
    return {
        "id": feed.pk,
        "name": feed.name,
        "apiName": feed.api_name,
        "enabled": feed.is_enabled,
        "dataProfileId": feed.profile_id,
        "dataProfileName": feed.profile.name,
    }


def _history(one: UsageImport) -> dict[str, Any]:
    return {
        "id": one.pk,
        "trackingId": str(one.tracking_id),
        "udrFeedId": one.feed_id,
        "udrFeedName": one.feed.name,
        "dataProfileId": one.profile_version.profile_id,
        "dataProfileName": one.profile_version.profile.name,
        "fileName": one.file_name,
        "importStart": one.started_at or one.received_at,
        "importEnd": one.ended_at,
        "importCount": one.imported_count,
        "importExceptionCount": one.exception_count,
        "importSkipRecordCount": one.skipped_count,
        "importDuplicateCount": one.duplicate_count,
        "recordCount": one.record_count,
        "dataImportHistoryStatusTypeId": HISTORY_STATUS[UsageImport.Status(one.status)],
        "dataImportHistoryStatusTypeName": one.get_status_display(),
        "dataImportUploadId": one.pk,
        "dataImportUploadName": one.file_name or str(one.tracking_id),
    }


def _exception(one: ImportException) -> dict[str, Any]:
    revisions = list(one.revisions.all())
    revision = revisions[-1] if revisions else None
    return {
        "dataImportExceptionId": one.pk,
        "importBatchId": one.usage_import_id,
        "importBatchTypeName": "Usage By File" if one.usage_import.file_name else "Usage By API",
        "dataImportExceptionErrorTypeName": one.code,
        "dataImportExceptionStatusTypeId": EXCEPTION_STATUS[ImportException.Status(one.status)],
        "dataImportExceptionStatusTypeName": one.get_status_display(),
        "originatingFileRecordIndex": one.record_number,
        "created": one.created_at,
        "exceptionDate": one.last_tried_at,
        "dataImportHistoryId": one.usage_import_id,
        "dataImportExceptionDataRevisionId": revision.pk if revision else None,
        "revisionNumber": revision.number if revision else 0,
        "dataSnippet": ((revision.raw if revision else None) or one.raw)[:MOST_CHARS],
        "message": one.message,
        "messageDetails": f"field {one.field}" if one.field else "",
        "fileName": one.usage_import.file_name,
    }


urlpatterns: list[URLPattern] = [
    path("DataImport/Usage/History", ReadHistory.as_view(), name="history"),
    path("DataImport/Usage/History/<str:reference>", ReadOneHistory.as_view(), name="one-history"),
    path("DataImport/Usage/History/<str:reference>/Detail", ReadDetail.as_view(), name="detail"),
    path("DataImport/Usage/Feed/<str:feed>", ReadFeed.as_view(), name="feed"),
    path("DataImport/Usage/Json/Multi/<str:feed>", SendRecords.as_view(), name="send-records"),
    path("DataImport/Usage/Json/<str:feed>", SendRecord.as_view(), name="send-record"),
    path("DataImport/Usage/<str:feed>", SendUsage.as_view(), name="send-rows"),
    path("DataImportHistory/Exception/Paged", ReadExceptions.as_view(), name="exceptions"),
    path("DataImportHistory/<str:reference>/Exception", ReadExceptionsOfOne.as_view(), name="exceptions-of-history"),
]


class Nowhere(Lenient, APIView):
    """Any other address below this door's: told as its clients are told everything."""

    authentication_classes = ()
    permission_classes = ()

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        raise Problem(http.HTTP_404_NOT_FOUND, "not_found", f"There is nothing at {request.path}.")


# `api/DataImport` and `api/DataImportHistory` in any case, and what is below them.
SPELLINGS = "^api/{}(?:{})?(?:/|$)".format(
    *("".join(f"[{letter.upper()}{letter}]" for letter in word) for word in ("dataimport", "history"))
)


@csrf_exempt  # as its views are; they ask for it themselves where somebody comes with a session
def any_spelling(request: HttpRequest) -> HttpResponseBase:
    """The same addresses with a slash at their end, or with their words in another case."""
    asked_for = request.path_info.removeprefix("/api/").removesuffix("/")
    for known in urlpatterns:
        found = re.match(known.pattern.regex.pattern, asked_for, re.IGNORECASE)
        if found:
            route, kwargs = f"api/{known.pattern}", found.groupdict()
            request.resolver_match = ResolverMatch(
                known.callback, (), kwargs, known.name, namespaces=["second"], route=route
            )
            answer: HttpResponseBase = known.callback(request, **kwargs)
            return answer
    nowhere: HttpResponseBase = Nowhere.as_view()(request)
    return nowhere
