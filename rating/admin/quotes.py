"""The page that tries a plan version: a few rows of usage in, what they would cost out, and nothing is stored."""

from typing import Any

from django import forms
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse

from mediation.admin import kit
from mediation.admin.previews import page
from mediation.core.spec import Fault, FaultySpecError
from mediation.models import UsageClass
from rating.core.quoting import answer, quote, read_setting, read_together, read_usage
from rating.models import PlanVersion

MOST_RECORDS = 1_000
MOST_CHARS = 500_000
MAY_BE_EMPTY = ("tier", "free_quantity", "draws", "credit")
EMPTY: tuple[Any, ...] = (None, "", "0", [])
EXAMPLE_DAY = "2026-01-05"


class QuoteForm(forms.Form):
    rows = forms.CharField(
        max_length=MOST_CHARS,
        strip=False,
        label="Usage",
        widget=forms.Textarea(attrs={"rows": 10, "class": "code", "spellcheck": "false"}),
        help_text="CSV with a header, or JSON. Columns: date, usage_class, value, amount, account, service, identifier "
        f"and the fields of UDRs; others are extensions. At most {MOST_RECORDS:,} records.",
    )


def quote_page(model_admin: kit.ModelAdmin, request: HttpRequest, version: PlanVersion) -> HttpResponse:
    """Price pasted usage by a version, draft or active."""
    if not model_admin.has_view_permission(request, version):
        raise PermissionDenied
    form = QuoteForm(request.POST or None, initial={"rows": _example(version)})
    context: dict[str, Any] = {"form": form, "version": version, "original": version}
    if request.method == "POST" and form.is_valid():
        try:
            context["quote"] = _quoted(version.document, form.cleaned_data["rows"])
            context["shown"] = _shown(context["quote"]["charges"])
        except FaultySpecError as faulty:
            context["faults"] = faulty.faults
    return page(model_admin, request, "admin/rating/quote.html", f"Try {version}", context)


def _quoted(document: Any, rows: str) -> dict[str, Any]:
    """An answer as `quote --json` prints it. Raises FaultySpecError."""
    plan = {"plan": document, "classes": list(_classes(document))}
    setting, records = read_together(lambda: read_setting(plan), lambda: read_usage(rows))
    if len(records) > MOST_RECORDS:
        raise FaultySpecError([Fault("/usage", f"has {len(records):,} records; paste at most {MOST_RECORDS:,}")])
    try:
        return answer(quote(setting, records))
    except OverflowError as overflow:
        raise FaultySpecError([Fault("/usage", f"comes to more than can be reckoned: {overflow}")]) from overflow


def _shown(charges: list[dict[str, Any]]) -> set[str]:
    """The columns that say something, of those that are left out where they do not, so that amounts are in sight."""
    told = {name for name in MAY_BE_EMPTY if any(each[name] not in EMPTY for each in charges)}
    owners = {(each["account"], each["service"]) for each in charges}
    return told | {"owner"} if len(owners) > 1 else told


def _names(document: Any) -> list[str]:
    """The usage classes that a document's rates name, in its order; of a faulty document those that can be found."""
    groups = document.get("groups") if isinstance(document, dict) else None
    found = [
        rate.get("usage_class")
        for group in (groups if isinstance(groups, list) else [])
        if isinstance(group, dict) and isinstance(group.get("rates"), list)
        for rate in group["rates"]
        if isinstance(rate, dict)
    ]
    return list(dict.fromkeys(map(str, found)))


def _classes(document: Any) -> list[dict[str, str]]:
    """The classes of this installation that the plan prices: which identifier pays is theirs to say."""
    known = UsageClass.objects.filter(name__in=_names(document)).order_by("name")
    return [{"name": one.name, "paid_by": one.paid_by} for one in known]


def _example(version: PlanVersion) -> str:
    names = _names(version.document)[:3] or ["calls"]
    rows = [f"{EXAMPLE_DAY}T{8 + place:02}:00:00Z,{_cell(name)},100" for place, name in enumerate(names)]
    return "\n".join(["date,usage_class,value", *rows])


def _cell(text: str) -> str:
    return '"{}"'.format(text.replace('"', '""')) if set(text) & set(',"\n\r;\t') else text
