"""Screens of what profiles look things up in: lookup tables, filled from CSV and written out as it, and usage units."""

from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.text import slugify

from mediation import services
from mediation.admin import kit, marks
from mediation.models import LookupRow, LookupTable, UsageUnit
from mediation.services.lookup_tables import profiles_asking, write_lookup_rows

MAX_COLUMNS = 100
MAX_COLUMN_CHARACTERS = 100
FACTS = (kit.count("row_count", "rows"), kit.moment("changed_at"))
RANGES = (LookupTable.Kind.RANGE, LookupTable.Kind.TEXT_RANGE)


class ColumnsField(forms.CharField):
    """A list of names, a line each."""

    widget = forms.Textarea(attrs={"rows": 4})

    def prepare_value(self, value: Any) -> Any:
        return "\n".join(value) if isinstance(value, list) else value

    def has_changed(self, initial: Any, data: Any) -> bool:
        return super().has_changed(self.prepare_value(initial), data)

    def clean(self, value: Any) -> list[str]:
        names = [name.strip() for name in str(super().clean(value)).splitlines()]
        names = [name for name in names if name]
        if len(names) > MAX_COLUMNS or any(len(name) > MAX_COLUMN_CHARACTERS for name in names):
            raise forms.ValidationError(
                f"At most {MAX_COLUMNS} columns, each of at most {MAX_COLUMN_CHARACTERS} characters."
            )
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise forms.ValidationError(f"Named twice: {', '.join(twice)}.")
        return names


class TableForm(forms.ModelForm):
    columns = ColumnsField(help_text="The columns that a lookup can give, a line each, such as zone.")

    class Meta:
        model = LookupTable
        fields = ("name", "description", "kind", "key_column", "columns")

    def clean(self) -> dict[str, Any]:
        answers: dict[str, Any] = super().clean() or {}
        kind, key = answers.get("kind", self.instance.kind), answers.get("key_column", self.instance.key_column)
        reserved = {"valid_from", "valid_to", *(("low", "high") if kind in RANGES else (key,))}
        columns = answers.get("columns", [])
        if kind not in RANGES and key in ("valid_from", "valid_to"):
            self.add_error("key_column", "This name says when a row is valid; choose another.")
        if taken := sorted(reserved & set(columns)):
            self.add_error("columns", f"{', '.join(taken)}: a file has this column already; choose another name.")
        gone = sorted(set(self.instance.columns or []) - set(columns)) if self.instance.row_count else []
        if columns and gone:
            self.add_error("columns", f"The rows have {', '.join(gone)}; columns can be added, not taken away.")
        return answers


class LoadForm(forms.Form):
    file = forms.FileField(label="CSV file", help_text="In UTF-8, with a header and commas.")
    keep_rows = forms.BooleanField(required=False, label="Add to the rows that the table holds")


@admin.register(LookupTable)
class LookupTableAdmin(kit.ModelAdmin):
    form = TableForm
    list_display = ("name", "kind", "columns_text", kit.count("row_count", "rows"), kit.moment("changed_at"))
    list_filter = ("kind",)
    search_fields = ("name", "description")
    ordering = ("name",)
    empty_text = "No lookup table yet. Add one, load its rows from CSV, and look texts up in it from a Data Profile."

    def get_urls(self) -> list[URLPattern]:
        pages = {"load": self.load_view, "rows": self.rows_view}
        own = [
            path(f"<int:pk>/{name}/", self.admin_site.admin_view(view), name=f"mediation_lookuptable_{name}")
            for name, view in pages.items()
        ]
        return [*own, *super().get_urls()]

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        fields = ("name", "description", "kind", "key_column", "columns")
        return (*fields, FACTS) if obj else fields

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """Profiles ask a table by its name, and its rows were checked as rows of its kind."""
        if obj is None:
            return ()
        return ("name", *(("kind",) if obj.row_count else ()), *FACTS)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """A table that an active profile asks stays: its records would become exceptions."""
        is_free = obj is None or not profiles_asking(table=obj)
        return is_free and super().has_delete_permission(request, obj)

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        """What would go, without walking through every row."""
        tables = list(objs)
        rows = sum(table.row_count for table in tables)
        kept = {"lookup tables that profiles ask" for table in tables if not self.has_delete_permission(request, table)}
        return [str(table) for table in tables], {"lookup tables": len(tables), "rows": rows}, kept, []

    @admin.display(description="columns")
    def columns_text(self, table: LookupTable) -> Any:
        return marks.clipped(", ".join(table.columns))

    def object_links(self, request: HttpRequest, target: Any) -> list[tuple[str, str]]:
        links = [
            ("Rows", marks.list_url("mediation_lookuprow", table__id__exact=target.pk)),
            ("Download as CSV", reverse("admin:mediation_lookuptable_rows", args=[target.pk])),
        ]
        if self.has_change_permission(request, target):
            links.insert(0, ("Load from CSV", reverse("admin:mediation_lookuptable_load", args=[target.pk])))
        return links

    def load_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        table = get_object_or_404(LookupTable, pk=pk)
        if not self.has_change_permission(request, table):
            raise PermissionDenied
        form = LoadForm(request.POST or None, request.FILES or None)
        if request.method == "POST" and form.is_valid() and self._load(request, table, form):
            return HttpResponseRedirect(self.object_url(table.pk))
        keys = "low and high" if table.kind in RANGES else table.key_column
        lead = (
            f"The header names {keys}, {', '.join(table.columns)}, and valid_from and valid_to where rows have their "
            f"time. The {table.row_count:,} rows that the table holds make way, unless you add to them. A file with a "
            "fault changes nothing."
        )
        return kit.form_page(self, request, form, title="Load from CSV", button="Load", lead=lead, target=table)

    def _load(self, request: HttpRequest, table: LookupTable, form: LoadForm) -> bool:
        """Whether the file was taken; if not, every fault stands at the form's file."""
        try:
            count = services.load_lookup_rows(
                table=table,
                stream=form.cleaned_data["file"],
                by=kit.person(request),
                now=timezone.now(),
                keep_rows=form.cleaned_data["keep_rows"],
            )
        except services.UnableToLoad as refusal:
            faults = [f"{fault}." for fault in refusal.faults]
            hidden = refusal.fault_count - len(faults)
            faults = [f"Nothing was loaded; {kit.counted(refusal.fault_count, 'fault')}.", *faults]
            form.add_error("file", [*faults, f"… and {hidden:,} more."] if hidden else faults)  # type: ignore[arg-type]
            return False
        self.message_user(request, f"{kit.counted(count, 'row')} loaded into {table}.")
        return True

    def rows_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """The rows as a file that can be loaded again."""
        table = get_object_or_404(LookupTable, pk=pk)
        if not self.has_view_permission(request, table):
            raise PermissionDenied
        headers = {"Content-Disposition": f'attachment; filename="{slugify(table.name) or "rows"}.csv"'}
        return HttpResponse(write_lookup_rows(table=table), content_type="text/csv; charset=utf-8", headers=headers)


@admin.register(LookupRow)
class LookupRowAdmin(kit.ReadOnlyAdmin):
    list_display = ("__str__", "table", "values_text", kit.moment("valid_from"), kit.moment("valid_to"))
    list_filter = ("table",)
    list_select_related = ("table",)
    search_fields = ("key__startswith",)
    search_help_text = "The beginning of a key."
    export_also = {"table": "table__name"}
    empty_text = "No lookup row yet. Add a lookup table, open it and load its rows from CSV."
    fields: ClassVar[Any] = (
        "table",
        "key",
        ("low", "high"),
        (kit.moment("valid_from"), kit.moment("valid_to")),
        "values_shown",
    )

    @admin.display(description="gives")
    def values_text(self, row: LookupRow) -> Any:
        return marks.clipped(", ".join(f"{name}: {text}" for name, text in row.values.items() if text is not None))

    @admin.display(description="gives")
    def values_shown(self, row: LookupRow) -> Any:
        return marks.pretty_json(row.values)

    def object_links(self, request: HttpRequest, target: Any) -> list[tuple[str, str]]:
        return [("Lookup table", reverse("admin:mediation_lookuptable_change", args=[target.table_id]))]


@admin.register(UsageUnit)
class UsageUnitAdmin(kit.ModelAdmin):
    list_display = ("name", "kind", "multiplier_text")
    list_filter = ("kind",)
    search_fields = ("name",)
    ordering: ClassVar[Any] = ("kind", "multiplier", "name")
    empty_text = "No usage unit yet. Records that name a unit that is not here become exceptions."

    @admin.display(description="multiplier", ordering="multiplier")
    def multiplier_text(self, unit: UsageUnit) -> str:
        return marks.exact(unit.multiplier)
