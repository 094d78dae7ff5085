"""Whether an address asks only what its operation reads: a filter that is misspelled must not show everything."""

from collections.abc import Sequence
from typing import Any

from django.http import QueryDict
from rest_framework import status as http
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle


class KnownParameters(BaseThrottle):
    """Stands where requests are let in, behind who may come in at all."""

    def allow_request(self, request: Request, view: Any) -> bool:
        """True. Raises Problem 400 where the address asks for something that is not in the document."""
        match = request._request.resolver_match
        if not request.query_params or match is None or not getattr(view, "reads_strictly", True):
            return True
        # The framework's views name this class, so that it is read before they are.
        from config.describing.document import known_parameters
        from mediation.api import Problem

        known = known_parameters(match.route, request.method or "")
        if known is not None and (fault := _fault(request.query_params, known)):
            raise Problem(http.HTTP_400_BAD_REQUEST, *fault)
        return True


def _fault(asked: QueryDict, known: frozenset[str]) -> tuple[str, str] | None:
    """The code and the sentence for what is wrong with what is asked."""
    if strangers := sorted(set(asked) - known):
        read = ", ".join(sorted(known)) or "no parameter at all"
        return "unknown_parameter", f"This address does not read {_named(strangers)}; it reads {read}."
    if repeated := [name for name, values in asked.lists() if len(values) > 1]:
        return "repeated_parameter", f"Name {_named(repeated)} once."
    if empty := [name for name in asked if not asked.get(name, "").strip()]:
        return "empty_parameter", f"Nothing is said for {_named(empty)}; leave it out where it does not matter."
    return None


def _named(names: Sequence[str]) -> str:
    return ", ".join(repr(name[:50]) for name in names[:10])
