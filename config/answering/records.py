"""`GET imports/{tracking_id}/records`: what became of every record of an import, down to its charges."""

import csv
import io
from collections.abc import Generator, Mapping, Sequence
from typing import Any

from django.http import StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404
from rest_framework import status as http
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.urls import replace_query_param
from rest_framework.views import APIView

from config.answering.places import Found, Outcome, page_of
from config.answering.rated import Rated, Rating, rated
from config.answering.schemas import RECORDS, WHICH_RECORDS
from ingestion.api.seeing import SendersSeeTheirOwn, seen_imports
from ingestion.models import UsageImport
from mediation.api import Begun, CsvRows, Problem, is_for_spreadsheet
from mediation.api.describing import describe
from mediation.models import Udr

USUAL_SIZE, MOST, OF_CSV = 100, 1_000, 5_000
LARGEST = 2**63 - 1
COLUMNS = (
    *("record_number", "outcome", "code", "reason", "exception_id", "exception_status", "udr_ids", "rating"),
    *("charge_ids", "rating_exception_id", "rating_code", "rating_reason"),
    *("duplicate_of_udr_id", "duplicate_of_tracking_id", "duplicate_of_record_number"),
)
FORMULA = ("=", "+", "-", "@", "\t", "\r")


class ImportRecords(APIView):
    """Records in the order of their numbers: `outcome=`, `attempt=` (the current one unless said), `page_size=`."""

    permission_classes = (SendersSeeTheirOwn,)
    renderer_classes = (JSONRenderer, CsvRows)

    @describe(
        "List the records of an import",
        parameters=WHICH_RECORDS,
        responses={200: RECORDS},
        refuses=("unknown_outcome", "bad_attempt", "bad_page_size", "bad_cursor"),
    )
    def get(self, request: Request, tracking_id: Any) -> HttpResponseBase:
        own = seen_imports(UsageImport.objects.select_related("profile_version"), request.user)
        usage_import = get_object_or_404(own, tracking_id=tracking_id)
        teller, is_safe = Teller(usage_import, request), is_for_spreadsheet(request)
        if request.accepted_renderer.format == CsvRows.format:
            return _as_csv(teller, is_for_spreadsheet=is_safe)
        size = _number(request, "page_size", USUAL_SIZE, 1, MOST)
        rows, last = teller.page(_number(request, "cursor", 0, 0, LARGEST), size)
        address = request.build_absolute_uri()
        document = {
            "tracking_id": str(usage_import.tracking_id),
            "attempt": teller.attempt,
            "is_complete": teller.attempt < usage_import.attempt or usage_import.status == UsageImport.Status.COMPLETED,
            "next": None if last is None else replace_query_param(address, "cursor", str(last)),
            "results": rows,
        }
        return Response(document)


class Teller:
    """The records of an import as a person may see them."""

    def __init__(self, usage_import: UsageImport, request: Request) -> None:
        asked = request.query_params.get("outcome")
        if asked not in (None, *Outcome):
            detail = f"There is no outcome {asked!r}; there are {', '.join(Outcome)}."
            raise Problem(http.HTTP_400_BAD_REQUEST, "unknown_outcome", detail)
        self.outcome = Outcome(asked) if asked else None
        self.usage_import = usage_import
        self.attempt = _number(request, "attempt", usage_import.attempt, 1, usage_import.attempt)
        by = request.user
        is_own = usage_import.received_by_id == by.pk
        self.sees_reasons = is_own or by.has_perm("ingestion.view_importexception")
        self.sees_charges = by.has_perm("rating.view_charge")
        self.sees_rating = self.sees_charges or by.has_perm("rating.view_ratingexception")

    def page(self, after: int, size: int) -> tuple[list[dict[str, Any]], int | None]:
        """The next records as rows of COLUMNS, and after which number the next page starts."""
        page = page_of(
            usage_import=self.usage_import, attempt=self.attempt, after=after, size=size, outcome=self.outcome
        )
        charged = rated([udr_id for one in page.records for udr_id in one.udr_ids])
        repeats = [one.left_out.udr_id for one in page.records if one.left_out and one.left_out.udr_id]
        originals = _places(repeats)
        return [self._row(one, charged, originals) for one in page.records], page.last

    def _row(self, one: Found, charged: Mapping[int, Rated], originals: Mapping[int, Any]) -> dict[str, Any]:
        row = dict.fromkeys(COLUMNS) | {"record_number": one.number, "outcome": one.outcome}
        row |= {"udr_ids": one.udr_ids if one.outcome == Outcome.IMPORTED else [], "charge_ids": []}
        if one.outcome == Outcome.EXCEPTION and one.exception:
            said: dict[str, Any] = {"code": one.exception.code, "exception_status": one.exception.status}
            if self.sees_reasons:
                said |= {"exception_id": one.exception.pk, "reason": one.exception.message}
            row |= said
        elif one.outcome == Outcome.IMPORTED:
            row |= self._rating([charged[udr_id] for udr_id in one.udr_ids])
        elif one.left_out:
            row |= {"code": one.left_out.outcome, "reason": one.left_out.reason}
            tracking_id, number = originals.get(one.left_out.udr_id or 0, (None, None))
            row |= {"duplicate_of_udr_id": one.left_out.udr_id, "duplicate_of_tracking_id": tracking_id}
            row |= {"duplicate_of_record_number": number}
        return row

    def _rating(self, udrs: Sequence[Rated]) -> dict[str, Any]:
        """What rating made of a record; of several UDRs the one that is furthest from being charged says how far."""
        if not self.sees_rating:
            return {}
        worst = max(udrs, key=lambda one: list(Rating).index(one.rating))
        told: dict[str, Any] = {"rating": worst.rating}
        if self.sees_charges:
            told["charge_ids"] = [charge_id for one in udrs for charge_id in one.charge_ids]
        if worst.rating == Rating.EXCEPTION and worst.exception:
            told["rating_exception_id"] = worst.exception.pk
            told |= {"rating_code": worst.exception.cause, "rating_reason": worst.exception.message}
        return told


def _places(udr_ids: Sequence[int]) -> dict[int, tuple[str, int]]:
    """The tracking id and the record number by which each of these UDRs came."""
    rows = list(Udr.objects.filter(pk__in=udr_ids).values_list("pk", "import_id", "record_number")) if udr_ids else []
    imports = UsageImport.objects.filter(pk__in={import_id for _, import_id, _ in rows})
    named = dict(imports.values_list("pk", "tracking_id"))
    return {udr_id: (str(named[import_id]), number) for udr_id, import_id, number in rows if import_id in named}


def _number(request: Request, name: str, usual: int, least: int, most: int) -> int:
    asked = request.query_params.get(name)
    if asked is None:
        return usual
    if asked.isascii() and asked.isdecimal() and len(asked) < 20 and least <= int(asked) <= most:
        return int(asked)
    detail = f"{name} is a whole number from {least:,} to {most:,}, not {asked[:50]!r}."
    raise Problem(http.HTTP_400_BAD_REQUEST, f"bad_{name}", detail)


def _as_csv(teller: Teller, *, is_for_spreadsheet: bool) -> StreamingHttpResponse:
    return StreamingHttpResponse(
        Begun(_csv_pieces(teller, is_for_spreadsheet)),
        content_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="records-{teller.usage_import.tracking_id}.csv"'},
    )


def _csv_pieces(teller: Teller, is_for_spreadsheet: bool) -> Generator[str]:
    last: int | None = 0
    yield ",".join(COLUMNS) + "\n"
    while last is not None:
        rows, last = teller.page(last, OF_CSV)
        piece = io.StringIO()
        writer = csv.writer(piece, lineterminator="\n")
        writer.writerows([_cell(value, is_for_spreadsheet) for value in row.values()] for row in rows)
        yield piece.getvalue()


def _cell(value: Any, is_for_spreadsheet: bool) -> Any:
    """A list as texts parted by spaces; before what a spreadsheet would run as a formula an apostrophe, if asked."""
    if isinstance(value, list):
        return " ".join(map(str, value))
    return f"'{value}" if is_for_spreadsheet and isinstance(value, str) and value.startswith(FORMULA) else value
