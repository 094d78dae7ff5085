"""Corrections by machine: usage voided by its keys, usage amended by records with the same keys."""

from typing import Any, cast

from django.contrib.auth.models import User
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from rest_framework import serializers
from rest_framework import status as http
from rest_framework.generics import RetrieveAPIView
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from ingestion import services
from ingestion.api.imports import UsageImportSerializer
from ingestion.api.schemas import ACCEPTED, BODIES, SENDING_CODES, VOID_ACCEPTED, VOIDING, VOIDING_CODES, WAIT
from ingestion.api.seeing import seen_feed
from ingestion.api.usage import SubmitUsage, idempotency_key_of, problem_of
from ingestion.core.requests import RequestFault
from ingestion.models import KeyToVoid, UsageVoid
from mediation import services as mediation
from mediation.api import Listed, NewestFirst, Problem
from mediation.api.describing import FEED, IDEMPOTENCY_KEY, describe, query

MAX_REASON_CHARS = 1_000
WHY = query("reason", {"type": "string", "minLength": 1, "maxLength": MAX_REASON_CHARS}, "Why.", is_required=True)


class AmendUsage(SubmitUsage):
    """Takes what `usage` takes, as the content that its keys stand for from now on; the reason is in the address."""

    def _accept_regular(self, request: HttpRequest, feed: str) -> HttpResponse | None:
        return None

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        if not request.user.has_perm("ingestion.void_usage"):
            self.permission_denied(request)

    @describe(
        "Amend usage",
        parameters=[FEED, IDEMPOTENCY_KEY, WAIT, WHY],
        request=BODIES,
        responses={202: ACCEPTED, 200: UsageImportSerializer},
        refuses=(*SENDING_CODES, "bad_wait", "missing_reason", "not_amendable", "needs_second_person"),
    )
    def post(self, request: Request, feed: str) -> Response:
        """Have records take the place of those with the same keys."""
        return super().post(request, feed)

    def amend_reason(self, request: Request) -> str:
        reason = request.query_params.get("reason", "").strip()
        if not reason or len(reason) > MAX_REASON_CHARS or "\0" in reason:
            detail = f"Say why in ?reason=…, in 1 to {MAX_REASON_CHARS:,} characters."
            raise Problem(http.HTTP_400_BAD_REQUEST, "missing_reason", detail)
        return reason


class VoidUsage(APIView):
    """Takes back the usage behind 1 to 1,000 keys; 202 means that the request is recorded."""

    @describe(
        "Void usage",
        parameters=[FEED, IDEMPOTENCY_KEY],
        request={"application/json": VOIDING},
        responses={202: VOID_ACCEPTED},
        refuses=VOIDING_CODES,
    )
    def post(self, request: Request, feed: str) -> Response:
        if not request.user.has_perm("ingestion.void_usage"):
            self.permission_denied(request)
        found = seen_feed(feed, request.user)
        idempotency_key = idempotency_key_of(request)
        keys, reason = _read(request.data)
        try:
            void = services.ask_void(
                feed=found,
                keys=keys,
                reason=reason,
                by=cast(User, request.user),
                now=timezone.now(),
                idempotency_key=idempotency_key,
            )
        except services.UnableToVoid as refusal:
            raise problem_of(refusal) from None
        document = {
            "tracking_id": str(void.tracking_id),
            "feed": found.api_name,
            "key_count": void.key_count,
            "status": UsageVoid.Status.WAITING,
            "links": {"void": request.build_absolute_uri(reverse("api:void", args=[void.tracking_id]))},
        }
        return Response(document, status=http.HTTP_202_ACCEPTED)


def _read(document: Any) -> tuple[list[str], str]:
    """The keys and the reason of a request; every fault of its shape at once."""
    if not isinstance(document, dict):
        detail = 'Send {"keys": ["key", …], "reason": "why"}.'
        raise Problem(http.HTTP_400_BAD_REQUEST, "shape_not_read", detail)
    keys, reason = document.get("keys", []), document.get("reason", "")
    faults = [
        RequestFault("/" + str(name).replace("~", "~0").replace("/", "~1"), "unknown_member", "Only keys and reason.")
        for name in document
        if name not in ("keys", "reason")
    ]
    if not isinstance(keys, list):
        faults.append(RequestFault("/keys", "not_a_list", "keys is a list of texts."))
    else:
        places = [place for place, key in enumerate(keys) if not isinstance(key, str)]
        faults += [RequestFault(f"/keys/{place}", "bad_key", "A key is a text.") for place in places]
    if not isinstance(reason, str):
        faults.append(RequestFault("/reason", "not_text", "reason is a text."))
    if faults:
        raise Problem(http.HTTP_400_BAD_REQUEST, faults[0].code, faults[0].detail, faults=faults[:100])
    return keys, reason


class KeyToVoidSerializer(serializers.ModelSerializer[KeyToVoid]):
    """A key and what became of the usage behind it."""

    class Meta:
        model = KeyToVoid
        fields = ("key", "outcome", "detail", "udr_id")


class UsageVoidSerializer(serializers.ModelSerializer[UsageVoid]):
    """A request to void, with the sums of its outcomes."""

    feed = serializers.CharField(source="feed.api_name")

    class Meta:
        model = UsageVoid
        fields: tuple[str, ...] = (
            "tracking_id",
            "feed",
            "status",
            "reason",
            "received_at",
            "ended_at",
            "key_count",
            "voided_count",
            "already_voided_count",
            "not_found_count",
            "refused_count",
        )


class UsageVoidDetailSerializer(UsageVoidSerializer):
    """The same with every key."""

    keys = KeyToVoidSerializer(many=True)

    class Meta(UsageVoidSerializer.Meta):
        fields: tuple[str, ...] = (*UsageVoidSerializer.Meta.fields, "keys")


class AskersSeeTheirOwn(BasePermission):
    """Lets in who may view voids, and who may void; what is shown is narrowed by `_seen`."""

    def has_permission(self, request: Request, view: Any) -> bool:
        return any(request.user.has_perm(right) for right in ("ingestion.view_usagevoid", "ingestion.void_usage"))


def _seen(voids: QuerySet[UsageVoid], by: Any) -> QuerySet[UsageVoid]:
    voids = mediation.seen(voids, by)
    return voids if by.has_perm("ingestion.view_usagevoid") else voids.filter(received_by=by)


@describe("List voids")
class VoidList(Listed):
    """What was asked to be voided, newest first."""

    queryset = UsageVoid.objects.select_related("feed")
    serializer_class = UsageVoidSerializer
    pagination_class = NewestFirst
    permission_classes = (AskersSeeTheirOwn,)

    def get_queryset(self) -> QuerySet[UsageVoid]:
        return _seen(super().get_queryset(), self.request.user)


@describe("Get a void")
class VoidDetail(RetrieveAPIView[UsageVoid]):
    """What became of each key of a void."""

    queryset = UsageVoid.objects.select_related("feed").prefetch_related("keys")
    serializer_class = UsageVoidDetailSerializer
    lookup_field = "tracking_id"
    permission_classes = (AskersSeeTheirOwn,)

    def get_queryset(self) -> QuerySet[UsageVoid]:
        return _seen(super().get_queryset(), self.request.user)
