"""What stands above a list of the filters that were kept of it, and the pages where they are kept and taken away."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.loader import render_to_string
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.http import urlencode
from django.utils.safestring import SafeString

from config.filters.keeping import UnableToSaveFilter, delete_filter, filter_in, filters_of, save_filter
from config.filters.lists import list_behind, understands
from config.models import SavedFilter
from mediation.admin import kit


class SaveForm(forms.Form):
    name = forms.CharField(max_length=100, help_text="What it shows, such as: open, of the carrier, older than a week.")
    is_shared = forms.BooleanField(required=False, label="For all who see this list; else for you alone")


def urls(site: admin.AdminSite) -> list[URLPattern]:
    """The addresses of keeping a filter, and of those that are kept."""
    return [
        path("filters/save/", site.admin_view(save_page), name="filter_save"),
        path("filters/", site.admin_view(filters_page), name="filters"),
        path("filters/<int:pk>/delete/", site.admin_view(delete_view), name="filter_delete"),
    ]


def panel(request: HttpRequest, page: str) -> SafeString | str:
    """What stands above a list: the kept filters as links, and the way to keep the one at hand. One query."""
    if "_popup" in request.GET or list_behind(page) is None:
        return ""
    current = filter_in(request.META.get("QUERY_STRING", ""))
    kept = [
        {"name": one.name, "url": f"{_address(page)}?{one.query}", "is_current": one.query == current}
        for one in filters_of(page, kit.person(request))
    ]
    is_known = any(one["is_current"] for one in kept)
    save = f"{reverse('admin:filter_save')}?{urlencode({'page': page, 'query': current})}"
    context = {
        "kept": kept,
        "save_url": save if current and not is_known else "",
        "all_url": f"{reverse('admin:filters')}?{urlencode({'page': page})}" if kept else "",
    }
    return render_to_string("admin/filters/panel.html", context) if kept or current else ""


def _address(page: str) -> str:
    return reverse(f"admin:{page}")


def _list_of(request: HttpRequest) -> tuple[str, kit.ModelAdmin]:
    """The list that the address names, which the person may see."""
    page = request.GET.get("page", "")
    screen = list_behind(page)
    if screen is None:
        raise Http404("There is no such list.")
    if not screen.has_view_permission(request):
        raise PermissionDenied
    return page, screen


def save_page(request: HttpRequest) -> HttpResponse:
    """Give the filter of a list a name and keep it."""
    page, screen = _list_of(request)
    query = filter_in(request.GET.get("query", ""))
    sent = request.POST if request.method == "POST" else None
    form = SaveForm(sent)
    if not understands(page, request, query):
        messages.warning(request, "The list does not understand this filter, so it was not kept.")
        return HttpResponseRedirect(_address(page))
    if sent is not None and form.is_valid():
        try:
            kept = save_filter(page=page, query=query, by=kit.person(request), now=timezone.now(), **form.cleaned_data)
        except UnableToSaveFilter as refusal:
            form.add_error(None, str(refusal))
        else:
            messages.success(request, f"The filter “{kept}” is kept. It stands above the list.")
            return HttpResponseRedirect(f"{_address(page)}?{kept.query}")
    context = {"form": form, "button": "Keep it", "cancel_url": f"{_address(page)}?{query}"}
    return _page(request, screen, "admin/filters/save.html", "Save this filter", context)


def filters_page(request: HttpRequest) -> HttpResponse:
    """The filters that are kept of a list; one's own can be taken away."""
    page, screen = _list_of(request)
    person = kit.person(request)
    rows = [
        {
            "name": one.name,
            "url": f"{_address(page)}?{one.query}",
            "query": one.query,
            "owner": one.created_by,
            "is_shared": one.is_shared,
            "delete_url": reverse("admin:filter_delete", args=[one.pk]) if one.created_by_id == person.pk else "",
        }
        for one in filters_of(page, person).select_related("created_by")
    ]
    context = {"rows": rows, "list_url": _address(page)}
    return _page(request, screen, "admin/filters/filters.html", "Saved filters", context)


def delete_view(request: HttpRequest, pk: int) -> HttpResponse:
    """Take one's own filter away."""
    kept = get_object_or_404(SavedFilter, pk=pk, created_by=kit.person(request))
    back = f"{reverse('admin:filters')}?{urlencode({'page': kept.page})}"
    if request.method == "POST":
        delete_filter(kept=kept, by=kit.person(request))
        messages.success(request, f"The filter “{kept}” is gone.")
    return HttpResponseRedirect(back)


def _page(
    request: HttpRequest, screen: kit.ModelAdmin, template: str, title: str, context: dict[str, Any]
) -> TemplateResponse:
    frame = {**admin.site.each_context(request), "opts": screen.opts, "title": title}
    return TemplateResponse(request, template, {**frame, **context})
