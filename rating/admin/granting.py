"""The page that gives an account or a service a grant of a bucket that gives nothing by itself."""

from typing import Any

from django import forms
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone

from mediation.admin import kit
from rating import services
from rating.admin.asking import AccountField, MomentField
from rating.models import Bucket
from rating.services.granting import LARGEST, grantable_buckets, service_named


class BucketField(forms.ModelChoiceField):
    def label_from_instance(self, obj: Any) -> str:
        return f"{obj.plan}: {obj.name}"


class GrantForm(forms.Form):
    bucket = BucketField(Bucket.objects.none(), help_text="Those that recur “granted” in an active plan version.")
    account = AccountField(label="Account", help_text="Its number.", max_length=200)
    service = forms.CharField(
        required=False, max_length=200, help_text="Its name, where each service has grants of its own; else empty."
    )
    size = forms.DecimalField(
        max_value=LARGEST, max_digits=26, decimal_places=11, help_text="Units, or money of the plan's currency."
    )
    reason = forms.CharField(
        required=False, max_length=2_000, widget=forms.Textarea(attrs={"rows": 3}), help_text="Why it is given."
    )

    field_order = ("bucket", "account", "service", "size", "starts_at", "ends_at", "reason")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        zone = timezone.get_current_timezone_name()
        self.fields["bucket"].queryset = grantable_buckets()  # type: ignore[attr-defined]
        self.fields["starts_at"] = MomentField(
            label="Serves usage from", help_text=f"In {zone}. What was charged since then is put in order again."
        )
        self.fields["ends_at"] = MomentField(
            required=False, label="Until", help_text="Usage of that moment not included; empty: no end."
        )
        self.order_fields(self.field_order)


def grant_page(model_admin: kit.ModelAdmin, request: HttpRequest) -> HttpResponse:
    """Ask what is given to whom, and give it."""
    by = kit.person(request)
    if not by.has_perm("rating.add_bucketgrant"):
        raise PermissionDenied
    now = timezone.now()
    form = GrantForm(request.POST or None, initial={"starts_at": now, **request.GET.dict()})
    if request.method == "POST" and form.is_valid():
        said = dict(form.cleaned_data)
        try:
            service = service_named(said["account"], said.pop("service"))
            given = services.grant_bucket(**said, service=service, by=by, now=now)
        except services.UnableToGrant as refusal:
            form.add_error(None, str(refusal))
        else:
            model_admin.message_user(request, f"{given.bucket} of {given.account} is given.")
            return HttpResponseRedirect(reverse("admin:rating_bucketgrant_changelist"))
    lead = (
        "Prepaid credit, or an allowance given once. It serves usage from its start to its end until it is used up;"
        " what is given later is another grant."
    )
    return kit.form_page(model_admin, request, form, title="Give a grant", button="Give", lead=lead)
