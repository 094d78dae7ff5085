"""Moments in the person's own time zone: chosen on a page, kept with the person, remembered by the session."""

from collections.abc import Callable
from datetime import datetime
from zoneinfo import ZoneInfo, available_timezones

from django import forms
from django.contrib import messages
from django.contrib.admin import site
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.utils import timezone

from config.models import Preference
from mediation.admin.kit import person

KEY = "time_zone"
UTC = "UTC"


class TimeZoneForm(forms.Form):
    time_zone = forms.ChoiceField(
        label="Time zone",
        help_text="Lists, pages and filters by day are in it. Billing days are those of each account's own time zone.",
    )

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]
        names = sorted(available_timezones() - {"localtime", "Factory"})
        field = self.fields["time_zone"]
        assert isinstance(field, forms.ChoiceField)  # noqa: S101 - so it is declared above
        field.choices = [(name, name) for name in names]


def time_zone_view(request: HttpRequest) -> HttpResponse:
    """Choose the time zone in which moments are shown to oneself."""
    form = TimeZoneForm(request.POST or None, initial={"time_zone": request.session.get(KEY, UTC)})
    if request.method == "POST" and form.is_valid():
        name = form.cleaned_data["time_zone"]
        Preference.objects.update_or_create(user=person(request), defaults={"time_zone": name})
        request.session[KEY] = name
        messages.success(request, f"Moments are shown to you in {name} from now on.")
        return redirect("admin:index")
    now = timezone.now()
    context = {
        **site.each_context(request),
        "title": "Time zone",
        "button": "Use this time zone",
        "lead": f"It is {_clock(now)} where moments are shown to you now, and {_clock(now, UTC)} in UTC.",
        "form": form,
    }
    return TemplateResponse(request, "admin/form_page.html", context)


def remember_time_zone(request: HttpRequest, user: User, **sent: object) -> None:
    """On signing in: the session carries the zone, so that no page has to ask for it."""
    chosen = Preference.objects.filter(user=user).values_list("time_zone", flat=True).first()
    if chosen:
        request.session[KEY] = chosen


def _clock(at: datetime, zone: str | None = None) -> str:
    return timezone.localtime(at, ZoneInfo(zone) if zone else None).strftime("%H:%M")


class PersonalTimeZone:
    """Middleware: a signed-in person's pages have their moments in the zone that the person chose.

    Only where a session is, which machines have none of.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if not request.path.startswith("/admin/") or not request.user.is_authenticated:
            return self.get_response(request)
        with timezone.override(ZoneInfo(request.session.get(KEY, UTC))):
            return self.get_response(request)
