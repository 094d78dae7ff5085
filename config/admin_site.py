"""The admin site: Sluice's name on it, the screens in the order in which a record walks, the day at the front."""

from functools import update_wrapper
from typing import Any

from django.contrib import admin
from django.core.exceptions import BadRequest
from django.db import DataError
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils import timezone

# Groups of the list of screens, and their models in the order of the walk. What is not named follows, in Operations.
GROUPS = {
    "Ingestion": (
        "ingestion.Feed",
        "ingestion.UsageImport",
        "ingestion.ImportException",
        "ingestion.GroupCorrection",
        "ingestion.LeftOutRecord",
        "ingestion.WaitingPart",
        "ingestion.UsageVoid",
        "ingestion.Backfill",
        "ingestion.IdempotencyKey",
    ),
    "Mediation": (
        "mediation.DataProfile",
        "mediation.ProfileVersion",
        "mediation.GoldenSample",
        "mediation.GoldenSampleChange",
        "mediation.UsageClass",
        "mediation.UsageClassType",
        "mediation.IdentifierType",
        "mediation.LookupTable",
        "mediation.LookupRow",
        "mediation.UsageUnit",
        "mediation.Udr",
        "mediation.UdrBatch",
        "mediation.UdrKey",
        "mediation.VoidedUdr",
    ),
    "Rating": (
        "rating.RatePlan",
        "rating.PlanVersion",
        "rating.Package",
        "rating.Account",
        "rating.Service",
        "rating.ServiceIdentifier",
        "rating.Charge",
        "rating.RatingException",
        "rating.ExceptionRerate",
        "rating.Repricing",
        "rating.BillingPeriod",
        "rating.Statement",
        "rating.StatementLine",
        "rating.StatementTax",
        "rating.Counter",
        "rating.BucketGrant",
        "rating.BucketDraw",
        "rating.Jurisdiction",
        "rating.TaxCode",
        "rating.ClassTaxCategory",
    ),
    "Operations": (
        "config.Notice",
        "config.Approval",
        "config.WebhookEndpoint",
        "config.WebhookDelivery",
        "config.AuditEntry",
        "auth.User",
        "auth.Group",
        "knox.AuthToken",
        "mediation.Bell",
    ),
}

# Pages listed below a model: what they are called, the name of their address, and the permission that they need beside
# that of seeing the model.
ALSO = {
    "ingestion.ImportException": ("Import exceptions by group", "ingestion_importexception_groups", ""),
    "rating.RatingException": ("Rating exceptions by group", "rating_ratingexception_groups", ""),
    "rating.Charge": ("Monthly reconciliation", "reconciliation", "config.view_reconciliation"),
}


class SluiceAdminSite(admin.AdminSite):
    site_header = "Sluice"
    site_title = "Sluice"
    index_title = "Today"
    site_url = None
    index_template = "admin/dashboard/front.html"

    def get_app_list(self, request: HttpRequest, app_label: str | None = None) -> list[Any]:
        """The screens in our groups; the page of one Django app lists what belongs to that app."""
        apps = self._build_app_dict(request, app_label)
        if app_label is not None:
            return [app for label, app in apps.items() if label == app_label]
        models = {model["model"]._meta.label: model for app in apps.values() for model in app["models"]}
        groups = []
        for name, labels in GROUPS.items():
            known = [(label, models.pop(label)) for label in labels if label in models]
            listed = [one for label, model in known for one in _with_pages(label, model, request)]
            if name == "Operations":
                listed += sorted(models.values(), key=lambda model: str(model["name"]))
            if listed:
                groups.append(self._group(name, listed, apps))
        return groups

    def _group(self, name: str, models: list[Any], apps: dict[str, Any]) -> dict[str, Any]:
        home = apps.get(name.lower())
        return {
            "name": name,
            "app_label": name.lower(),
            "app_url": home["app_url"] if home else "",
            "has_module_perms": True,
            "models": models,
        }

    def get_urls(self) -> list[Any]:
        """The pages that belong to no list, beside those of Django."""
        from config.filters import pages as filter_pages
        from config.fixing import record_pages, usage_pages
        from config.personal import time_zones
        from config.reconciliation import pages as reconciliation
        from config.tracing import pages

        own = [path("time-zone/", self.admin_view(time_zones.time_zone_view), name="time_zone")]
        for more in (pages, record_pages, usage_pages, reconciliation, filter_pages):
            own += more.urls(self)
        return [*own, *super().get_urls()]

    def admin_view(self, view: Any, cacheable: bool = False) -> Any:
        """As ever, but an address with a NUL character, which no text of the database holds, is refused, no crash."""

        def looked_at(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
            try:
                return view(request, *args, **kwargs)
            except (ValueError, DataError):
                if "\0" in request.path_info or "%00" in request.META.get("QUERY_STRING", ""):
                    raise BadRequest("The address holds a NUL character.") from None
                raise

        return super().admin_view(update_wrapper(looked_at, view), cacheable)

    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """As ever, behind the brake on guessing passwords."""
        from config.access import braking  # reads the models, see `index`

        self.login_form = braking.SignInForm
        return braking.sign_in(request, lambda: super(SluiceAdminSite, self).login(request, extra_context))

    def index(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> TemplateResponse:
        from config.dashboard import panels  # reads the models, which are not loaded yet when the site is made

        days = panels.span_asked(request.GET.get("days"))
        shown = panels.panels(request.user, days=days, now=timezone.now())
        return super().index(request, {**shown, **(extra_context or {})})


def _with_pages(label: str, model: dict[str, Any], request: HttpRequest) -> list[dict[str, Any]]:
    """A model as the list of screens takes it, and the page that tells of it otherwise, for who may open that."""
    name, address, permission = ALSO.get(label, ("", "", ""))
    if not name or (permission and not request.user.has_perm(permission)):
        return [model]
    page = {"name": name, "object_name": address, "admin_url": reverse(f"admin:{address}"), "add_url": None}
    return [model, {**page, "view_only": True, "perms": model["perms"], "model": model["model"]}]
