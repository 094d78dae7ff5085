"""What every screen of the house stands on: lists that stay quick at any length, CSV export, read-only facts."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, cast

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.options import ShowFacets
from django.contrib.admin.utils import quote
from django.contrib.admin.views.main import ChangeList
from django.contrib.admin.widgets import RelatedFieldWidgetWrapper
from django.contrib.auth.models import User
from django.db import IntegrityError, models, transaction
from django.db.models import Count, Max, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, reverse
from django.utils.safestring import SafeString, mark_safe
from django.utils.text import capfirst

from mediation.admin import export, labels, marks, reach
from mediation.admin.filters import NAMINGS
from mediation.admin.paging import EstimatingPaginator
from mediation.services.seeing import seen

# What tells what became of one object, and the permission to read it; set by the roof, which keeps the audit.
HISTORIES: list["History"] = []


@dataclass(frozen=True)
class History:
    """Who may read what became of objects, of which models that is kept, and the page that tells it."""

    permission: str
    is_kept: Callable[[type[models.Model]], bool]
    page: Callable[["ModelAdmin", HttpRequest, str], HttpResponse]


# Sentences that stand above the page of one object, of what belongs to no room: set by the roof.
NOTES: list[Callable[[HttpRequest, models.Model], list[SafeString]]] = []


# Set by the roof, which keeps them: what stands above a list of the filters that were kept of it. Called with the
# request and the name of the list's address.
SAVED_FILTERS: list[Callable[[HttpRequest, str], str]] = []


def saved_filters(request: HttpRequest, page: str) -> str:
    """The filters that were kept of a page, as safe text."""
    return mark_safe("".join(kept(request, page) for kept in SAVED_FILTERS))  # noqa: S308 - each is safe already


@cache
def named(model: type[models.Model], field: str) -> Callable[[Any], str]:
    """A column that names the object in `field`."""

    [key] = [one for one in model._meta.fields if one.name == field]

    @admin.display(description=str(key.verbose_name))
    def column(row: Any) -> str:
        target = getattr(row, field)
        return marks.NOTHING if target is None else str(target)

    column.__name__ = f"{field}_named"
    return column


def close_links(page: Any, model: type[models.Model], *, is_read_only: bool) -> None:
    """Let read-only fields that name another object lead to it for those alone who may see it.

    page: Django's AdminForm or InlineAdminFormSet. is_read_only: whether all of its fields are.
    """
    keys = {one.name: one.related_model for one in model._meta.fields if isinstance(one, models.ForeignKey)}
    closed = {name for name, to in keys.items() if not reach.may_see(f"{to._meta.app_label}_{to._meta.model_name}")}
    if not is_read_only:
        closed &= {name for name in page.readonly_fields if isinstance(name, str)}

    def closing(name: Any) -> Any:
        if isinstance(name, list | tuple):
            return tuple(map(closing, name))
        return named(model, name) if name in closed else name

    page.fieldsets = [(title, {**each, "fields": closing(each["fields"])}) for title, each in page.fieldsets]
    page.readonly_fields = [*page.readonly_fields, *(named(model, name) for name in sorted(closed))]


class ModelAdmin(admin.ModelAdmin):
    """A list never counted in full, ordered by key, exported as filtered; its actions stand on the detail page too.

    empty_text: what to do next when the list has no rows at all.
    named_numbers: fields that hold numbers of another room's things, see `filters.NAMINGS`.
    feed_path: the lookup from a row to the number of its feed; rows of feeds that a person may not see are left out.
    export_also: columns of the export beside the model's own, as header -> path, such as {"feed": "feed__name"}.
    export_quiet: columns that the page of the export offers and does not choose by itself.
    export_currency: the path to the currency by which the export's totals are parted, where the model has none itself.
    """

    show_full_result_count = False
    show_facets = ShowFacets.NEVER  # a count for each choice of a filter is a scan for each
    paginator = EstimatingPaginator
    ordering = ("-pk",)
    list_per_page = 50
    list_max_show_all = 0
    empty_text = "Nothing here yet."
    export_also: Mapping[str, str] = {}
    export_without: tuple[str, ...] = ()
    export_quiet: tuple[str, ...] = ()
    export_currency: str | None = None
    feed_path: str | None = None
    named_numbers: tuple[str, ...] = ()

    def get_urls(self) -> list[URLPattern]:
        return [*export.export_urls(self), *super().get_urls()]

    def export_columns(self) -> dict[str, Any]:
        return export.columns_of(self)

    def export_view(self, request: HttpRequest, ending: str | None = None) -> HttpResponseBase:
        return export.export_file(self, request, ending)

    def export_page_view(self, request: HttpRequest) -> HttpResponse:
        return export.export_page(self, request)

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        context = {
            "title": capfirst(str(self.opts.verbose_name_plural)),
            "empty_text": self.empty_text,
            "list_links": self.list_links(request),
            "saved_filters": saved_filters(request, f"{self.opts.app_label}_{self.opts.model_name}_changelist"),
            **(extra_context or {}),
        }
        return super().changelist_view(request, context)

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        """Offer the list's actions as buttons, and the object's links, above the form."""
        target = kwargs.get("obj")
        if target is not None:
            context["object_actions"] = [
                (name, description)
                for name, (_, _, description) in cast(dict[str, Any], self.get_actions(request)).items()
                if name != "delete_selected" and self.offers(name, target)
            ]
            links = [link for link in self.object_links(request, target) if reach.may_follow(link[1])]
            context["object_links"] = [*links, *self._history_link(request, target)]
            context["object_notes"] = [note for notes in NOTES for note in notes(request, target)]
            context["title"], context["subtitle"] = str(target), capfirst(str(self.opts.verbose_name))
            is_read_only = not self.has_change_permission(request, target)
            close_links(context["adminform"], self.model, is_read_only=is_read_only)
            for inline in context["inline_admin_formsets"]:
                may_edit = inline.has_change_permission or inline.has_add_permission
                close_links(inline, inline.opts.model, is_read_only=not may_edit)
        return super().render_change_form(request, context, *args, **kwargs)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows = super().get_queryset(request)
        return seen(rows, person(request), self.feed_path) if self.feed_path else rows

    def _history_link(self, request: HttpRequest, target: Any) -> list[tuple[str, str]]:
        may = [each for each in HISTORIES if each.is_kept(self.model) and person(request).has_perm(each.permission)]
        if not may:
            return []
        name = f"admin:{self.opts.app_label}_{self.opts.model_name}_history"
        return [("History", reverse(name, args=[quote(target.pk)]))]

    def history_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        if not HISTORIES:
            return super().history_view(request, object_id, extra_context)
        return HISTORIES[0].page(self, request, object_id)

    def log_addition(self, *args: Any) -> Any:
        """Django's own log is not kept: the database's audit tells more, of whatever path a change came by."""

    def log_change(self, *args: Any) -> Any:
        """As `log_addition`."""

    def log_deletions(self, *args: Any) -> Any:
        """As `log_addition`."""

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """Nothing is deleted from the form of another object."""
        field = super().formfield_for_dbfield(db_field, request, **kwargs)
        if isinstance(field, forms.Field) and isinstance(field.widget, RelatedFieldWidgetWrapper):
            field.widget.can_delete_related = False
        return labels.name_parts(field)

    def get_changelist_instance(self, request: HttpRequest) -> ChangeList:
        page = super().get_changelist_instance(request)
        if page.result_count:
            self.dress_rows(list(page.result_list))
        return page

    def dress_rows(self, rows: list[Any]) -> None:
        """Put on the rows of one page what one query for all of them can fetch; columns read it from there."""
        for field in self.named_numbers:
            names = NAMINGS[field].names() if field in NAMINGS else {}
            for row in rows:
                setattr(row, f"{field}_text", names.get(getattr(row, field)))

    def offers(self, action: str, target: Any) -> bool:
        """Whether an action makes sense for this object as it is; the service decides in the end."""
        return True

    def object_links(self, request: HttpRequest, target: Any) -> list[tuple[str, str]]:
        """Where one goes from this object: (text, address)."""
        return []

    def list_links(self, request: HttpRequest) -> list[tuple[str, str]]:
        """Where one goes from the list beside adding a row by hand: (text, address)."""
        return []

    def response_action(self, request: HttpRequest, queryset: QuerySet, *args: Any) -> HttpResponse | None:
        """What was confirmed is done with the rows that were told of; from a detail page one is led back to it."""
        response = super().response_action(request, self._rows_told(request, queryset), *args)
        if "_from_object" in request.POST and isinstance(response, HttpResponseRedirect):
            return HttpResponseRedirect(self.object_url(request.POST["_selected_action"]))
        return response

    def _rows_told(self, request: HttpRequest, rows: QuerySet) -> QuerySet:
        """Of everything in a filter, what the page between told of; it asks again where that is more by now."""
        last, count = request.POST.get("told_last", ""), request.POST.get("told_count", "")
        if not (last.isdecimal() and count.isdecimal() and len(last) < 19 and len(count) < 19):
            return rows
        known = rows.filter(pk__lte=int(last))
        if known.order_by().count() <= int(count):
            return known
        posted: Any = request.POST.copy()
        for name in ("is_confirmed", "reason", "told_last", "told_count"):
            posted.pop(name, None)
        request.POST = posted
        self.message_user(request, "There are more by now. Look at it, and confirm it.", messages.WARNING)
        return rows

    def object_url(self, pk: Any) -> str:
        return reverse(f"admin:{self.opts.app_label}_{self.opts.model_name}_change", args=[pk])


class ReadOnlyAdmin(ModelAdmin):
    """Facts: looked at, exported, acted on by services, never edited by hand; always newest first."""

    sortable_by = ()

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class KeptByDatabase(admin.ModelAdmin):
    """Asks the database, by a deletion that is taken back, whether it keeps a row that no foreign key holds."""

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        found, counts, lacking, protected = super().get_deleted_objects(objs, request)
        if not protected and (refusal := _refusal(objs)):
            protected = [refusal]
        return found, counts, lacking, protected


def _refusal(rows: Iterable[models.Model]) -> str:
    try:
        with transaction.atomic():
            for row in list(rows):
                type(row)._base_manager.filter(pk=row.pk).delete()
            transaction.set_rollback(True)
    except IntegrityError as fault:
        return str(fault).partition("\n")[0]
    return ""


class EditInline(admin.TabularInline):
    extra = 0
    formset = labels.NamedFormSet

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """Without the icons that open another object in a window: in a narrow row they crowd out the fields."""
        field = super().formfield_for_dbfield(db_field, request, **kwargs)
        if isinstance(field, forms.Field) and isinstance(field.widget, RelatedFieldWidgetWrapper):
            field.widget = field.widget.widget
        return labels.name_cell(field)


class ReadOnlyInline(admin.TabularInline):
    extra = 0
    can_delete = False
    show_change_link = True

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return self.fields

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


def permission(verb: str) -> Callable[..., bool]:
    """A has_<verb>_permission method that asks for the model's own permission of that verb."""

    def has_permission(self: admin.ModelAdmin, request: HttpRequest, obj: Any = None) -> bool:
        return person(request).has_perm(f"{self.opts.app_label}.{verb}_{self.opts.model_name}")

    return has_permission


def ask_reason(
    model_admin: ModelAdmin, request: HttpRequest, rows: QuerySet, *, action: str, question: str, button: str
) -> TemplateResponse:
    """The page between an action and its doing: how many rows, and why. It posts back to the action as `reason`."""
    more = {"question": question, "was_asked": "reason" in request.POST}
    return _page_between(model_admin, request, rows, action=action, button=button, more=more)


def ask_first(
    model_admin: ModelAdmin, request: HttpRequest, rows: QuerySet, *, action: str, lines: list[str], button: str
) -> TemplateResponse:
    """The page between an action and its doing: what will happen. It posts back to the action as `is_confirmed`."""
    return _page_between(model_admin, request, rows, action=action, button=button, more={"lines": lines})


def _page_between(
    model_admin: ModelAdmin, request: HttpRequest, rows: QuerySet, *, action: str, button: str, more: dict[str, Any]
) -> TemplateResponse:
    selected, from_object = request.POST.getlist("_selected_action"), "_from_object" in request.POST
    told = rows.order_by().aggregate(count=Count("pk"), last=Max("pk"))
    context = {
        **model_admin.admin_site.each_context(request),
        "opts": model_admin.opts,
        "title": button,
        "button": button,
        "action": action,
        "count": told["count"],
        "last": told["last"],
        "selected": selected,
        "select_across": request.POST.get("select_across", "0"),
        "from_object": from_object,
        "cancel_url": model_admin.object_url(selected[0]) if from_object else request.get_full_path(),
        **more,
    }
    return TemplateResponse(request, "admin/ask_reason.html", context)


def form_page(
    model_admin: ModelAdmin,
    request: HttpRequest,
    form: forms.Form,
    *,
    title: str,
    button: str,
    lead: str,
    target: models.Model | None = None,
) -> TemplateResponse:
    """A page with one form that belongs to a model, or to one object of it."""
    context = {
        **model_admin.admin_site.each_context(request),
        "opts": model_admin.opts,
        "title": title,
        "button": button,
        "lead": lead,
        "form": form,
        "original": target,
    }
    return TemplateResponse(request, "admin/form_page.html", context)


def reconciliation_links(request: HttpRequest) -> list[tuple[str, str]]:
    """From a list to the roof's page that tells by feed and day what became of it all, for who may open it."""
    if not person(request).has_perm("config.view_reconciliation"):
        return []
    return [("Reconcile a month…", reverse("admin:reconciliation"))]


def counted(count: int, noun: str) -> str:
    return f"{count:,} {noun if count == 1 else plural(noun)}"


def plural(noun: str) -> str:
    return f"{noun}es" if noun.endswith("ch") else f"{noun}s"


def person(request: HttpRequest) -> User:
    """Who is signed in: the admin lets nobody else in."""
    return cast(User, request.user)


def tell(model_admin: admin.ModelAdmin, request: HttpRequest, count: int, noun: str, done: str) -> None:
    """Say how many rows an action has reached, as a warning where it has reached none."""
    if count:
        model_admin.message_user(request, f"{counted(count, noun)} {done}.")
    else:
        said = f"None of the chosen {plural(noun)} is in a state for that; nothing was changed."
        model_admin.message_user(request, said, messages.WARNING)


def moment(field: str, description: str = "") -> Callable[[Any], Any]:
    """A column that shows the moment in `field` to the second, sortable."""

    @admin.display(description=description or field.removesuffix("_at").replace("_", " "), ordering=field)
    def column(row: Any) -> Any:
        return marks.moment(getattr(row, field))

    column.__name__ = f"{field}_moment"
    return column


def status_badge(field: str = "status") -> Callable[[Any], Any]:
    @admin.display(description=field, ordering=field)
    def column(row: Any) -> Any:
        return marks.badge(getattr(row, field), getattr(row, f"get_{field}_display")())

    column.__name__ = f"{field}_badge"
    return column


def count(field: str, description: str = "") -> Callable[[Any], Any]:
    """A column that shows a count with its thousands apart."""

    @admin.display(description=description or field.removesuffix("_count").replace("_", " "), ordering=field)
    def column(row: Any) -> Any:
        return marks.number(getattr(row, field))

    column.__name__ = field
    return column


def named_number(field: str, description: str) -> Callable[[Any], Any]:
    """A column that shows a number by the name that its room gave it, as a link."""

    @admin.display(description=description, ordering=field)
    def column(row: Any) -> Any:
        naming, value = NAMINGS.get(field), getattr(row, field)
        if naming is None or value is None:
            return value
        text = getattr(row, f"{field}_text", None) or naming.names().get(value)
        return marks.row_link(text or value, naming.model, value)

    column.__name__ = f"{field}_name"
    return column
