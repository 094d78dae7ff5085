"""What a feed's page tells of its pick-up location, and the page that looks into it at once."""

import os
from typing import Any

from django import forms
from django.conf import settings
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.utils import timezone
from django.utils.html import format_html

from ingestion import services
from ingestion.core.locations import Grounds
from ingestion.models import Feed, PickupState
from mediation.admin import kit, marks

LEAD = (
    "Looks into {} as the workers do, takes nothing, and says what lies there. A server that does not answer is given"
    " up within half a minute."
)


class LocationForm(forms.ModelForm):
    """A feed, whose location may be a folder of this machine only where the environment allows it."""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        if (field := self.fields.get("pickup_location")) is not None:
            roots = ", ".join(settings.PICKUP_GROUNDS["roots"])
            field.help_text += f" Folders of this machine lie in {roots}." if roots else " No folder of this machine."

    def clean_pickup_location(self) -> str:
        """One that was there before is told of where it is looked at, and keeps nobody from changing something else."""
        location: str = self.cleaned_data["pickup_location"]
        if location and "pickup_location" in self.changed_data:
            try:
                services.require_allowed_location(location=location, grounds=grounds())
            except services.UnableToPickUp as refusal:
                raise ValidationError(str(refusal)) from None
        return location


def grounds() -> Grounds:
    return Grounds(**settings.PICKUP_GROUNDS)


def told(feed: Feed | None) -> Any:
    """How looking at a feed's location goes."""
    state = None if feed is None else PickupState.objects.filter(feed=feed).first()
    if feed is None or not feed.pickup_location:
        return "There is no location."
    if state is None:
        return "Nobody has looked at it yet."
    looked = format_html("Looked at {}.", marks.moment(state.looked_at))
    if state.begun_file:
        looked = format_html("{} It began with {} at {}.", looked, state.begun_file, marks.moment(state.begun_at))
    if not state.error:
        return looked
    trouble = format_html("{}: {}", marks.moment(state.error_at), state.error)
    if state.failures and state.next_look_at:
        again = marks.moment(state.next_look_at)
        return format_html("{} It rests until {}. It fails, {}", looked, again, trouble)
    return format_html("{} The last trouble was {}", looked, trouble)


def try_page(model_admin: Any, request: HttpRequest, pk: int) -> HttpResponse:
    """A form without fields: its button looks into the location."""
    feed = get_object_or_404(model_admin.get_queryset(request), pk=pk)
    if not model_admin.has_change_permission(request, feed):
        raise PermissionDenied
    form = forms.Form(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        _look(model_admin, request, feed, form)
    lead = LEAD.format(feed.pickup_location or "the location, once there is one,")
    return kit.form_page(
        model_admin, request, form, title="Test the pick-up location", button="Look into it", lead=lead, target=feed
    )


def _look(model_admin: Any, request: HttpRequest, feed: Feed, form: forms.Form) -> None:
    try:
        look = services.look_into_location(
            feed=feed, by=kit.person(request), environment=os.environ, grounds=grounds(), now=timezone.now()
        )
    except services.UnableToPickUp as refusal:
        form.add_error(None, str(refusal))
        return
    names = f": {', '.join(look.names)}{', …' if look.wanted_count > len(look.names) else ''}" if look.names else ""
    found = f"It can be opened. There {'is' if look.file_count == 1 else 'are'} {kit.counted(look.file_count, 'file')}"
    model_admin.message_user(request, f"{found}, of which {look.wanted_count:,} would be taken now{names}.")
