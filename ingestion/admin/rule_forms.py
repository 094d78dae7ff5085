"""The forms of a correction's rule, one for each kind, as a person fills them in; each gives the rule as a document."""

from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

from django import forms

# No source field is called so: names hold no NUL, and no space stands at their ends.
WHOLE_RECORD = " raw "
WIDE = {"size": 60, "spellcheck": "false"}
CODE = {"size": 60, "spellcheck": "false", "class": "code-input"}


class RuleForm(forms.Form):
    """A field of the source, and what becomes of it. sources: the fields that the records of the group have."""

    kind = ""
    # Where a fault of the document belongs that points deeper, or at what the form calls otherwise.
    places: ClassVar[dict[str, str]] = {}

    field = forms.ChoiceField(label="Source field", help_text="As the source names it, before the profile maps it.")

    def __init__(self, *args: Any, sources: Sequence[str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        chosen = self.fields["field"]
        assert isinstance(chosen, forms.ChoiceField)  # noqa: S101 - so it is declared above
        chosen.choices = self.offered(sources)

    def offered(self, sources: Sequence[str]) -> list[tuple[str, str]]:
        return [(name, name) for name in sources]

    def document(self) -> dict[str, Any]:
        """The rule that was filled in; after is_valid."""
        raise NotImplementedError

    def blame(self, faults: Iterable[Any]) -> None:
        """Put each fault of the document at the field where it is mended."""
        for fault in faults:
            member = fault.pointer.strip("/").partition("/")[0]
            place = self.places.get(member, member)
            self.add_error(place if place in self.fields else None, fault.message)


class SetForm(RuleForm):
    kind = "set"

    text = forms.CharField(
        required=False,
        strip=False,
        label="Text",
        widget=forms.TextInput(attrs=WIDE),
        help_text="Every record of the group gets this text in the field. Empty: the field is emptied.",
    )

    def document(self) -> dict[str, Any]:
        return {"kind": self.kind, "field": self.cleaned_data["field"], "text": self.cleaned_data["text"] or None}


class MapForm(RuleForm):
    kind = "map"
    rows = 3
    places: ClassVar[dict[str, str]] = {"values": "from_0"}

    def __init__(self, *args: Any, sources: Sequence[str], **kwargs: Any) -> None:
        super().__init__(*args, sources=sources, **kwargs)
        for place in range(self.row_count()):
            text = forms.CharField(required=False, strip=False, widget=forms.TextInput(attrs={"spellcheck": "false"}))
            self.fields[f"from_{place}"] = text
            self.fields[f"to_{place}"] = forms.CharField(
                required=False, strip=False, widget=forms.TextInput(attrs={"spellcheck": "false"})
            )
            self.fields[f"from_{place}"].label = f"Text {place + 1}"
            self.fields[f"to_{place}"].label = f"becomes {place + 1}"

    def row_count(self) -> int:
        """Three rows, more where more were sent or asked for."""
        sent = [int(name[5:]) for name in self.data if name.startswith("from_") and name[5:].isdecimal()]
        more = 3 if "_more" in self.data else 0
        return min(max([self.rows - 1, *sent]) + 1 + more, 100)

    def pairs(self) -> list[tuple[Any, Any]]:
        """The rows of the form, for the template."""
        return [(self[f"from_{place}"], self[f"to_{place}"]) for place in range(self.row_count())]

    def document(self) -> dict[str, Any]:
        answers = self.cleaned_data
        rows = [(answers[f"from_{place}"], answers[f"to_{place}"]) for place in range(self.row_count())]
        filled = {before: after or None for before, after in rows if before or after}
        return {"kind": self.kind, "field": answers["field"], "values": filled}


class SubstituteForm(RuleForm):
    kind = "substitute"

    pattern = forms.CharField(
        strip=False,
        widget=forms.TextInput(attrs=CODE),
        help_text="A regular expression, without look-around and back-references. Every match is replaced.",
    )
    replacement = forms.CharField(
        required=False,
        strip=False,
        widget=forms.TextInput(attrs=CODE),
        help_text="\\1 stands for what the first group (…) of the pattern matched, \\& for all of it.",
    )

    def offered(self, sources: Sequence[str]) -> list[tuple[str, str]]:
        return [*super().offered(sources), (WHOLE_RECORD, "the whole record as text")]

    def document(self) -> dict[str, Any]:
        answers = self.cleaned_data
        where = {"raw": True} if answers["field"] == WHOLE_RECORD else {"field": answers["field"]}
        return {"kind": self.kind, **where, "pattern": answers["pattern"], "replacement": answers["replacement"]}


class ExpressionForm(RuleForm):
    kind = "expression"
    expression = forms.CharField(
        widget=forms.Textarea(attrs={"rows": 3, "cols": 80, "class": "code", "spellcheck": "false"}),
        help_text="The language of Data Profiles over the source fields, such as REPLACE(duration, ',', '.').",
    )

    def document(self) -> dict[str, Any]:
        answers = self.cleaned_data
        return {"kind": self.kind, "field": answers["field"], "expression": answers["expression"]}


FORMS: dict[str, type[RuleForm]] = {form.kind: form for form in (SetForm, MapForm, SubstituteForm, ExpressionForm)}
KINDS = {
    "set": "Set a field",
    "map": "Map values",
    "substitute": "Substitute",
    "expression": "Compute",
}
