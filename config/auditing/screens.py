"""The screens of the audit: the list of all entries, and what became of one object."""

from typing import Any, ClassVar

from django.contrib import admin
from django.contrib.admin.utils import unquote
from django.contrib.auth import get_user_model
from django.core.exceptions import PermissionDenied
from django.db.models import Model, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.template.response import TemplateResponse
from django.urls import NoReverseMatch, reverse
from django.utils.text import capfirst

from config.auditing.reading import HOW, PAGE, changes_of, deeds, entries_of, key_of, models_by_table
from config.models import AuditEntry
from mediation.admin import filters, kit, marks, reach
from mediation.services import feeds_seen

MAY_READ = "config.view_auditentry"
MOST_PEOPLE = 200
MOST_FIELDS = 4
DOORS = ("screen", "API", "worker", "command line", "SQL")
TONES = {"insert": "active", "update": "waiting", "delete": "failed", "truncate": "failed"}


class TableFilter(admin.SimpleListFilter):
    title, parameter_name = "what", "table_name"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        named = ((table, str(model._meta.verbose_name_plural)) for table, (model, _) in models_by_table().items())
        return sorted(named, key=lambda pair: pair[1].lower())

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        return queryset.filter(table_name=self.value()) if self.value() else queryset


class PersonFilter(admin.SimpleListFilter):
    title, parameter_name = "who", "actor_id"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        people = get_user_model().objects.order_by("username").values_list("pk", "username")[:MOST_PEOPLE]
        return [("house", "nobody in particular"), *((str(number), name) for number, name in people)]

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        if self.value() == "house":
            return queryset.filter(actor_id__isnull=True)
        return queryset.filter(actor_id=self.value()) if (self.value() or "").isdecimal() else queryset


class DoorFilter(admin.SimpleListFilter):
    title, parameter_name = "how", "source"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(door, door) for door in DOORS]

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        return queryset.filter(source=self.value()) if self.value() else queryset


@admin.register(AuditEntry)
class AuditEntryAdmin(kit.ReadOnlyAdmin):
    """For those who see every feed: what entries tell is not parted by feed."""

    list_display = (
        kit.moment("at", "when"),
        "who_text",
        "operation_mark",
        "what",
        "fields_text",
        "why_text",
    )
    list_filter = (
        TableFilter,
        PersonFilter,
        DoorFilter,
        "operation",
        ("object_id", filters.NamedNumberFilter),
        ("at", filters.DayRangeFilter),
    )
    search_fields = ("=object_id",)
    search_help_text = "The whole number or key of a row"
    empty_text = "Nothing was changed yet. Every change of configuration, exception, plan and statement comes here."
    fieldsets: ClassVar[Any] = (
        (None, {"fields": (("operation_mark", "what"), "changes")}),
        ("Who, how and why", {"fields": ((kit.moment("at", "when"), "actor_name"), ("source", "request_id"), "why")}),
    )

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        person = kit.person(request)
        return person.has_perm(MAY_READ) and feeds_seen(person) is None

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    @admin.display(description="who, how", ordering="actor_name")
    def who_text(self, entry: AuditEntry) -> Any:
        said = f"{entry.actor_name}, {HOW.get(entry.source, entry.source)}"
        return marks.clipped(said)

    @admin.display(description="happened", ordering="operation")
    def operation_mark(self, entry: AuditEntry) -> Any:
        return marks.badge(TONES[entry.operation], entry.get_operation_display())

    @admin.display(description="what")
    def what(self, entry: AuditEntry) -> Any:
        """The row by its number, leading to all that became of it."""
        model, _ = models_by_table().get(entry.table_name, (None, None))
        if model is None:
            return f"{entry.table_name} {entry.object_id}"
        text = marks.clipped(f"{model._meta.verbose_name} {entry.object_id}")
        address = _history_of(entry)
        return marks.link(text, address) if address else text

    @admin.display(description="fields")
    def fields_text(self, entry: AuditEntry) -> Any:
        if entry.operation != AuditEntry.Operation.UPDATE:
            return marks.NOTHING
        names = sorted(entry.after or {})
        more = f" and {len(names) - MOST_FIELDS} more" if len(names) > MOST_FIELDS else ""
        return marks.clipped(", ".join(name.replace("_", " ") for name in names[:MOST_FIELDS]) + more)

    @admin.display(description="why")
    def why_text(self, entry: AuditEntry) -> Any:
        return marks.clipped(entry.why) if entry.why else marks.NOTHING

    @admin.display(description="fields")
    def changes(self, entry: AuditEntry) -> Any:
        return render_to_string("admin/config/changes.html", {"changes": list(changes_of(entry, {}))})


def _history_of(entry: AuditEntry) -> str:
    """Where the reader is told the story of the row: its own page, or that of what it is a part of; empty: nowhere."""
    for table, key in ((entry.table_name, entry.object_id), (entry.owner_table, entry.owner_id)):
        model, said = models_by_table().get(table, (None, None))
        if model is not None and said is not None and not said.key and key:
            label = f"{model._meta.app_label}_{model._meta.model_name}"
            if not reach.may_see(label):
                continue
            try:
                return reverse(f"admin:{label}_history", args=[key])
            except NoReverseMatch:
                continue
    return ""


def history_page(model_admin: kit.ModelAdmin, request: HttpRequest, object_id: str) -> HttpResponse:
    """All that became of one object, newest first: shown of what is gone too, to those who see every feed."""
    person = kit.person(request)
    if not person.has_perm(MAY_READ):
        raise PermissionDenied
    target = model_admin.get_object(request, unquote(object_id))
    if target is not None and not model_admin.has_view_permission(request, target):
        raise PermissionDenied
    if target is None and (feeds_seen(person) is not None or not model_admin.has_view_permission(request)):
        raise Http404
    opts = model_admin.opts
    table = (opts.concrete_model or model_admin.model)._meta.db_table
    key = key_of(target) if target is not None else unquote(object_id)
    asked = request.GET.get("before", "")
    found = entries_of(table, key, int(asked) if asked.isascii() and asked.isdecimal() else None)
    if target is None and not found:
        raise Http404
    shown = found[:PAGE]
    context = {
        **model_admin.admin_site.each_context(request),
        "opts": opts,
        "original": target,
        "title": f"History of {target}" if target is not None else f"History of {opts.verbose_name} {key}",
        "subtitle": None,
        "object_name": capfirst(str(opts.verbose_name)),
        "deeds": deeds(shown, table),
        "is_audited": table in models_by_table(),
        "older": shown[-1].pk if len(found) > PAGE else None,
        "is_first": not asked,
    }
    return TemplateResponse(request, "admin/config/history.html", context)


def is_kept(model: type[Model]) -> bool:
    return (model._meta.concrete_model or model)._meta.db_table in models_by_table()


HISTORY = kit.History(permission=MAY_READ, is_kept=is_kept, page=history_page)
