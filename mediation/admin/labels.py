"""Names for the inputs that no label of a page points to, for those who do not see the page."""

from typing import Any

from django import forms
from django.contrib.admin.widgets import RelatedFieldWidgetWrapper
from django.forms.models import BaseInlineFormSet

PARTS = ("day", "time")


def name_parts(field: Any) -> Any:
    """Name the inputs of a moment, which its one label cannot; returns the field."""
    widget = getattr(field, "widget", None)
    if isinstance(widget, forms.SplitDateTimeWidget):
        for part, each in zip(PARTS, widget.widgets, strict=True):
            each.attrs["aria-label"] = f"{field.label}, {part}"
    return field


def name_cell(field: Any) -> Any:
    """Name the input of a table's row after its column, which is its only label; returns the field."""
    name_parts(field)
    widget = getattr(field, "widget", None)
    if isinstance(widget, RelatedFieldWidgetWrapper):
        widget = widget.widget
    if isinstance(widget, forms.Widget) and not isinstance(widget, forms.MultiWidget):
        widget.attrs.setdefault("aria-label", str(field.label))
    return field


class NamedFormSet(BaseInlineFormSet):
    """Rows of which also the box that deletes them has a name."""

    def add_fields(self, form: Any, index: int | None) -> None:
        super().add_fields(form, index)
        if "DELETE" in form.fields:
            row = "the new row" if index is None else f"row {index + 1}"
            form.fields["DELETE"].widget.attrs["aria-label"] = f"Delete {row}"
