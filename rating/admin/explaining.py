"""The page that explains a charge: chapters from the raw row to the statement line, and a picture of its tiers."""

from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.text import capfirst

from mediation.admin import kit, marks, reach
from mediation.admin.previews import page
from rating.core.costs.prices import plain
from rating.core.explaining import About, Chapter, Fact, Picture
from rating.models import Charge
from rating.services.explaining import Explanation, explain_charge

# Where one goes from what a fact is about: the name of the page, and the permission that it asks for.
PAGES = {
    "account": ("rating_account_change", "rating.view_account"),
    "batch": ("mediation_udrbatch_change", "mediation.view_udrbatch"),
    "charge": ("rating_charge_explain", "rating.view_charge"),
    "correction": ("ingestion_groupcorrection_change", "ingestion.view_groupcorrection"),
    "exception": ("ingestion_importexception_change", "ingestion.view_importexception"),
    "identifier": ("rating_serviceidentifier_change", "rating.view_serviceidentifier"),
    "import": ("ingestion_usageimport_change", "ingestion.view_usageimport"),
    "jurisdiction": ("rating_jurisdiction_change", "rating.view_jurisdiction"),
    "payload": ("ingestion_usageimport_payload", "ingestion.view_usageimport"),
    "period": ("rating_billingperiod_change", "rating.view_billingperiod"),
    "plan": ("rating_rateplan_change", "rating.view_rateplan"),
    "profile_version": ("mediation_profileversion_change", "mediation.view_profileversion"),
    "rating_exception": ("rating_ratingexception_change", "rating.view_ratingexception"),
    "service": ("rating_service_change", "rating.view_service"),
    "statement": ("rating_billingperiod_statement", "rating.view_billingperiod"),
    "statement_line": ("rating_statementline_change", "rating.view_statementline"),
    "tax_code": ("rating_taxcode_change", "rating.view_taxcode"),
    "udr": ("mediation_udr_change", "mediation.view_udr"),
    "version": ("rating_planversion_change", "rating.view_planversion"),
}
WORDS = {
    "correction": "group correction",
    "draws": "draws",
    "payload": "download the original",
    "profile_version": "profile version",
    "rating_exception": "rating exception",
    "statement_line": "line",
    "tax_code": "tax code",
    "udr": "UDR",
}


def explain_page(model_admin: kit.ModelAdmin, request: HttpRequest, charge: Charge) -> HttpResponse:
    """Why a charge or a reversal is what it is."""
    if not model_admin.has_view_permission(request, charge):
        raise PermissionDenied
    explanation = explain_charge(charge=charge, by=kit.person(request))
    context = {
        "original": charge,
        "charge": explanation.charge,
        "charge_url": reverse("admin:rating_charge_change", args=[charge.pk]),
        "all_url": marks.list_url("rating_charge", udr_id=charge.udr_id),
        "kind": marks.badge("imported" if charge.kind == Charge.Kind.CHARGE else "superseded", charge.kind),
        "amount": f"{marks.exact(charge.amount)} {charge.currency}",
        "chapters": [told(request, chapter) for chapter in explanation.chapters],
        "picture": _picture(explanation),
    }
    return page(model_admin, request, "admin/rating/explain.html", f"{capfirst(str(charge))}, explained", context)


def told(request: HttpRequest, chapter: Chapter) -> dict[str, Any]:
    """A chapter as templates take it, with links to what its reader may see."""
    facts = [told_fact(request, fact) for fact in chapter.facts]
    return {
        "name": chapter.name,
        "title": chapter.title,
        "facts": facts,
        "has_numbers": any(fact["quantity"] or fact["amount"] for fact in facts),
        "is_price": chapter.name == "price",
    }


def told_fact(request: HttpRequest, fact: Fact) -> dict[str, Any]:
    """A fact as templates take it, with a link to what it is about where its reader may see that."""
    text, address = _link(request, fact.about) if fact.about else ("", "")
    return {
        "name": fact.name,
        "text": fact.text,
        "quantity": "" if fact.quantity is None else plain(fact.quantity),
        "amount": "" if fact.amount is None else plain(fact.amount),
        "raw": None if fact.raw is None else marks.raw(fact.raw),
        "link": text,
        "url": address,
    }


def _link(request: HttpRequest, about: About) -> tuple[str, str]:
    """A word and an address; nothing where the reader may not see it."""
    may = kit.person(request).has_perm
    word = WORDS.get(about.kind, about.kind)
    if about.kind == "draws":
        model = "rating_bucketdraw"
        return (word, marks.list_url(model, charge_id=about.number)) if reach.may_see(model) else ("", "")
    name, permission = PAGES[about.kind]
    return (word, reverse(f"admin:{name}", args=[about.number])) if may(permission) else ("", "")


def _picture(explanation: Explanation) -> dict[str, Any] | None:
    """The tiers as bars with their bounds, and what the record takes of them, in words too."""
    picture = explanation.picture
    if picture is None:
        return None
    start, end = plain(picture.start), plain(picture.end)
    return {
        "tiers": [
            {"bar": bar, "label": f"{bar.place}", "bounds": _bounds(picture, place)}
            for place, bar in enumerate(picture.tiers)
        ],
        "before": picture.before,
        "record": picture.record,
        "spoken": f"The counter went from {start} to {end}, in {len(picture.tiers)} of {picture.count} tiers shown.",
        "start": start,
        "end": end,
        "is_cut": picture.is_cut,
        "count": picture.count,
    }


def _bounds(picture: Picture, place: int) -> str:
    bar = picture.tiers[place]
    above = plain(bar.above)
    return f"above {above}" if bar.up_to is None else f"{above} to {plain(bar.up_to)}"
