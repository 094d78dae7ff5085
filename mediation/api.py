"""What every API of the house answers with: problems by RFC 9457, pages by cursor, and the UDRs themselves."""

import hashlib
import json
from collections.abc import Sequence
from typing import Any, cast

import django_filters
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied, RequestDataTooBig
from django.db.models import QuerySet
from django.http import Http404, StreamingHttpResponse
from django.urls import path
from django.utils.http import parse_etags
from rest_framework import serializers
from rest_framework import status as http
from rest_framework.exceptions import APIException, NotFound, Throttled, ValidationError
from rest_framework.generics import ListAPIView
from rest_framework.pagination import Cursor, CursorPagination
from rest_framework.permissions import DjangoModelPermissions
from rest_framework.renderers import BaseRenderer, JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.encoders import JSONEncoder
from rest_framework.views import exception_handler, set_rollback

from mediation import selectors, services
from mediation.models import Udr
from mediation.services.approving import ASKERS, NeedsSecondPerson
from mediation.services.exporting import Export, Kind

TYPE = "application/problem+json"


class Problem(APIException):
    """An answer that says what is wrong: a code for machines, a sentence for people, and every fault with its place."""

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        *,
        faults: Sequence[Any] = (),
        links: dict[str, str] | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(detail, code)
        self.status_code = status
        self.code = code
        self.faults = faults
        self.links = links or {}
        self.headers = headers or {}


def problem(error: Exception, context: dict[str, Any]) -> Response | None:
    """Any refusal as `application/problem+json`; a crash stays a crash and is logged as one."""
    if isinstance(error, RequestDataTooBig):
        set_rollback()
        return _answer(http.HTTP_413_REQUEST_ENTITY_TOO_LARGE, "too_large", "The body is larger than is taken here.")
    if isinstance(error, Problem):
        set_rollback()
        errors = [{"pointer": fault.pointer, "code": fault.code, "detail": fault.detail} for fault in error.faults]
        told = _answer(error.status_code, error.code, str(error.detail), errors=errors, links=error.links)
        for name, value in error.headers.items():
            told[name] = value
        return told
    if isinstance(error, NeedsSecondPerson):
        set_rollback()
        return _asked(error, context["request"])
    answer = exception_handler(error, context)
    if answer is None:
        return None
    return _from_rest_framework(error, answer)


def _asked(error: NeedsSecondPerson, request: Request) -> Response:
    """What its person may not do alone is asked for at once: a program cannot be asked whether it wants that."""
    number, address = ASKERS[0](error)
    detail = f"{error.asked.summary.rstrip('.')} – that needs a second person: it waits for one as approval {number}."
    links = {"approval": request.build_absolute_uri(address)}
    return _answer(http.HTTP_409_CONFLICT, "needs_second_person", detail, links=links)


def _from_rest_framework(error: Exception, answer: Response) -> Response:
    if isinstance(error, ValidationError):
        faults = list(_validation_faults(error.get_full_details(), ""))
        problem_ = _answer(answer.status_code, "invalid", "The request has faults.", errors=faults)
    elif isinstance(error, Http404):
        problem_ = _answer(answer.status_code, "not_found", "There is nothing at this address for you.")
    elif isinstance(error, PermissionDenied):
        problem_ = _answer(answer.status_code, "permission_denied", "You may not do this.")
    else:
        assert isinstance(error, APIException)  # noqa: S101 - all that the framework's handler answers for
        problem_ = _answer(answer.status_code, str(error.get_codes()), str(error.detail))
    for name in ("WWW-Authenticate", "Retry-After", "Allow"):
        if name in answer.headers:
            problem_[name] = answer.headers[name]
    if isinstance(error, Throttled) and error.wait:
        problem_["Retry-After"] = str(int(error.wait) + 1)
    return problem_


def _validation_faults(details: Any, pointer: str) -> Any:
    if isinstance(details, dict) and "message" in details:
        yield {"pointer": pointer, "code": str(details["code"]), "detail": str(details["message"])}
    elif isinstance(details, dict):
        for name, inner in details.items():
            yield from _validation_faults(inner, f"{pointer}/{name}" if name != "non_field_errors" else pointer)
    else:
        for inner in details:
            yield from _validation_faults(inner, pointer)


def _answer(
    status: int,
    code: str,
    detail: str,
    *,
    errors: Sequence[dict[str, str]] = (),
    links: dict[str, str] | None = None,
) -> Response:
    body: dict[str, Any] = {"type": "about:blank", "status": status, "code": code, "detail": detail}
    body["errors"] = list(errors) or [{"pointer": "", "code": code, "detail": detail}]
    if links:
        body["links"] = links
    return Response(body, status=status, content_type=TYPE)


def etag_of(told: Any) -> str:
    """The ETag of a representation: strong, so that it also says what a change was decided on."""
    text = json.dumps(told, sort_keys=True, cls=JSONEncoder)
    return f'"{hashlib.sha256(text.encode()).hexdigest()[:32]}"'


def answer_with_etag(request: Request, told: Any) -> Response:
    """A representation with its ETag; 304 without it for who has it already (If-None-Match)."""
    etag = etag_of(told)
    given = request.headers.get("If-None-Match", "")
    known = [one.removeprefix("W/") for one in parse_etags(given)]
    is_known = etag in known or known == ["*"]
    answer = Response(status=http.HTTP_304_NOT_MODIFIED) if is_known else Response(told)
    answer["ETag"] = etag
    return answer


def require_match(request: Request, told: Any) -> None:
    """Raise Problem 412, with the ETag of what is there now, unless If-Match names it or is not sent at all."""
    wanted = request.headers.get("If-Match")
    if wanted is None:
        return
    etag, named = etag_of(told), parse_etags(wanted)
    if etag not in named and named != ["*"]:
        detail = "It is another one by now than If-Match names, and nothing was done: get it again, and decide anew."
        raise Problem(http.HTTP_412_PRECONDITION_FAILED, "changed_meanwhile", detail, headers={"ETag": etag})


class NewestFirst(CursorPagination):
    """Pages by cursor, newest first; a page costs the same however deep it lies."""

    ordering = "-pk"
    page_size = 100
    page_size_query_param = "page_size"
    max_page_size = 1_000

    def decode_cursor(self, request: Request) -> Cursor | None:
        """Where a page starts; a cursor that none of our pages gave out would be asked of the database as it is."""
        cursor: Cursor | None = super().decode_cursor(request)
        if cursor and cursor.position and not (cursor.position.isascii() and cursor.position.isdecimal()):
            raise NotFound(self.invalid_cursor_message)
        return cursor


class CsvRows(BaseRenderer):
    """Chosen by `Accept: text/csv` or `?format=csv`; what is no list, such as a problem, is told as JSON even so."""

    media_type = "text/csv"
    format = "csv"

    def render(self, data: Any, accepted_media_type: str | None = None, renderer_context: Any = None) -> bytes:
        told: bytes = JSONRenderer().render(data)
        return told


class Listed(ListAPIView[Any]):
    """A list in pages; as CSV all of it at once, in the same filter, streamed.

    The columns are the fields of the JSON that a table can hold. `spreadsheet=1` puts an apostrophe before texts that
    a spreadsheet would run as a formula.
    """

    renderer_classes = (JSONRenderer, CsvRows)

    def list(self, request: Request, *args: Any, **kwargs: Any) -> Any:
        if request.accepted_renderer.format != CsvRows.format:
            return super().list(request, *args, **kwargs)
        rows = self.filter_queryset(self.get_queryset()).order_by(NewestFirst.ordering)
        kind = Kind.SPREADSHEET if "spreadsheet" in request.query_params else Kind.CSV
        return StreamingHttpResponse(
            (piece.content for piece in Export(rows, self._columns()).csv_pieces(kind)),
            content_type="text/csv; charset=utf-8",
            headers={"Content-Disposition": f'attachment; filename="{rows.model._meta.model_name}.csv"'},
        )

    def _columns(self) -> dict[str, str]:
        fields = self.serializer_class().fields.items()
        flat = ((name, field) for name, field in fields if not isinstance(field, serializers.BaseSerializer))
        return {name: str(field.source).replace(".", "__") for name, field in flat if field.source != "*"}


class ModelPermissions(DjangoModelPermissions):
    """A reader needs the view permission too; other verbs are asked for by the view that has them."""

    perms_map = DjangoModelPermissions.perms_map | {"GET": ["%(app_label)s.view_%(model_name)s"]}


class UdrSerializer(serializers.ModelSerializer[Udr]):
    """A UDR; numbers are texts of all their digits."""

    usage_class = serializers.CharField(source="usage_class.name")
    identifier_type = serializers.CharField(source="identifier_type.name")

    class Meta:
        model = Udr
        exclude = ("feed_id", "import_id")


class UdrFilter(django_filters.FilterSet):
    """By feed (its number), usage class (its name) and date."""

    feed = django_filters.NumberFilter(field_name="feed_id")
    usage_class = django_filters.CharFilter(field_name="usage_class__name")
    date = django_filters.IsoDateTimeFromToRangeFilter()


class UdrList(Listed):
    """What mediation made of records, newest first; UDRs that a reprocess replaced are left out."""

    queryset = Udr.objects.select_related("usage_class", "identifier_type")
    serializer_class = UdrSerializer
    filterset_class = UdrFilter
    pagination_class = NewestFirst
    permission_classes = (ModelPermissions,)

    def get_queryset(self) -> QuerySet[Udr]:
        return services.seen(selectors.counting_udrs(super().get_queryset()), cast(User, self.request.user))


urlpatterns = [path("udrs", UdrList.as_view(), name="udrs")]
