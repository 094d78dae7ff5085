"""Pages that ask for a rerate or a what-if: which usage, and why."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from django import forms
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone
from django.utils.http import urlencode

from mediation.admin import kit
from mediation.admin.filters import start_of
from mediation.models import UsageClass
from rating import services
from rating.models import Account, BillingPeriod, PlanVersion, RatePlan, Repricing
from rating.services.rerating import FILTERS, left_out

MOMENT = "%Y-%m-%dT%H:%M:%S"
# What the list of charges is filtered by -> what a rerate is; a filter that is not here is none of a rerate's.
SAME = {
    "plan__id__exact": "plan",
    "usage_class__id__exact": "usage_class",
    "import_id": "import",
    "account": "account",
    "period__account": "account",
    "date__from": "from",
    "date__to": "until",
    "period": "period",
}
UNSAID = {"o", "p", "e", "all"}  # of a list's address: its order, its page
ALWAYS = {("kind__exact", "charge")}  # only charges that stand are rated again


class MomentField(forms.DateTimeField):
    widget = forms.DateTimeInput(attrs={"type": "datetime-local", "step": "1"}, format=MOMENT)


class AccountField(forms.CharField):
    """An account by its number."""

    def clean(self, value: Any) -> Account | None:
        number = super().clean(value)
        if not number:
            return None
        account = None if "\0" in number else Account.objects.filter(number=number).first()
        if account is None:
            raise forms.ValidationError(f"There is no account {number}.")
        return account


class AskingForm(forms.Form):
    """Which usage: names of the fields are those of the filters."""

    account = AccountField(
        required=False, label="Account", help_text="Its number; empty for every account.", max_length=200
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        zone = timezone.get_current_timezone_name()
        self.fields["from"] = MomentField(required=False, label="Usage from", help_text=f"Its own date, in {zone}.")
        self.fields["until"] = MomentField(
            required=False, label="Until", help_text="Usage of that moment not included."
        )

    def clean(self) -> dict[str, Any]:
        answers = super().clean() or {}
        if answers.get("from") and answers.get("until") and answers["from"] >= answers["until"]:
            self.add_error("until", "Not later than where it starts.")
        return answers

    def filters(self) -> dict[str, Any]:
        """The answers as the services take them."""
        answers = {name: self.cleaned_data.get(name) for name in FILTERS}
        return {name: _plain(answer) for name, answer in answers.items() if answer is not None}


def _plain(answer: Any) -> Any:
    return answer.isoformat() if isinstance(answer, datetime) else getattr(answer, "pk", answer)


class RerateForm(AskingForm):
    plan = forms.ModelChoiceField(RatePlan.objects.order_by("name"), required=False, empty_label="every plan")
    usage_class = forms.ModelChoiceField(
        UsageClass.objects.order_by("name"), required=False, empty_label="every usage class"
    )
    reason = forms.CharField(
        max_length=2_000,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text="What was wrong, or what has changed. It stays with the rerate.",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["import"] = forms.IntegerField(
            required=False, min_value=1, max_value=2**63 - 1, label="Import", help_text="Its number."
        )
        self.order_fields(["account", "plan", "usage_class", "import", "from", "until", "reason"])


class WhatIfForm(AskingForm):
    version = forms.ModelChoiceField(
        PlanVersion.objects.select_related("plan").defer("document").order_by("plan__name", "-number"),
        help_text="It is tried in the place of every version of its plan.",
    )

    field_order = ("version", "account", "from", "until")


def rerate_page(model_admin: kit.ModelAdmin, request: HttpRequest) -> HttpResponse:
    """Ask which usage is to be rated again, and begin to work out what that would change."""
    if not kit.person(request).has_perm("rating.rerate_charge"):
        raise PermissionDenied
    form = RerateForm(request.POST or None, initial=_initial(request.GET))
    if request.method == "POST" and form.is_valid():
        try:
            asked = services.propose_rerate(
                filters=form.filters(),
                reason=form.cleaned_data["reason"],
                by=kit.person(request),
                now=timezone.now(),
            )
        except services.UnableToRerate as refusal:
            form.add_error(None, str(refusal))
        else:
            return _shown(asked)
    lead = (
        "Charged usage is rated again by the payers, plans and prices of today. First you see what that would change,"
        " by account; nothing changes before you apply it. What was billed already is corrected by adjustments."
    )
    plan = _chosen(form, "plan")
    said = left_out(plan_id=plan and plan.pk, version_id=None)
    lead = " ".join([lead, *said])
    return kit.form_page(model_admin, request, form, title="Rerate", button="Work it out", lead=lead)


def what_if_page(model_admin: kit.ModelAdmin, request: HttpRequest) -> HttpResponse:
    """Ask what past usage would have cost by a version of its plan, and begin to work it out."""
    if not kit.person(request).has_perm("rating.what_if"):
        raise PermissionDenied
    form = WhatIfForm(request.POST or None, initial={**_last_month(), **request.GET.dict()})
    if request.method == "POST" and form.is_valid():
        try:
            asked = services.ask_what_if(
                version=form.cleaned_data["version"],
                filters=form.filters(),
                by=kit.person(request),
                now=timezone.now(),
            )
        except services.UnableToAskWhatIf as refusal:
            form.add_error(None, str(refusal))
        else:
            return _shown(asked)
    lead = (
        "What would usage that was charged have cost by this version? You see the difference by account and in total."
        " No charge is made or changed."
    )
    version = _chosen(form, "version")
    said = left_out(plan_id=version and version.plan_id, version_id=version and version.pk)
    lead = " ".join([lead, *said])
    return kit.form_page(model_admin, request, form, title="What if", button="Work it out", lead=lead)


def _chosen(form: forms.Form, name: str) -> Any:
    """What the form comes with in a field, by a link or from the last try; None where that is nothing that there is."""
    try:
        return form.fields[name].clean(form[name].value())
    except forms.ValidationError:
        return None


def _shown(asked: Repricing) -> HttpResponse:
    return HttpResponseRedirect(reverse("admin:rating_repricing_change", args=[asked.pk]))


def _last_month() -> dict[str, Any]:
    """A month that is over is what one compares."""
    this = timezone.localtime().replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    last = (this - timedelta(days=1)).replace(day=1)
    return {"from": last, "until": this}


def _initial(said: Mapping[str, Any]) -> dict[str, Any]:
    """What a link to the page asks for."""
    return {name: said[name] for name in FILTERS if said.get(name)}


# From the list of charges


def rerate_address(request: HttpRequest) -> str | None:
    """The address that asks for a rerate of the charges in the filter on screen; none where a rerate cannot say it."""
    asked: dict[str, str] = {}
    for name, value in request.GET.dict().items():
        if name in UNSAID or not value or (name, value) in ALWAYS:
            continue
        if name not in SAME or SAME[name] in asked or not _say(asked, SAME[name], value):
            return None
    return f"{reverse('admin:rating_repricing_rerate')}?{urlencode(asked)}"


def _say(asked: dict[str, str], name: str, value: str) -> bool:
    """Add one filter of the list; False where there is no such thing."""
    if name in ("from", "until"):
        asked[name] = start_of(value, days_later=int(name == "until")).strftime(MOMENT)
        return True
    if not value.isdecimal():
        return False
    if name == "account":
        asked[name] = Account.objects.filter(pk=value).values_list("number", flat=True).first() or ""
        return bool(asked[name])
    if name == "period":
        return _say_period(asked, int(value))
    asked[name] = value
    return True


def _say_period(asked: dict[str, str], number: int) -> bool:
    period = BillingPeriod.objects.select_related("account").filter(pk=number).first()
    if period is None or asked:
        return False
    ends = {"from": period.starts_at, "until": period.ends_at}
    asked["account"] = period.account.number
    asked |= {name: timezone.localtime(moment).strftime(MOMENT) for name, moment in ends.items()}
    return True
