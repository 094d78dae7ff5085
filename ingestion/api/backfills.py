"""Backfills over HTTP: opened for a past window, sent into by `?backfill=…`, then closed, reverted or abandoned."""

from typing import Any, cast
from uuid import UUID

from django.contrib.auth.models import User
from django.db.models import QuerySet
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils import timezone
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework import status as http
from rest_framework.decorators import api_view
from rest_framework.generics import RetrieveAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from ingestion import services
from ingestion.api.seeing import seen_feed
from ingestion.models import Backfill, Feed
from mediation import services as mediation
from mediation.api import Listed, ModelPermissions, NewestFirst, Problem, Strict
from mediation.api.describing import (
    COUNT,
    DIGITS,
    FEED,
    LINK,
    TEXT,
    TRACKING_ID,
    describe,
    list_of,
    or_null,
    query,
    record_of,
)

PERMISSION = "ingestion.backfill_usage"
STATUS_OF = {
    "bad_window": http.HTTP_400_BAD_REQUEST,
    "missing_reason": http.HTTP_400_BAD_REQUEST,
    "too_long": http.HTTP_400_BAD_REQUEST,
    "not_text": http.HTTP_400_BAD_REQUEST,
    "unknown_backfill": http.HTTP_404_NOT_FOUND,
}
INTO = query("backfill", TRACKING_ID, "The open backfill of the feed that the usage is sent into.")
INTO_CODES = ("unknown_backfill", "backfill_not_open")
CLASSES = list_of(
    record_of(
        {
            "usage_class": TEXT,
            "records": COUNT,
            "quantity": DIGITS,
            "replaced_records": COUNT,
            "replaced_quantity": DIGITS,
        }
    )
)
STANDING = list_of(record_of({"currency": TEXT, "charges": COUNT, "amount": DIGITS}))
RECORDS = record_of(
    {
        f"{name}_count": COUNT
        for name in ("import", "record", "imported", "exception", "skipped", "duplicate", "waiting")
    }
)
ASKED = record_of({"tracking_id": TRACKING_ID, "status": TEXT, "links": record_of({"backfill": LINK})})
ACT_CODES = ("bad_state", "needs_second_person")


class OpeningSerializer(Strict):
    """The window of a backfill, half-open, and why it is sent again."""

    starts_at = serializers.DateTimeField()
    ends_at = serializers.DateTimeField()
    reason = serializers.CharField(max_length=1_000)


class BackfillSerializer(serializers.ModelSerializer[Backfill]):
    """A backfill and how far it has come."""

    feed = serializers.CharField(source="feed.api_name")

    class Meta:
        model = Backfill
        fields: tuple[str, ...] = (
            *("tracking_id", "feed", "status", "starts_at", "ends_at", "reason", "opened_at", "asked_at", "closed_at"),
            *("ended_at", "refusal", "udr_count", "replaced_count", "left_out_count", "restored_count"),
        )


class BackfillDetailSerializer(BackfillSerializer):
    """The same with what was sent into it, and what it changes: of an open one as it stands."""

    records = serializers.SerializerMethodField()
    difference = serializers.SerializerMethodField(help_text="By usage class; null where it takes too long to count.")
    charges_to_reverse = serializers.SerializerMethodField(
        help_text="What stands for what it would replace; null once it is closed, and for who sees no charges."
    )
    unsettled_count = serializers.SerializerMethodField(help_text="Replaced UDRs whose charges may still stand.")

    class Meta(BackfillSerializer.Meta):
        fields: tuple[str, ...] = (
            *BackfillSerializer.Meta.fields,
            *("records", "difference", "charges_to_reverse", "unsettled_count"),
        )

    def __init__(self, *args: Any, figures: services.Figures | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.figures = figures

    @extend_schema_field(RECORDS)
    def get_records(self, backfill: Backfill) -> dict[str, int]:
        return self._told.imports

    @extend_schema_field(or_null(CLASSES))
    def get_difference(self, backfill: Backfill) -> list[dict[str, Any]] | None:
        return self._told.difference

    @extend_schema_field(or_null(STANDING))
    def get_charges_to_reverse(self, backfill: Backfill) -> list[dict[str, Any]] | None:
        if self._told.charges is None:
            return None
        return [
            {"currency": currency, "charges": int(count), "amount": f"{amount:f}"}
            for currency, count, amount in self._told.charges
        ]

    @extend_schema_field(COUNT)
    def get_unsettled_count(self, backfill: Backfill) -> int:
        return self._told.unsettled_count

    @property
    def _told(self) -> services.Figures:
        assert self.figures is not None  # noqa: S101 - given wherever one backfill is told
        return self.figures


def problem_of(refusal: services.UnableToBackfill) -> Problem:
    status = STATUS_OF.get(refusal.code, http.HTTP_409_CONFLICT)
    return Problem(status, refusal.code, str(refusal), faults=refusal.faults)


def asked_for(request: Request, feed: Feed) -> Backfill | None:
    """The backfill of a feed that `?backfill=…` names; None where the address names none. Raises Problem."""
    said = request.query_params.get("backfill")
    if said is None:
        return None
    if not request.user.has_perm(PERMISSION):
        raise Problem(http.HTTP_403_FORBIDDEN, "permission_denied", "You may not send into backfills.")
    try:
        found = Backfill.objects.select_related("feed").filter(feed=feed, tracking_id=UUID(said)).first()
    except ValueError:
        found = None
    if found is None:
        raise Problem(http.HTTP_404_NOT_FOUND, "unknown_backfill", f"The feed {feed} has no backfill {said!r}.")
    return found


@describe("List backfills", methods=["GET"], parameters=[FEED], refuses=("unknown_feed",))
class BackfillsOfFeed(Listed):
    """The backfills of a feed, newest first; POST opens one."""

    queryset = Backfill.objects.select_related("feed")
    serializer_class = BackfillSerializer
    pagination_class = NewestFirst
    permission_classes = (ModelPermissions,)

    def check_permissions(self, request: Request) -> None:
        if request.method != "POST":
            super().check_permissions(request)
        elif not request.user.is_authenticated or not request.user.has_perm(PERMISSION):
            self.permission_denied(request)

    def get_queryset(self) -> QuerySet[Backfill]:
        return super().get_queryset().filter(feed=seen_feed(self.kwargs["feed"], self.request.user))

    @describe(
        "Open a backfill",
        parameters=[FEED],
        request=OpeningSerializer,
        responses={201: BackfillSerializer},
        refuses=(
            *("unknown_feed", "bad_window", "missing_reason", "not_text", "not_backfillable", "backfill_overlaps"),
            *("feed_disabled", "profile_not_active"),
        ),
    )
    def post(self, request: Request, feed: str) -> Response:
        """Let usage of a past window be sent again beside what counts, until it is closed."""
        found = seen_feed(feed, request.user)
        form = OpeningSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        try:
            backfill = services.open_backfill(
                feed=found, by=cast(User, request.user), now=timezone.now(), **form.validated_data
            )
        except services.UnableToBackfill as refusal:
            raise problem_of(refusal) from None
        except services.UnableToReceive as refusal:
            raise Problem(http.HTTP_409_CONFLICT, refusal.code, str(refusal)) from None
        return Response(BackfillSerializer(backfill).data, status=http.HTTP_201_CREATED)


@describe("Get a backfill", responses={200: BackfillDetailSerializer})
class BackfillDetail(RetrieveAPIView[Backfill]):
    """What was sent into a backfill, and what it changes or changed."""

    queryset = Backfill.objects.select_related("feed")
    serializer_class = BackfillDetailSerializer
    lookup_field = "tracking_id"
    permission_classes = (ModelPermissions,)

    def get_queryset(self) -> QuerySet[Backfill]:
        return mediation.seen(super().get_queryset(), cast(User, self.request.user))

    def retrieve(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        backfill = self.get_object()
        figures = services.figures_of(backfill=backfill, by=cast(User, request.user))
        return Response(BackfillDetailSerializer(backfill, figures=figures).data)


def _ask(request: Request, tracking_id: UUID, ask: Any) -> Response:
    if not request.user.has_perm(PERMISSION):
        raise Problem(http.HTTP_403_FORBIDDEN, "permission_denied", "You may not do this with backfills.")
    person = cast(User, request.user)
    backfill = get_object_or_404(mediation.seen(Backfill.objects.all(), person), tracking_id=tracking_id)
    try:
        asked = ask(backfill=backfill, by=person, now=timezone.now())
    except services.UnableToBackfill as refusal:
        raise problem_of(refusal) from None
    link = request.build_absolute_uri(reverse("api:backfill", args=[tracking_id]))
    document = {"tracking_id": str(tracking_id), "status": asked.status, "links": {"backfill": link}}
    return Response(document, status=http.HTTP_202_ACCEPTED)


@describe(
    "Close a backfill",
    request=None,
    responses={202: ASKED},
    refuses=(*ACT_CODES, "imports_under_way", "backfill_too_large"),
)
@api_view(["POST"])
def close_backfill(request: Request, tracking_id: UUID) -> Response:
    """Have it count in place of everything else in its window, in one step."""
    return _ask(request, tracking_id, services.ask_close)


@describe(
    "Revert a backfill",
    request=None,
    responses={202: ASKED},
    refuses=(*ACT_CODES, "backfill_covered", "backfill_billed"),
)
@api_view(["POST"])
def revert_backfill(request: Request, tracking_id: UUID) -> Response:
    """Bring back what a closed one replaced, while nothing of it is billed."""
    return _ask(request, tracking_id, services.ask_revert)


@describe("Abandon a backfill", request=None, responses={202: ASKED}, refuses=ACT_CODES)
@api_view(["POST"])
def abandon_backfill(request: Request, tracking_id: UUID) -> Response:
    """Give up what was sent into an open one: it never counts."""
    return _ask(request, tracking_id, services.ask_abandon)
