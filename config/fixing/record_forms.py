"""What can be filled in to mend a group of import exceptions at its source, and what is done with the answers."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django import forms
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils.html import format_html
from django.utils.safestring import SafeString

from config.fixing import lookups, value_maps
from config.fixing.offers import Mend
from config.fixing.reading import Sample, UnableToMend, text_before_map, unit_named
from mediation.admin import marks
from mediation.models import IdentifierType, UsageClass, UsageUnit
from mediation.services import require_permission
from mediation.services.acting import acts

MOST_CHOICES = 1_000  # usage classes in a list to choose from; beyond that the name is written
CHANGE_TABLE = "mediation.change_lookuptable"


@dataclass(frozen=True)
class Section:
    """A mend as its page shows it. permissions: all that it takes, beside reprocessing the group."""

    mend: Mend
    title: str
    lead: str
    button: str
    permissions: tuple[str, ...]
    form: Callable[[Sample, Any], forms.Form | None]
    do: Callable[[Sample, forms.Form, User, datetime], SafeString] | None = None


# Entries in maps of the profile


class EntryForm(forms.Form):
    """From which text to which."""

    key = forms.CharField(label="The text that records have", strip=False, max_length=value_maps.MAX_TEXT)
    to = forms.CharField(label="Stands for", max_length=value_maps.MAX_TEXT)


def _entry_form(mend: Mend) -> Callable[[Sample, Any], forms.Form | None]:
    def form(sample: Sample, sent: Any) -> forms.Form | None:
        key = value_maps.key_of(sample, mend)
        if not key:
            return None
        shown = EntryForm(sent, initial={"key": key})
        if names := _names_for(sample.group.field):
            shown.fields["to"] = forms.ChoiceField(label="Stands for", choices=[("", "–"), *((n, n) for n in names)])
        return shown

    return form


def _names_for(field: str) -> list[str]:
    """The names that a field can take, where it names something; none where that is too much to choose from."""
    models = {"UsageClassName": UsageClass, "UdrIdentifierTypeName": IdentifierType}
    model: Any = models.get(field)
    names = list(model.objects.order_by("name").values_list("name", flat=True)[: MOST_CHOICES + 1]) if model else []
    return names if len(names) <= MOST_CHOICES else []


# Rows of lookup tables


class RowForm(forms.Form):
    """One row: its key, what it gives, and when."""

    valid_from = forms.CharField(required=False, help_text="Such as 2026-05-01; empty: always was.")
    valid_to = forms.CharField(
        required=False, help_text="The first moment at which it is no longer valid; empty: open."
    )


def _row_form(sample: Sample, sent: Any) -> forms.Form | None:
    table = lookups.table_asked(sample)
    if table is None:
        return None
    text = lookups.text_asked(sample)
    form = RowForm(sent)
    own = {
        _cell(column): forms.CharField(label=column, max_length=500, initial=text, strip=False)
        for column in lookups.key_columns(table)
    }
    gives = {_cell(column): forms.CharField(label=column, max_length=1_000, required=False) for column in table.columns}
    form.fields = {**own, **gives, **form.fields}
    return form


def _cell(column: str) -> str:
    return f"cell:{column}"


@acts()
def _add_row(sample: Sample, form: forms.Form, by: User, now: datetime) -> SafeString:
    table = lookups.table_asked(sample)
    if table is None:
        raise UnableToMend("The lookup table is not there any more.")
    cells = {name.removeprefix("cell:"): value for name, value in form.cleaned_data.items()}
    lookups.add_row(table=table, cells=cells, by=by, now=now)
    rows = marks.list_link(f"the lookup table {table}", "mediation_lookuprow", table__id__exact=table.pk)
    return format_html("A row was added to {}", rows)


# Names that are not set up


class UsageClassForm(forms.ModelForm):
    class Meta:
        model = UsageClass
        fields = ("name", "usage_class_type", "unit", "paid_by")


class IdentifierTypeForm(forms.ModelForm):
    class Meta:
        model = IdentifierType
        fields = ("name",)


class UsageUnitForm(forms.ModelForm):
    class Meta:
        model = UsageUnit
        fields = ("name", "kind", "multiplier")


def _named_form(form_class: type[forms.ModelForm], name_of: Callable[[Sample], str]) -> Any:
    def form(sample: Sample, sent: Any) -> forms.ModelForm | None:
        name = name_of(sample)
        return form_class(sent, initial={"name": name}) if name else None

    return form


def _name_left(sample: Sample) -> str:
    """The name that is not set up: the text as the value map leaves it."""
    mapping = sample.mapping
    if mapping is None:
        return ""
    text = mapping.literal or text_before_map(sample)
    return (mapping.value_map or {}).get(text, text)


def _save(permission: str, model: str) -> Callable[[Sample, forms.Form, User, datetime], SafeString]:
    def save(sample: Sample, form: Any, by: User, now: datetime) -> SafeString:
        require_permission(by, permission)
        with transaction.atomic():
            made = form.save()
        return format_html("The {} {} was added", made._meta.verbose_name, marks.row_link(made, model, made.pk))

    return acts()(save)


SECTIONS = {
    section.mend: section
    for section in (
        Section(
            mend=Mend.VALUE_MAP,
            title="Add to the value map of the field",
            lead="The profile gets a new version in which this text stands for another one, in every record to come.",
            button="Preview",
            permissions=("mediation.add_profileversion", "mediation.change_profileversion"),
            form=_entry_form(Mend.VALUE_MAP),
        ),
        Section(
            mend=Mend.MAP_ENTRY,
            title="Add to the map among the field's transforms",
            lead="The profile gets a new version whose map has an entry for this text, in every record to come.",
            button="Preview",
            permissions=("mediation.add_profileversion", "mediation.change_profileversion"),
            form=_entry_form(Mend.MAP_ENTRY),
        ),
        Section(
            mend=Mend.LOOKUP_ROW,
            title="Add a row to the lookup table",
            lead="The table gives something for this text from now on, to every profile that asks it.",
            button="Add the row and reprocess the group",
            permissions=(CHANGE_TABLE,),
            form=_row_form,
            do=_add_row,
        ),
        Section(
            mend=Mend.USAGE_CLASS,
            title="Set up the usage class",
            lead="Records may name it from now on; a rate plan needs a rate for it before its usage can be charged.",
            button="Add the class and reprocess the group",
            permissions=("mediation.add_usageclass",),
            form=_named_form(UsageClassForm, _name_left),
            do=_save("mediation.add_usageclass", "mediation_usageclass"),
        ),
        Section(
            mend=Mend.IDENTIFIER_TYPE,
            title="Set up the identifier type",
            lead="Records may name it from now on.",
            button="Add the type and reprocess the group",
            permissions=("mediation.add_identifiertype",),
            form=_named_form(IdentifierTypeForm, _name_left),
            do=_save("mediation.add_identifiertype", "mediation_identifiertype"),
        ),
        Section(
            mend=Mend.USAGE_UNIT,
            title="Set up the usage unit",
            lead="Quantities in this unit are converted to the base unit of its kind from now on.",
            button="Add the unit and reprocess the group",
            permissions=("mediation.add_usageunit",),
            form=_named_form(UsageUnitForm, unit_named),
            do=_save("mediation.add_usageunit", "mediation_usageunit"),
        ),
    )
}


def told_fault(fault: Exception) -> str:
    """A refusal in words, whichever room it comes from."""
    return " ".join(fault.messages) if isinstance(fault, ValidationError) else str(fault)
