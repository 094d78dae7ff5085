"""What the workbenches of exceptions stand on: the table of groups, a group's page, steps through it, progress."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django import forms
from django.db.models import Count, Max, Model, QuerySet
from django.http import HttpRequest, JsonResponse
from django.template.loader import render_to_string
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.http import urlencode
from django.utils.safestring import SafeString

from mediation.admin import kit, marks

PAGE_SIZE = 25

# What is asked about before it is done: more rows than one looks through.
ASK_ABOVE = 100


@dataclass(frozen=True)
class Action:
    """A way on from a page: the link to it, and what it does in a few words (shown on hovering)."""

    text: str
    url: str
    hint: str = ""
    is_main: bool = False


@dataclass(frozen=True)
class GroupRow:
    """A group in the table of groups. cells: what it is, under the table's columns; the first one links to it."""

    url: str
    cells: Sequence[Any]
    count: int
    first_at: datetime | None
    last_at: datetime | None
    value: str = ""
    assigned: str = ""

    @property
    def count_text(self) -> str:
        return marks.number(self.count)

    @property
    def first_text(self) -> SafeString | str:
        return marks.moment(self.first_at)

    @property
    def last_text(self) -> SafeString | str:
        return marks.moment(self.last_at)


@dataclass(frozen=True)
class Values:
    """How the value at risk is estimated, in words with the currency; "" where nothing can be said.

    of_rows: of all rows of a query. of_groups: of each group, in their order, without a query for each.
    """

    of_rows: Callable[[QuerySet], str]
    of_groups: Callable[[Sequence[Any]], Sequence[str]]


@dataclass
class Bench:
    """One workbench, and what other modules add to its pages.

    actions: links to offer for a group. panels: what stands below a group's facts, as safe text. record_panels: the
    same for one exception. values: how the value at risk is estimated.
    """

    values: Values | None = None
    actions: list[Callable[[HttpRequest, Any], Sequence[Action]]] = field(default_factory=list)
    panels: list[Callable[[HttpRequest, Any], SafeString | str]] = field(default_factory=list)
    record_panels: list[Callable[[HttpRequest, Any], SafeString | str]] = field(default_factory=list)


IMPORT_BENCH, RATING_BENCH = Bench(), Bench()


# Pages


def page(
    model_admin: kit.ModelAdmin,
    request: HttpRequest,
    template: str,
    *,
    title: str,
    crumbs: Sequence[tuple[str, str]] = (),
    context: Mapping[str, Any],
) -> TemplateResponse:
    """A page of the workbench under its model's list. crumbs: (text, address) of the pages between the two."""
    frame = {
        **model_admin.admin_site.each_context(request),
        "opts": model_admin.opts,
        "title": title,
        "crumbs": crumbs,
    }
    return TemplateResponse(request, template, {**frame, **context})


def groups_page(
    model_admin: kit.ModelAdmin,
    request: HttpRequest,
    *,
    title: str,
    lead: str,
    columns: Sequence[str],
    rows: Sequence[GroupRow],
    more: int,
    choices: Sequence[Mapping[str, Any]],
    empty: str,
    links: Sequence[Action] = (),
    context: Mapping[str, Any] | None = None,
) -> TemplateResponse:
    """The table of groups. more: how many groups are not in `rows`. choices: filters, each as `choice` gives it."""
    most = max((row.count for row in rows), default=0)
    told = {
        "lead": lead,
        "columns": columns,
        "rows": [(row, share_bar(row.count, most)) for row in rows],
        "more": marks.number(more) if more else "",
        "choices": [one for one in choices if len(one["choices"]) > 1],
        "is_filtered": any(one["is_active"] for one in choices),
        "empty": empty,
        "links": links,
        "has_values": any(row.value for row in rows),
        "has_assigned": any(row.assigned for row in rows),
        "saved_filters": kit.saved_filters(
            request, f"{model_admin.opts.app_label}_{model_admin.opts.model_name}_groups"
        ),
    }
    return page(model_admin, request, "admin/workbench/groups.html", title=title, context=told | dict(context or {}))


def ask_page(
    model_admin: kit.ModelAdmin,
    request: HttpRequest,
    form: forms.Form,
    *,
    title: str,
    button: str,
    lines: Sequence[Any],
    cancel_url: str,
    crumbs: Sequence[tuple[str, str]] = (),
    refusal: str = "",
) -> TemplateResponse:
    """The page between the wish and the deed: what will happen with how many, and what must be said about it."""
    context = {"form": form, "button": button, "lines": lines, "cancel_url": cancel_url, "refusal": refusal}
    return page(model_admin, request, "admin/workbench/ask.html", title=title, crumbs=crumbs, context=context)


class RowsMoved(Exception):
    """What is to be confirmed is not what was told."""

    def __init__(self) -> None:
        super().__init__("This is what there is now. Look at it, and confirm it.")


class ConfirmForm(forms.Form):
    """Nothing but the button; `told_count` and `told_last` bind it to the rows that its page told of."""

    told_count = forms.IntegerField(required=False, widget=forms.HiddenInput)
    told_last = forms.IntegerField(required=False, widget=forms.HiddenInput)

    @classmethod
    def asking(cls, request: HttpRequest, rows: QuerySet) -> "ConfirmForm":
        """The form of a page that tells of these rows, with what was answered so far."""
        told = rows.order_by().aggregate(told_count=Count("pk"), told_last=Max("pk"))
        if request.method != "POST":
            return cls(initial=told)
        return cls({**request.POST.dict(), **{name: "" if each is None else each for name, each in told.items()}})

    def rows_told(self, rows: QuerySet) -> QuerySet:
        """Those of the rows that the page told of. Raises RowsMoved where it told of none, or of fewer than these."""
        last, count = self.cleaned_data["told_last"], self.cleaned_data["told_count"]
        if last is None or count is None:
            raise RowsMoved
        known = rows.filter(pk__lte=last)
        if known.order_by().count() > count:
            raise RowsMoved
        return known


class ReasonForm(ConfirmForm):
    """Why something is done; kept with each row."""

    reason = forms.CharField(max_length=2000, widget=forms.Textarea(attrs={"rows": 3, "cols": 80}))


@dataclass(frozen=True)
class Act:
    """Something done with every row of a group. lines: what will happen, in sentences; done: said afterwards."""

    text: str
    hint: str
    permission: str
    do: Callable[..., Any]
    lines: tuple[str, ...]
    button: str
    done: str = ""
    needs_reason: bool = False

    @property
    def form(self) -> type[ConfirmForm]:
        """What is asked before it is done."""
        return ReasonForm if self.needs_reason else ConfirmForm

    def reason_of(self, answers: Mapping[str, Any]) -> dict[str, str]:
        """What `do` is told beside the rows, out of what was answered."""
        return {"reason": answers["reason"]} if self.needs_reason else {}


# Parts of pages


def choice(request: HttpRequest, name: str, title: str, options: Mapping[str, str]) -> dict[str, Any]:
    """A filter by one parameter of the address, as admin/filter.html takes it; an unknown value is one more choice."""
    asked = request.GET.get(name, "")
    offered = {"": "All", **options}
    if asked not in offered:
        offered[asked] = asked
    return {
        "title": title,
        "is_active": asked != "",
        "choices": [
            {"selected": key == asked, "query_string": query_with(request, **{name: key}), "display": text}
            for key, text in offered.items()
        ],
    }


def query_with(request: HttpRequest, **changed: Any) -> str:
    """The address's own parameters with some changed; an empty one leaves."""
    asked = {key: value for key, value in request.GET.items() if key not in changed}
    return "?" + urlencode(asked | {key: value for key, value in changed.items() if value not in ("", None)})


def url_of(name: str, *args: Any, **query: Any) -> str:
    """The address of an admin page by its name, such as ingestion_importexception_groups, with parameters."""
    address = reverse(f"admin:{name}", args=args)
    return f"{address}?{urlencode(query)}" if query else address


def share_bar(count: int, of: int) -> SafeString:
    """A bar as long as the share, never too thin to see; the number stands beside it, so that readers skip it."""
    width = max(100 * count / of, 1) if of and count else 0
    return format_html(
        '<svg class="share" viewBox="0 0 100 6" preserveAspectRatio="none" aria-hidden="true">'
        '<rect class="share-of" width="100" height="6"/><rect class="share-part" width="{}" height="6"/></svg>',
        f"{width:.2f}",
    )


def bar(parts: Sequence[tuple[str, str, int]]) -> SafeString:
    """One bar of shares, said in words too. parts: (look, one of marks.OUTCOMES; what it is called; count)."""
    total = sum(count for _, _, count in parts)
    spoken = ", ".join(f"{count:,} {name}" for _, name, count in parts if count) or "nothing yet"
    rects, start = [], 0.0
    shares = [(look, max(100 * count / total, 1) if count else 0.0) for look, _, count in parts] if total else []
    scale = 100 / max(sum(share for _, share in shares), 1)
    for look, share in shares:
        rects.append((look, f"{start * scale:.2f}", f"{share * scale:.2f}"))
        start += share
    return format_html(
        '<svg class="outcomes" viewBox="0 0 100 6" preserveAspectRatio="none" role="img" aria-label="{0}">'
        "<title>{0}</title>{1}</svg>",
        spoken,
        format_html_join("", '<rect class="outcome-{}" x="{}" width="{}" height="6"/>', rects),
    )


@dataclass(frozen=True)
class KeyPage:
    """Some rows by key, and the addresses of the rows before and after them ("" where there are none)."""

    rows: Sequence[Any]
    before_url: str
    after_url: str


def page_by_key(request: HttpRequest, rows: QuerySet, size: int = PAGE_SIZE) -> KeyPage:
    """One page of `rows` in the order of their keys: the same time for the first and the last of a million."""
    sent = {name: request.GET.get(name, "") for name in ("after", "before")}
    # No key of PostgreSQL has 19 digits and more, and Python reads no number of thousands.
    asked = {name: int(text) for name, text in sent.items() if text.isdecimal() and len(text) < 19}
    if "before" in asked:
        found = list(rows.filter(pk__lt=asked["before"]).order_by("-pk")[: size + 1])
        shown, is_more_before, is_more_after = found[:size][::-1], len(found) > size, True
    else:
        later = rows.filter(pk__gt=asked["after"]) if "after" in asked else rows
        found = list(later.order_by("pk")[: size + 1])
        shown, is_more_before, is_more_after = found[:size], "after" in asked, len(found) > size
    return KeyPage(
        shown,
        query_with(request, before=shown[0].pk, after="") if shown and is_more_before else "",
        query_with(request, after=shown[-1].pk, before="") if shown and is_more_after else "",
    )


@dataclass(frozen=True)
class Steps:
    """Where a row stands among its like, and the way to its neighbours. place: from 1; None where not counted."""

    place: int | None
    count_text: str
    before_url: str
    after_url: str


def steps_of(target: Model, rows: QuerySet, url_for: Callable[[Any], str], most: int = 10_000) -> Steps:
    """The steps through `rows` by key; places beyond `most` are not counted."""
    before = rows.filter(pk__lt=target.pk).order_by("-pk").values_list("pk", flat=True).first()
    after = rows.filter(pk__gt=target.pk).order_by("pk").values_list("pk", flat=True).first()
    place = rows.filter(pk__lt=target.pk).order_by()[: most + 1].count() + 1
    total = rows.order_by()[: most + 1].count()
    return Steps(
        place if place <= most else None,
        f"{most:,}+" if total > most else f"{total:,}",
        url_for(before) if before else "",
        url_for(after) if after else "",
    )


def tabs(request: HttpRequest, name: str, options: Mapping[str, str]) -> list[tuple[str, str, bool]]:
    """Tabs as links on one parameter, the first one the usual: (text, address, whether it is the current one)."""
    usual = next(iter(options))
    current = request.GET.get(name, usual)
    return [
        (text, query_with(request, **{name: "" if key == usual else key}) or "?", key == current)
        for key, text in options.items()
    ]


def progress_answer(template: str, progress: Mapping[str, Any], *, is_at_rest: bool) -> JsonResponse:
    """What progress.js asks for: the panel as it is now, and whether it will change any more."""
    html = render_to_string(template, {"progress": progress})
    return JsonResponse({"at_rest": is_at_rest, "html": html})


def marked(text: str, span: tuple[int, int] | None, limit: int | None = None) -> SafeString:
    """A record as received with one part marked; a long one is cut around that part. Control characters are shown."""
    start, end = span or (0, 0)
    first, last = 0, len(text)
    if limit is not None and len(text) > limit:
        first = max(0, min(start - limit // 3, len(text) - limit))
        last = first + limit
    parts = text[first : max(start, first)], text[max(start, first) : min(end, last)], text[max(end, first) : last]
    if span is None or start >= last:
        parts = text[first:last], "", ""
    before, part, after = (visible(one) for one in parts)
    return format_html(
        '<code class="raw{}">{}{}{}{}{}</code>',
        "" if limit is None else " raw-line",
        "…" if first else "",
        before,
        format_html("<mark>{}</mark>", part) if part else "",
        after,
        "…" if last < len(text) else "",
    )


def difference(before: str | None, after: str | None, around: int = 80) -> tuple[SafeString, SafeString]:
    """Two texts with what differs marked in each; of long ones, what stands around it. None is shown as nothing."""
    was, now = before or "", after or ""
    most = min(len(was), len(now))
    head = next((place for place in range(most) if was[place] != now[place]), most)
    rest = most - head
    tail = next((place for place in range(rest) if was[-1 - place] != now[-1 - place]), rest)
    return _differing(was, head, tail, around, "del", before is None), _differing(
        now, head, tail, around, "ins", after is None
    )


def _differing(text: str, head: int, tail: int, around: int, tag: str, is_none: bool) -> SafeString:
    if is_none:
        return format_html('<span class="quiet">{}</span>', "no value")
    end = len(text) - tail
    middle, mark = visible(text[head:end][:400]), tag
    start, stop = max(head - around, 0), min(end + around, len(text))
    return format_html(
        '<code class="raw raw-line">{}{}{}{}{}</code>',
        "…" if start else "",
        visible(text[start:head]),
        format_html("<{}>{}</{}>", mark, middle, mark) if middle else "",
        visible(text[end:stop]),
        "…" if stop < len(text) else "",
    )


def visible(text: str) -> str:
    """The text with control characters that can be seen."""
    return text.translate({code: chr(0x2400 + code) for code in range(32) if chr(code) not in "\n"})


def cut(text: str, limit: int = 200) -> SafeString | str:
    """A text of any length in a cell: its beginning, and how much more there is."""
    if len(text) <= limit:
        return text
    return format_html('{}… <span class="quiet">({} characters)</span>', text[:limit], marks.number(len(text)))
