"""Bodies that hold what is read here, and nothing else: a member that is misspelled would change nothing, unseen."""

from typing import Any

from rest_framework import serializers
from rest_framework.exceptions import ErrorDetail

TOLD_AS_TEXT = (serializers.CharField, serializers.SlugRelatedField, serializers.DecimalField)


class Strict(serializers.Serializer[Any]):
    """Refuses members that it does not read, and numbers for texts, beside every other fault."""

    def to_internal_value(self, data: Any) -> Any:
        faults = {**self._strangers(data), **self._no_texts(data)} if isinstance(data, dict) else {}
        try:
            value = super().to_internal_value(data)
        except serializers.ValidationError as error:
            raise serializers.ValidationError({**error.detail, **faults}) from None  # type: ignore[dict-item]
        if faults:
            raise serializers.ValidationError(faults)
        return value

    def _strangers(self, data: dict[str, Any]) -> dict[str, list[ErrorDetail]]:
        said = f"There is no such field. Known are {', '.join(sorted(self.fields))}."
        names = sorted(map(str, set(data) - set(self.fields)))[:100]
        return {name: [ErrorDetail(said, "unknown_member")] for name in names}

    def _no_texts(self, data: dict[str, Any]) -> dict[str, list[ErrorDetail]]:
        """The framework would make a text of a number, and a number with a point was a float before."""
        said = ErrorDetail("Send text, in quotation marks.", "not_text")
        return {
            name: [said]
            for name, field in self.fields.items()
            if isinstance(field, TOLD_AS_TEXT) and not isinstance(data.get(name), str | None)
        } | {
            name: [said]
            for name, field in self.fields.items()
            if isinstance(field, serializers.DictField) and _holds_no_text(data.get(name))
        }


def _holds_no_text(value: Any) -> bool:
    return isinstance(value, dict) and not all(isinstance(one, str | None) for one in value.values())
