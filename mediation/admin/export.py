"""The export of a list as filtered: its page, where columns and kind are chosen, and its files."""

import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.contrib import messages
from django.contrib.admin.options import IncorrectLookupParameters
from django.core.exceptions import FieldDoesNotExist, PermissionDenied
from django.db import models
from django.db.models import QuerySet
from django.http import (
    FileResponse,
    HttpRequest,
    HttpResponse,
    HttpResponseBase,
    HttpResponseRedirect,
    QueryDict,
    StreamingHttpResponse,
)
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.urls.resolvers import URLPattern
from django.utils.http import urlencode
from django.utils.text import capfirst

from mediation.admin import marks
from mediation.admin.filters import NAMINGS, DayRangeFilter
from mediation.admin.paging import estimated_rows
from mediation.services.exporting import Export, Kind, UnableToExport, table_of_totals, write_export
from mediation.store import NameOf, number_headers

if TYPE_CHECKING:
    from mediation.admin.kit import ModelAdmin

# What is made while somebody waits for the answer; a workbook takes ten times as long as a CSV.
AT_ONCE = {Kind.CSV: 100_000, Kind.SPREADSHEET: 100_000, Kind.WORKBOOK: 20_000}
CONTENT_TYPES = {
    "csv": "text/csv; charset=utf-8",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}
# Columns with totals, wherever they occur; every count has one, too.
SUMMED = frozenset(
    (
        *("quantity", "rated_quantity", "free_quantity", "bucket_quantity", "value", "credit", "cost", "amount"),
        *("line_amount", "subtotal", "tax_total", "total", "base", "used", "granted", "byte_size", "before", "after"),
    )
)


@dataclass(frozen=True)
class Wish:
    """What somebody wants exported of a list: its filter as its address has it, the columns, and as what."""

    query: str
    columns: tuple[str, ...]
    kind: Kind


# What makes an export in the background: called with the list, who asked for it and how many rows are estimated, it
# gives the address to go to. The roof keeps the jobs.
IN_BACKGROUND: list[Callable[["ModelAdmin", HttpRequest, Wish, int], str]] = []


def export_urls(model_admin: "ModelAdmin") -> list[URLPattern]:
    """The page, and the files by their endings."""
    wrap, name = model_admin.admin_site.admin_view, _name(model_admin)
    return [
        path("export/", wrap(model_admin.export_page_view), name=f"{name}_page"),
        path("export/file", wrap(model_admin.export_view), name=f"{name}_file"),
        path("export.csv", wrap(model_admin.export_view), {"ending": "csv"}, name=name),
        path("export.xlsx", wrap(model_admin.export_view), {"ending": "xlsx"}, name=f"{name}_xlsx"),
    ]


def _name(model_admin: "ModelAdmin") -> str:
    return f"{model_admin.opts.app_label}_{model_admin.opts.model_name}_export"


def wish_of(model_admin: "ModelAdmin", asked: QueryDict, ending: str | None = None) -> Wish:
    """What an address or a form asks for; what is none of ours is the list's filter.

    Raises UnableToExport for columns that the list does not have.
    """
    query = asked.copy()
    chosen, kinds = query.pop("column", []), query.pop("as", [])
    is_for_spreadsheet = bool(query.pop("spreadsheet", None))
    for name in ("csrfmiddlewaretoken", "to", "p"):
        query.pop(name, None)
    columns = model_admin.export_columns()
    if unknown := [name for name in chosen if name not in columns]:
        raise UnableToExport(f"There is no column {unknown[0]!r} here. Choose among: {', '.join(columns)}.")
    kind = Kind.WORKBOOK if ending == "xlsx" else Kind.SPREADSHEET if is_for_spreadsheet else Kind.CSV
    if kinds and ending is None:
        if kinds[-1] not in Kind.values:
            raise UnableToExport(f"Nothing is exported as {kinds[-1]!r}. Choose among: {', '.join(Kind.values)}.")
        kind = Kind(kinds[-1])
    return Wish(query.urlencode(), tuple(name for name in columns if not chosen or name in chosen), kind)


def changelist_of(model_admin: "ModelAdmin", request: HttpRequest, query: str) -> Any:
    """The list as `request.user` sees it in a filter; raises UnableToExport where the filter is not understood."""
    # The list would take a parameter that it does not know for a filter.
    request.GET = QueryDict(query)  # type: ignore[assignment]
    try:
        return model_admin.get_changelist_instance(request)
    except IncorrectLookupParameters as fault:
        raise UnableToExport("The filter is not understood. Open the list again, and filter it anew.") from fault


def export_of(model_admin: "ModelAdmin", rows: QuerySet, columns: tuple[str, ...]) -> Export:
    """What is exported of `rows`; the columns by their names, in the order of the list's own."""
    known = model_admin.export_columns()
    chosen = {name: known[name] for name in columns}
    # By the list's own unique order, so that two exports of the same rows are equal to the byte.
    ordered = rows.order_by(*(model_admin.ordering or ()))
    currency = model_admin.export_currency or _own_currency(model_admin.model)
    return Export(ordered, chosen, _summed(rows, chosen), currency)


def _summed(rows: QuerySet, columns: Mapping[str, Any]) -> list[str]:
    numbers = number_headers(rows, columns)
    return [name for name in columns if name in numbers and (name in SUMMED or name.endswith("_count"))]


def _own_currency(model: type[models.Model]) -> str | None:
    try:
        model._meta.get_field("currency")
    except FieldDoesNotExist:
        return None
    return "currency"


def columns_of(model_admin: "ModelAdmin") -> dict[str, Any]:
    """Every column that can be chosen, in the order of the model: names stand beside the ids that they are of."""
    own = [
        field
        for field in model_admin.opts.concrete_fields
        if not isinstance(field, models.BinaryField) and field.attname not in model_admin.export_without
    ]
    also: dict[str, Any] = dict(model_admin.export_also)
    columns: dict[str, Any] = {}
    for field in own:
        columns[field.attname] = field.attname
        beside = [name for name, path_ in also.items() if path_.partition("__")[0] == field.name != path_]
        columns |= {name: also.pop(name) for name in beside}
        if field.attname in model_admin.named_numbers and field.attname in NAMINGS:
            columns[field.attname.removesuffix("_id")] = NameOf(field.attname, NAMINGS[field.attname].names())
    return {**columns, **also}


def export_file(model_admin: "ModelAdmin", request: HttpRequest, ending: str | None) -> HttpResponseBase:
    """The rows of a list as a file; more than fit in one answer are shown the way to the background."""
    if not model_admin.has_view_permission(request):
        raise PermissionDenied
    address = request.GET.urlencode()
    try:
        wish = wish_of(model_admin, request.GET, ending)
        rows = changelist_of(model_admin, request, wish.query).queryset
    except UnableToExport as refusal:
        return HttpResponse(str(refusal), status=400, content_type="text/plain; charset=utf-8")
    if IN_BACKGROUND and rows_up_to(rows, AT_ONCE[wish.kind])[0] > AT_ONCE[wish.kind]:
        return HttpResponseRedirect(f"{reverse(f'admin:{_name(model_admin)}_page')}?{address}")
    export = export_of(model_admin, rows, wish.columns)
    return answer_with(export, wish.kind, f"{model_admin.opts.model_name}.{wish.kind.ending}")


def answer_with(export: Export, kind: Kind, file_name: str) -> HttpResponseBase:
    """A CSV as a stream from the database; a workbook from a temporary file, for it is written at its end."""
    content_type = CONTENT_TYPES[kind.ending]
    if kind == Kind.WORKBOOK:
        book = tempfile.TemporaryFile()  # noqa: SIM115 - the answer closes it
        write_export(export, book, kind=kind)
        book.seek(0)
        return FileResponse(book, as_attachment=True, filename=file_name, content_type=content_type)
    return StreamingHttpResponse(
        (piece.content for piece in export.csv_pieces(kind)),
        content_type=content_type,
        headers={"Content-Disposition": f'attachment; filename="{file_name}"'},
    )


def rows_up_to(rows: QuerySet, limit: int) -> tuple[int, bool]:
    """How many rows there are, and whether that is exact: beyond `limit` of them nobody counts."""
    if not rows.query.where and (estimate := estimated_rows(rows.model)) > limit:
        return estimate, False
    count = rows.order_by()[: limit + 1].count()
    return count, count <= limit


def export_page(model_admin: "ModelAdmin", request: HttpRequest) -> HttpResponse:
    """Choose the columns and the kind; what the rows come to; then download, or let it be made in the background."""
    if not model_admin.has_view_permission(request):
        raise PermissionDenied
    asked = request.POST if request.method == "POST" else request.GET
    try:
        wish = wish_of(model_admin, asked)
        changelist = changelist_of(model_admin, request, wish.query)
        if request.method == "POST":
            return _sent_on(model_admin, request, wish, changelist.queryset)
    except UnableToExport as refusal:
        return HttpResponse(str(refusal), status=400, content_type="text/plain; charset=utf-8")
    is_new = "column" not in asked
    chosen = [name for name in wish.columns if not is_new or name not in model_admin.export_quiet]
    context = {
        **model_admin.admin_site.each_context(request),
        "opts": model_admin.opts,
        "title": f"Export {model_admin.opts.verbose_name_plural}",
        "heading": capfirst(str(model_admin.opts.verbose_name_plural)),
        "filters": list(told_filters(changelist)),
        "hidden": list(_pairs(wish.query)),
        "columns": [(name, name.replace("_", " "), name in chosen) for name in model_admin.export_columns()],
        "usual_query": wish.query,
        "kinds": [(kind.value, kind.label, kind == wish.kind) for kind in Kind],
        "can_run_in_background": bool(IN_BACKGROUND) and _may_ask(request),
        **_told_size(model_admin, changelist.queryset),
    }
    return TemplateResponse(request, "admin/export.html", context)


def _may_ask(request: HttpRequest) -> bool:
    return bool(request.user.has_perm("config.add_exportjob"))  # type: ignore[union-attr]


def _sent_on(model_admin: "ModelAdmin", request: HttpRequest, wish: Wish, rows: QuerySet) -> HttpResponseRedirect:
    """To the file, to this page with the choice in its address, or to the job that makes it in the background."""
    pairs = [*_pairs(wish.query), *(("column", name) for name in wish.columns), ("as", wish.kind.value)]
    to = request.POST.get("to")
    if to == "background":
        if not IN_BACKGROUND or not _may_ask(request):
            raise PermissionDenied
        count, _ = rows_up_to(rows, AT_ONCE[Kind.CSV])
        try:
            return HttpResponseRedirect(IN_BACKGROUND[0](model_admin, request, wish, count))
        except UnableToExport as refusal:
            model_admin.message_user(request, str(refusal), messages.WARNING)
    address = reverse(f"admin:{_name(model_admin)}_{'file' if to == 'file' else 'page'}")
    return HttpResponseRedirect(f"{address}?{urlencode(pairs)}")


def _pairs(query: str) -> Iterator[tuple[str, str]]:
    for name, values in QueryDict(query).lists():
        for value in values:
            yield name, value


def _told_size(model_admin: "ModelAdmin", rows: QuerySet) -> dict[str, Any]:
    """How many rows, and what they come to where that is counted in no time."""
    limit = AT_ONCE[Kind.CSV]
    count, is_exact = rows_up_to(rows, limit)
    told: dict[str, Any] = {
        "workbook_limit": f"{AT_ONCE[Kind.WORKBOOK]:,}",
        "is_large": count > limit,
        "is_large_for_a_workbook": count > AT_ONCE[Kind.WORKBOOK],
    }
    if not is_exact:
        return told | {"count_text": f"about {count:,}" if count > limit + 1 else f"more than {limit:,}"}
    export = export_of(model_admin, rows, tuple(model_admin.export_columns()))
    header, *lines = table_of_totals(export.totals(), export.summed, has_currency=bool(export.currency))
    return told | {
        "count_text": f"{count:,}",
        "totals_header": [name.replace("_", " ") for name in header],
        "totals": [[value if isinstance(value, str) else marks.exact(value) for value in line] for line in lines],
        "has_sums": bool(export.summed),
    }


def told_filters(changelist: Any) -> Iterator[tuple[str, str]]:
    """The filter of a list in words: (what, which)."""
    if changelist.query:
        yield "search", changelist.query
    for spec in changelist.filter_specs:
        if isinstance(spec, DayRangeFilter):
            if spec.from_text or spec.to_text:
                yield str(spec.title), f"{spec.from_text or '…'} to {spec.to_text or '…'}"
            continue
        chosen = [choice["display"] for choice in list(spec.choices(changelist))[1:] if choice.get("selected")]
        if chosen:
            yield str(spec.title), ", ".join(map(str, chosen))
