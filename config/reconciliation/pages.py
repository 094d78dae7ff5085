"""The page of the monthly reconciliation, and the same lines as CSV and as a workbook."""

import csv
import io
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import groupby
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import FileResponse, HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.http import urlencode

from config.models import Reconciliation
from config.reconciliation.counting import count_month, is_small
from config.reconciliation.lines import COUNTS, Line, from_json, total
from config.reconciliation.work import AT_WORK, PERMISSION, ask_to_reconcile
from ingestion.models import Feed
from mediation.admin import kit, marks
from mediation.admin.export import CONTENT_TYPES
from mediation.services.exporting import Kind
from mediation.services.seeing import feeds_seen
from mediation.services.workbooks import plain, workbook, write_table

MOST_LINES = 500  # on a page; of more, each feed has one line
COLUMNS = {
    "received": "received",
    "imported": "imported",
    "exceptions": "exceptions",
    "skipped": "skipped",
    "duplicates": "duplicates",
    "waiting": "waiting",
    "received_difference": "",
    "udrs": "UDRs",
    "charged": "charged",
    "unrated": "rating exceptions",
    "written_off": "written off",
    "not_rated": "not rated yet",
    "voided": "voided",
    "udr_difference": "",
}
DIFFERENCES = ("received_difference", "udr_difference")
FILE_COLUMNS = ("feed", "day", *COUNTS, "udrs", *DIFFERENCES)


@dataclass(frozen=True)
class Shown:
    """The lines that somebody may see of a month, and how old they are; as_of None: not counted yet."""

    month: date
    feed_id: int | None
    lines: list[Line]
    as_of: datetime | None
    asked: Reconciliation | None
    names: dict[int, str]


def urls(site: admin.AdminSite) -> list[URLPattern]:
    """The addresses of the page and its files."""
    return [
        path("reconciliation/", site.admin_view(page), name="reconciliation"),
        path("reconciliation/lines.csv", site.admin_view(csv_file), name="reconciliation_csv"),
        path("reconciliation/lines.xlsx", site.admin_view(workbook_file), name="reconciliation_xlsx"),
    ]


def page(request: HttpRequest) -> HttpResponse:
    """The month as a table; POST asks a worker to count it anew."""
    by = kit.person(request)
    if not by.has_perm(PERMISSION):
        raise PermissionDenied
    if request.method == "POST":
        month = _month(request.POST.get("month", ""))
        ask_to_reconcile(month=month, by=by, now=timezone.now())
        return HttpResponseRedirect(_address(month, _feed(request.POST.get("feed", ""))))
    shown = shown_to(request)
    is_at_work = shown.asked is not None and shown.asked.status in AT_WORK
    context = {
        **admin.site.each_context(request),
        "title": f"Reconciliation of {shown.month:%B %Y}",
        "shown": shown,
        "month": f"{shown.month:%Y-%m}",
        "before": _address(_month_before(shown.month), shown.feed_id),
        "after": _address(shown.month + timedelta(days=32), shown.feed_id),
        "feeds": sorted(shown.names.items(), key=lambda pair: pair[1].lower()),
        "columns": list(COLUMNS.items()),
        "groups": list(_groups(shown)),
        "total": _cells(total(shown.lines), shown) if shown.lines else None,
        "taking_back": marks.number(sum(line.taking_back for line in shown.lines)),
        "disagreeing": sum(not line.agrees for line in shown.lines),
        "is_at_work": is_at_work,
        "as_of": marks.moment(shown.as_of),
        "files": {name: f"{reverse(f'admin:reconciliation_{name}')}?{_query(shown)}" for name in ("csv", "xlsx")},
    }
    return TemplateResponse(request, "admin/reconciliation/page.html", context)


def shown_to(request: HttpRequest) -> Shown:
    """What the asking person sees of the month and feed in the address: counted now, or as a worker counted it."""
    by = kit.person(request)
    month, feed_id = _month(request.GET.get("month", "")), _feed(request.GET.get("feed", ""))
    seen = feeds_seen(by)
    names = {
        pk: name for pk, name in Feed.objects.values_list("pk", "name").order_by("name") if seen is None or pk in seen
    }
    asked, as_of = None, None
    if is_small(month):
        lines, as_of = count_month(month, is_small=True), timezone.now()
    else:
        asked = Reconciliation.objects.filter(month=month).first()
        lines = [from_json(line) for line in asked.lines] if asked else []
        as_of = asked.as_of if asked else None
    mine = [line for line in lines if line.feed_id in names and feed_id in (None, line.feed_id)]
    mine.sort(key=lambda line: (names[line.feed_id].lower(), line.feed_id, line.day))
    return Shown(month, feed_id, mine, as_of, asked, names)


def _month(text: str) -> date:
    """The first day of the month that an address names, as 2026-05; without one, or a wrong one, this month."""
    try:
        month = datetime.strptime(text, "%Y-%m").replace(tzinfo=UTC).date()
    except ValueError:
        month = timezone.now().astimezone(UTC).date()
    return month.replace(day=1) if 1 < month.year < 9999 else date(2000, 1, 1)


def _month_before(month: date) -> date:
    return (month - timedelta(days=1)).replace(day=1)


def _feed(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 18 else None


def _address(month: date, feed_id: int | None) -> str:
    query = {"month": f"{month:%Y-%m}"} | ({"feed": feed_id} if feed_id else {})
    return f"{reverse('admin:reconciliation')}?{urlencode(query)}"


def _query(shown: Shown) -> str:
    return _address(shown.month, shown.feed_id).partition("?")[2]


def _groups(shown: Shown) -> Iterator[dict[str, Any]]:
    """The feeds with their days; where there are too many lines for a page, the feeds alone."""
    has_days = len(shown.lines) <= MOST_LINES
    for feed_id, found in groupby(shown.lines, key=lambda line: line.feed_id):
        lines = list(found)
        yield {
            "name": shown.names[feed_id],
            "address": _address(shown.month, feed_id),
            "total": _cells(total(lines, feed_id=feed_id), shown),
            "lines": [_cells(line, shown) for line in lines] if has_days else [],
        }


def _cells(line: Line, shown: Shown) -> dict[str, Any]:
    """A line as the table shows it; a number leads to the list that it was counted from, where there is one."""
    links = _links(line, shown)
    return {
        "day": line.day.isoformat() if line.day else "",
        "cells": [
            {
                "name": name,
                "text": marks.number(getattr(line, name)),
                "is_difference": name in DIFFERENCES,
                "is_zero": not getattr(line, name),
                "link": links.get(name, "") if getattr(line, name) else "",
            }
            for name in COLUMNS
        ],
        "amounts": [f"{marks.exact(amount)} {currency}" for currency, amount in line.amounts.items()],
    }


def _links(line: Line, shown: Shown) -> dict[str, str]:
    """Days are of UTC here, and of the reader's zone in the lists' own filter: so the moments are named."""
    start = line.day or shown.month
    end = line.day + timedelta(days=1) if line.day else _month_after(shown.month)
    during = {"received_at__gte": f"{start}T00:00:00Z", "received_at__lt": f"{end}T00:00:00Z"}
    of_feed = {"feed__id__exact": line.feed_id} if line.feed_id else {}
    rating_feed = {"feed_id": line.feed_id} if line.feed_id else {}
    history = marks.list_url("ingestion_usageimport", **during, **of_feed)
    return {
        "received": history,
        "received_difference": history,
        "udr_difference": history,
        "exceptions": marks.list_url("ingestion_importexception", status__exact="open", **of_feed),
        "unrated": marks.list_url("rating_ratingexception", status__exact="open", **rating_feed),
        "written_off": marks.list_url("rating_ratingexception", status__exact="written_off", **rating_feed),
    }


def _month_after(month: date) -> date:
    return (month + timedelta(days=32)).replace(day=1)


# The files


def csv_file(request: HttpRequest) -> HttpResponse:
    """Every line as CSV, amounts by currency; with `spreadsheet` safe to open in one. 409: not counted yet."""
    shown = _shown_or_refused(request)
    if shown.as_of is None:
        return _not_counted(request, shown)
    header, rows = _table(shown)
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(header)
    for name, *others in rows:
        is_formula = "spreadsheet" in request.GET and name.startswith(("=", "+", "-", "@", "\t", "\r"))
        writer.writerow([f"'{name}" if is_formula else name, *others])
    headers = {"Content-Disposition": f'attachment; filename="{_file_name(shown)}.csv"'}
    return HttpResponse(out.getvalue(), content_type=CONTENT_TYPES["csv"], headers=headers)


def workbook_file(request: HttpRequest) -> HttpResponseBase:
    """Every line, the totals by feed, and the totals of all, each on a sheet. 409: not counted yet."""
    shown = _shown_or_refused(request)
    if shown.as_of is None:
        return _not_counted(request, shown)
    header, rows = _table(shown)
    numbers = set(header) - {"feed", "day"}
    by_feed = [total(lines, feed_id=feed_id) for feed_id, lines in groupby(shown.lines, key=lambda each: each.feed_id)]
    currencies = _currencies(shown.lines)
    target = tempfile.TemporaryFile()  # noqa: SIM115 - the answer closes it
    with workbook(target) as book:
        write_table(book, "Days", header, rows, numbers=numbers)
        feeds = (_row(line, shown.names[line.feed_id], currencies) for line in by_feed)
        write_table(book, "Feeds", header, feeds, numbers=numbers)
        write_table(book, "Totals", header, [_row(total(shown.lines), "all", currencies)], numbers=numbers)
    target.seek(0)
    ending = Kind.WORKBOOK.ending
    name = f"{_file_name(shown)}.{ending}"
    return FileResponse(target, as_attachment=True, filename=name, content_type=CONTENT_TYPES[ending])


def _shown_or_refused(request: HttpRequest) -> Shown:
    if not kit.person(request).has_perm(PERMISSION):
        raise PermissionDenied
    return shown_to(request)


def _not_counted(request: HttpRequest, shown: Shown) -> HttpResponse:
    """409: a file with a header alone would say that nothing was received."""
    context = {
        **admin.site.each_context(request),
        "title": f"{shown.month:%B %Y} is not counted yet",
        "is_at_work": shown.asked is not None and shown.asked.status in AT_WORK,
        "page": _address(shown.month, shown.feed_id),
    }
    return TemplateResponse(request, "admin/reconciliation/not_counted.html", context, status=409)


def _file_name(shown: Shown) -> str:
    return f"reconciliation-{shown.month:%Y-%m}" + (f"-feed-{shown.feed_id}" if shown.feed_id else "")


def _table(shown: Shown) -> tuple[list[str], Iterator[list[str]]]:
    currencies = _currencies(shown.lines)
    header = [*FILE_COLUMNS, *(f"amount_{currency}" for currency in currencies)]
    return header, (_row(line, shown.names[line.feed_id], currencies) for line in shown.lines)


def _currencies(lines: Iterable[Line]) -> list[str]:
    return sorted({currency for line in lines for currency in line.amounts})


def _row(line: Line, name: str, currencies: Iterable[str]) -> list[str]:
    day = line.day.isoformat() if line.day else ""
    counts = [str(getattr(line, column)) for column in FILE_COLUMNS[2:]]
    return [name, day, *counts, *(plain(line.amounts.get(currency, Decimal(0))) for currency in currencies)]
