"""Whether an address asks only what its operation reads: a filter that is misspelled must not show everything."""

from typing import Any

from rest_framework import status as http
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle


class KnownParameters(BaseThrottle):
    """Stands where requests are let in, behind who may come in at all."""

    def allow_request(self, request: Request, view: Any) -> bool:
        """True. Raises Problem 400 where the address asks for something that is not in the document."""
        match = request._request.resolver_match
        if not request.query_params or match is None:
            return True
        # The framework's views name this class, so that it is read before they are.
        from config.describing.document import known_parameters
        from mediation.api import Problem

        known = known_parameters(match.route, request.method or "")
        strangers = [] if known is None else sorted(set(request.query_params) - known)
        if strangers:
            names = ", ".join(repr(name[:50]) for name in strangers[:10])
            read = ", ".join(sorted(known or ())) or "no parameter at all"
            detail = f"This address does not read {names}; it reads {read}."
            raise Problem(http.HTTP_400_BAD_REQUEST, "unknown_parameter", detail)
        return True
