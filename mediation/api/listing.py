"""Lists over HTTP: in pages by cursor, or all of it at once as CSV."""

import base64
from collections.abc import Generator, Iterator
from itertools import islice
from typing import Any
from urllib.parse import parse_qs

from django.http import StreamingHttpResponse
from rest_framework import serializers
from rest_framework import status as http
from rest_framework.exceptions import NotFound
from rest_framework.generics import ListAPIView
from rest_framework.pagination import Cursor, CursorPagination
from rest_framework.permissions import DjangoModelPermissions
from rest_framework.renderers import BaseRenderer, JSONRenderer
from rest_framework.request import Request

from mediation.api.describing import LINK, or_null, record_of
from mediation.api.problems import Problem
from mediation.services.exporting import Export, Kind


class NewestFirst(CursorPagination):
    """Pages by cursor, newest first; a page costs the same however deep it lies."""

    ordering = "-pk"
    page_size = 100
    page_size_query_param = "page_size"
    max_page_size = 1_000

    def decode_cursor(self, request: Request) -> Cursor | None:
        """Where a page starts; a cursor that none of our pages gave out would be asked of the database as it is."""
        if not _is_cursor(request.query_params.get(self.cursor_query_param)):
            raise _bad_cursor()
        try:
            cursor: Cursor | None = super().decode_cursor(request)
        except NotFound:
            raise _bad_cursor() from None
        if cursor and cursor.position and not (cursor.position.isascii() and cursor.position.isdecimal()):
            raise _bad_cursor()
        return cursor

    def get_page_size(self, request: Request) -> int:
        asked = request.query_params.get(self.page_size_query_param, str(self.page_size))
        if asked.isascii() and asked.isdecimal() and len(asked) < 9 and 1 <= int(asked) <= self.max_page_size:
            return int(asked)
        detail = f"page_size is a whole number from 1 to {self.max_page_size:,}, not {asked[:50]!r}."
        raise Problem(http.HTTP_400_BAD_REQUEST, "bad_page_size", detail)

    def get_schema_operation_parameters(self, view: Any) -> list[dict[str, Any]]:
        size = {"type": "integer", "minimum": 1, "maximum": self.max_page_size, "default": self.page_size}
        cursor = {"type": "string", "minLength": 1}
        return [
            {"name": "page_size", "in": "query", "schema": size, "description": "Rows of a page."},
            {"name": "cursor", "in": "query", "schema": cursor, "description": "Where the page starts: see `next`."},
        ]

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        """The framework's own says by a word of OpenAPI 3.0 that a link may be null."""
        return record_of({"next": or_null(LINK), "previous": or_null(LINK), "results": schema})


def _is_cursor(text: str | None) -> bool:
    """Whether the framework wrote it, or there is none; it would read anything else as the first page."""
    if text is None:
        return True
    try:
        said = parse_qs(base64.b64decode(text, validate=True).decode("ascii"), strict_parsing=True)
    except ValueError:
        return False
    return set(said) <= {"o", "r", "p"}


def _bad_cursor() -> Problem:
    detail = "No page of ours gave this cursor out; take the address of “next” as it is."
    return Problem(http.HTTP_400_BAD_REQUEST, "bad_cursor", detail)


def is_for_spreadsheet(request: Request) -> bool:
    """Whether texts that a spreadsheet would run are to be made harmless. Raises Problem 400."""
    asked = request.query_params.get("spreadsheet")
    if asked not in (None, "1"):
        raise Problem(http.HTTP_400_BAD_REQUEST, "bad_spreadsheet", f"spreadsheet is 1, not {asked[:50]!r}.")
    return asked is not None


class Begun(Iterator[Any]):
    """Pieces whose first is there: what fails at once is told as a failure, and not as an answer that breaks off.

    Whoever breaks off closes them, as the framework does with an answer that nobody reads to its end.
    """

    def __init__(self, pieces: Generator[Any]) -> None:
        self._pieces = pieces
        self._first = list(islice(pieces, 1))

    def __next__(self) -> Any:
        return self._first.pop() if self._first else next(self._pieces)

    def close(self) -> None:
        self._pieces.close()


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

    def get_renderers(self) -> list[BaseRenderer]:
        """What POST is answered with is no list, and told as JSON alone."""
        renderers: list[BaseRenderer] = super().get_renderers()
        is_list = self.request.method != "POST" or not hasattr(self, "post")
        return [one for one in renderers if is_list or one.format != CsvRows.format]

    def list(self, request: Request, *args: Any, **kwargs: Any) -> Any:
        is_for_spreadsheet(request)
        if request.accepted_renderer.format != CsvRows.format:
            return super().list(request, *args, **kwargs)
        # All of it at once has no pages, but what is asked of them must be sound.
        self.paginator.get_page_size(request)
        self.paginator.decode_cursor(request)
        rows = self.filter_queryset(self.get_queryset()).order_by(NewestFirst.ordering)
        kind = Kind.SPREADSHEET if is_for_spreadsheet(request) else Kind.CSV
        pieces = (piece.content for piece in Export(rows, self._columns()).csv_pieces(kind))
        return StreamingHttpResponse(
            Begun(pieces),
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
