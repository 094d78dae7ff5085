"""Import exceptions over HTTP: what is wrong with which record, and the verbs that clear it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import django_filters
from django.db import transaction
from django.db.models import QuerySet
from django.shortcuts import get_object_or_404
from django.utils import timezone
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework import status as http
from rest_framework.decorators import api_view
from rest_framework.generics import RetrieveAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from ingestion import selectors, services
from ingestion.api.schemas import CHANGES, COMMENTS, EXCEPTION_CHANGED
from ingestion.api.seeing import SendersSeeTheirOwn, seen_exceptions, seen_imports
from ingestion.models import ExceptionComment, ExceptionRevision, ImportException, UsageImport
from ingestion.selectors import Group
from mediation import services as mediation
from mediation.api import Listed, MomentRangeFilter, NewestFirst, Problem, Strict, answer_with_etag, require_match
from mediation.api.describing import IF_MATCH, IF_NONE_MATCH, UNCHANGED, describe


@extend_schema_field(CHANGES)
class ChangesField(serializers.JSONField):
    """Source fields with their texts; null empties one."""


class RevisionSerializer(serializers.ModelSerializer[ExceptionRevision]):
    """A correction of a record: another text (raw), or changes of source fields; the other is null.

    Revisions build on each other; one with withdrawn_at does not count.
    """

    changes = ChangesField()

    class Meta:
        model = ExceptionRevision
        fields = ("number", "raw", "changes", "reason", "created_at", "withdrawn_at")


class ExceptionSerializer(serializers.ModelSerializer[ImportException]):
    """An exception, with the record as received and as corrected."""

    tracking_id = serializers.UUIDField(source="usage_import.tracking_id")
    feed = serializers.CharField(source="feed.api_name")
    revisions = RevisionSerializer(many=True)
    assigned_to = serializers.CharField(
        source="assigned_to.username", default=None, allow_null=True, help_text="Who looks after it."
    )

    class Meta:
        model = ImportException
        fields = (
            "id",
            "tracking_id",
            "feed",
            "record_number",
            "code",
            "field",
            "value",
            "message",
            "raw",
            "revisions",
            "status",
            "created_at",
            "last_tried_at",
            "next_try_at",
            "assigned_to",
            "close_reason",
        )


class CommentSerializer(serializers.ModelSerializer[ExceptionComment]):
    """What somebody said, of this exception or of all that are alike."""

    created_by = serializers.CharField(source="created_by.username", default=None, allow_null=True)
    is_of_group = serializers.SerializerMethodField()

    class Meta:
        model = ExceptionComment
        fields = ("text", "created_at", "created_by", "is_of_group")

    def get_is_of_group(self, comment: ExceptionComment) -> bool:
        return comment.exception_id is None


class ExceptionDetailSerializer(ExceptionSerializer):
    """An exception with what was said about it, for those who may review exceptions."""

    comments = serializers.SerializerMethodField()

    class Meta(ExceptionSerializer.Meta):
        fields = (*ExceptionSerializer.Meta.fields, "comments")  # type: ignore[assignment]

    @extend_schema_field(COMMENTS)
    def get_comments(self, exception: ImportException) -> Any:
        if not self.context["request"].user.has_perm("ingestion.review_importexception"):
            return []
        group = Group(exception.feed_id, exception.code, exception.field, exception.value)
        own = exception.comments.select_related("created_by")
        said = [*own, *selectors.comments_on_group(group)]
        return CommentSerializer(sorted(said, key=lambda comment: comment.created_at), many=True).data


class ExceptionFilter(django_filters.FilterSet):
    """By feed (API name), code, status, and when it was met."""

    feed = django_filters.CharFilter(field_name="feed__api_name")
    created = MomentRangeFilter(field_name="created_at")

    class Meta:
        model = ImportException
        fields = ("code", "status")


EXCEPTIONS = ImportException.objects.select_related("usage_import", "feed", "assigned_to").prefetch_related("revisions")


@describe(
    "Get an exception",
    parameters=[IF_NONE_MATCH],
    responses={200: ExceptionDetailSerializer, 304: UNCHANGED},
)
class ExceptionDetail(RetrieveAPIView[ImportException]):
    """One exception, with its comments; its ETag is what If-Match of the verbs takes."""

    queryset = EXCEPTIONS
    serializer_class = ExceptionDetailSerializer
    permission_classes = (SendersSeeTheirOwn,)

    def get_queryset(self) -> QuerySet[ImportException]:
        return seen_exceptions(super().get_queryset(), self.request.user)

    def retrieve(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return answer_with_etag(request, self.get_serializer(self.get_object()).data)


@describe("List exceptions")
class ExceptionList(Listed):
    """Exceptions of every import, newest first."""

    queryset = EXCEPTIONS
    serializer_class = ExceptionSerializer
    filter_backends = (django_filters.rest_framework.DjangoFilterBackend,)
    filterset_class = ExceptionFilter
    pagination_class = NewestFirst
    permission_classes = (SendersSeeTheirOwn,)

    def get_queryset(self) -> QuerySet[ImportException]:
        return seen_exceptions(super().get_queryset(), self.request.user)


@describe("List exceptions of an import")
class ImportExceptionList(ExceptionList):
    """Exceptions of one import, of every attempt."""

    def get_queryset(self) -> QuerySet[ImportException]:
        own = seen_imports(UsageImport.objects.all(), self.request.user)
        usage_import = get_object_or_404(own, tracking_id=self.kwargs["tracking_id"])
        return super().get_queryset().filter(usage_import=usage_import)


class CorrectionSerializer(Strict):
    """A record as it should have been: its text, or those of its source fields that differ; null empties a field."""

    raw = serializers.CharField(required=False, trim_whitespace=False)
    changes = serializers.DictField(
        child=serializers.CharField(allow_null=True, allow_blank=True, trim_whitespace=False), required=False
    )
    reason = serializers.CharField(required=False, default="", allow_blank=True)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if "raw" not in attrs and not attrs.get("changes"):
            raise serializers.ValidationError({"raw": "Send the corrected text, or changes of source fields."})
        return attrs


class ReasonSerializer(Strict):
    """Why a record is given up."""

    reason = serializers.CharField()


def _permitted(request: Request, permission: str, pk: int) -> ImportException:
    if not request.user.has_perm(f"ingestion.{permission}"):
        raise Problem(http.HTTP_403_FORBIDDEN, "permission_denied", "You may not do this with import exceptions.")
    return get_object_or_404(mediation.seen(ImportException.objects.all(), request.user), pk=pk)


@contextmanager
def _as_known(request: Request, exception: ImportException) -> Iterator[None]:
    """Have a verb act on what its sender has seen: with If-Match, nothing changes between the look and the act."""
    if "If-Match" not in request.headers:
        yield
        return
    with transaction.atomic():
        ImportException.objects.select_for_update().get(pk=exception.pk)
        now = EXCEPTIONS.get(pk=exception.pk)
        require_match(request, ExceptionDetailSerializer(now, context={"request": request}).data)
        yield


def _answer(exception: ImportException) -> Response:
    exception.refresh_from_db()
    return Response({"id": exception.pk, "status": exception.status}, status=http.HTTP_202_ACCEPTED)


@describe(
    "Correct an exception",
    parameters=[IF_MATCH],
    request=CorrectionSerializer,
    responses={202: EXCEPTION_CHANGED},
    refuses=("unable_to_correct",),
)
@api_view(["POST"])
def correct(request: Request, pk: int) -> Response:
    """Keep a corrected text of the record, or changes of its source fields, and mediate it again."""
    exception = _permitted(request, "correct_importexception", pk)
    form = CorrectionSerializer(data=request.data)
    form.is_valid(raise_exception=True)
    try:
        with _as_known(request, exception):
            services.correct_exception(
                exception=exception,
                raw=form.validated_data.get("raw"),
                changes=form.validated_data.get("changes"),
                reason=form.validated_data["reason"],
                by=request.user,
                now=timezone.now(),
            )
    except services.UnableToCorrect as refusal:
        raise Problem(http.HTTP_409_CONFLICT, "unable_to_correct", str(refusal)) from None
    return _answer(exception)


@describe(
    "Write off an exception",
    parameters=[IF_MATCH],
    request=ReasonSerializer,
    responses={202: EXCEPTION_CHANGED},
    refuses=("unable_to_write_off", "needs_second_person"),
)
@api_view(["POST"])
def write_off(request: Request, pk: int) -> Response:
    """Give the record up, with a reason."""
    exception = _permitted(request, "writeoff_importexception", pk)
    form = ReasonSerializer(data=request.data)
    form.is_valid(raise_exception=True)
    one = ImportException.objects.filter(pk=pk)
    with _as_known(request, exception):
        count = services.write_off_exceptions(
            exceptions=one, reason=form.validated_data["reason"], by=request.user, now=timezone.now()
        )
    if not count:
        raise Problem(http.HTTP_409_CONFLICT, "unable_to_write_off", "Only open exceptions can be written off.")
    return _answer(exception)


@describe(
    "Reprocess an exception",
    parameters=[IF_MATCH],
    request=None,
    responses={202: EXCEPTION_CHANGED},
    refuses=("unable_to_reprocess",),
)
@api_view(["POST"])
def reprocess(request: Request, pk: int) -> Response:
    """Mediate the record again, from its latest text."""
    exception = _permitted(request, "reprocess_importexception", pk)
    one = ImportException.objects.filter(pk=pk)
    with _as_known(request, exception):
        count = services.reprocess_exceptions(exceptions=one, by=request.user, now=timezone.now())
    if not count:
        detail = "Only open exceptions of an import's current attempt can be mediated again, once the import has ended."
        raise Problem(http.HTTP_409_CONFLICT, "unable_to_reprocess", detail)
    return _answer(exception)
