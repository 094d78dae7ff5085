"""Filters of lists over HTTP that take what they can use and refuse everything else."""

from datetime import UTC, datetime
from typing import Any

import django_filters
from django import forms
from django_filters.fields import IsoDateTimeField, RangeField
from django_filters.widgets import DateRangeWidget
from drf_spectacular.utils import extend_schema_field

LARGEST = 2**63 - 1


class MomentField(IsoDateTimeField):
    """A moment in UTC: PostgreSQL takes no other zone beyond 15:59, and no moment that has no year there."""

    def to_python(self, value: Any) -> datetime | None:
        moment: datetime | None = super().to_python(value)
        try:
            return moment and moment.astimezone(UTC)
        except (OverflowError, ValueError):
            raise forms.ValidationError(self.error_messages["invalid"], code="invalid") from None


class MomentRangeField(RangeField):
    widget = DateRangeWidget

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__((MomentField(), MomentField()), *args, **kwargs)


class MomentRangeFilter(django_filters.IsoDateTimeFromToRangeFilter):
    """`NAME_after` and `NAME_before`, both included."""

    field_class = MomentRangeField


@extend_schema_field({"type": "integer", "minimum": 1, "maximum": LARGEST})
class IdFilter(django_filters.Filter):
    """The number of a thing."""

    field_class = forms.IntegerField

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, min_value=1, max_value=LARGEST, **kwargs)
