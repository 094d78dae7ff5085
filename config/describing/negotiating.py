"""In which form an answer is told: as `Accept` or `?format=` asks, among what the view has."""

from collections.abc import Iterable
from typing import Any

from rest_framework import status as http
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.request import Request


class Negotiation(DefaultContentNegotiation):
    """A form that is not told is the asker's fault, not an address that leads nowhere."""

    def get_accept_list(self, request: Request) -> list[str]:
        """An `Accept` that names nothing is as none: anything is accepted."""
        return [one for one in super().get_accept_list(request) if one.strip()] or ["*/*"]

    def filter_renderers(self, renderers: Iterable[Any], format: str) -> list[Any]:
        # The framework's views name this class, so that it is read before they are.
        from mediation.api import Problem

        found = [renderer for renderer in renderers if renderer.format == format]
        if not found:
            told = ", ".join(renderer.format for renderer in renderers)
            detail = f"This is not told as {format[:50]!r}; it is told as {told}."
            raise Problem(http.HTTP_400_BAD_REQUEST, "bad_format", detail)
        return found
