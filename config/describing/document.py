"""The OpenAPI 3.1 document of the whole API: one truth for readers, for programs, and for what addresses may ask."""

import re
from collections.abc import Mapping
from functools import cache
from threading import Lock
from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.generators import SchemaGenerator

_lock = Lock()
# What varies in an address, as the resolver has it and as the document has it.
PART = re.compile(r"<[^>]*>|\{[^}]*\}")

# What operations are about, by what their addresses begin with; the longest counts.
TAGS = {
    "/api/v1/feeds/": ("Usage in", "Sending usage. 202 means that it is recorded, and a retry is always safe."),
    "/api/v1/imports": ("Import history", "What became of every submission and file, down to each record."),
    "/api/v1/exceptions": ("Exceptions", "Records that could not become usage, and the verbs that clear them."),
    "/api/v1/usage-identifiers": ("Import history", ""),
    "/api/v1/voids": ("Corrections", "Usage taken back or replaced by its key."),
    "/api/v1/feeds/{feed}/usage/void": ("Corrections", ""),
    "/api/v1/feeds/{feed}/usage/amend": ("Corrections", ""),
    "/api/v1/feeds/{feed}/backfills": ("Corrections", ""),
    "/api/v1/backfills": ("Corrections", ""),
    "/api/v1/udrs": ("UDRs", "Usage data records: what mediation made of records."),
    "/api/v1/charges": ("Charges", "What usage costs, and why."),
    "/api/v1/usage-summary": ("Charges", ""),
    "/api/v1/accounts": ("Customers", "What a customer's own page shows of an account."),
    "/api/v1/bucket-grants": ("Customers", ""),
    "/api/v1/rerates": ("Rerates and what-ifs", "What other prices would change, and letting them."),
    "/api/v1/what-ifs": ("Rerates and what-ifs", ""),
    "/api/Data": (
        "Second door",
        "The paths and answers of `DataImport/…`: an integration moves here by changing its base address.",
    ),
}


class TokenScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """How a token is shown."""

    target_class = "config.access.authentication.NarrowingTokenAuthentication"
    name = "token"

    def get_security_definition(self, auto_schema: Any) -> dict[str, Any]:
        about = "`Token …`, as the admin showed it once. Tokens end, and can be limited to feeds and verbs."
        return {"type": "apiKey", "in": "header", "name": "Authorization", "description": about}


class SessionScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """How a person is known who is signed in to the admin."""

    target_class = "rest_framework.authentication.SessionAuthentication"
    name = "session"
    priority = 1

    def get_security_definition(self, auto_schema: Any) -> dict[str, Any]:
        about = "Of a person signed in to the admin; whatever is no GET needs `X-CSRFToken` too."
        return {"type": "apiKey", "in": "cookie", "name": "sessionid", "description": about}


def name_tags(result: dict[str, Any], **others: Any) -> dict[str, Any]:
    """Each operation bears the tag of its address."""
    for path, operations in result["paths"].items():
        place = max((one for one in TAGS if path.startswith(one)), key=len, default="")
        for operation in operations.values():
            operation["tags"] = [TAGS[place][0]] if place else ["Other"]
    result["tags"] = [{"name": name, "description": about} for name, about in TAGS.values() if about]
    return result


def allow_null_once(value: Any) -> Any:
    """As drf-spectacular has it, null would be both of two things that exclude each other: anything, and null."""
    if isinstance(value, list):
        return [allow_null_once(one) for one in value]
    if not isinstance(value, dict):
        return value
    told = {name: allow_null_once(one) for name, one in value.items() if name != "x-spec-enum-id"}
    if told.get("oneOf") == [{}, {"type": "null"}]:
        told.pop("oneOf")
    return told


def simplify(result: dict[str, Any], **others: Any) -> dict[str, Any]:
    simple: dict[str, Any] = allow_null_once(result)
    return simple


def tell_all_members(result: dict[str, Any], **others: Any) -> dict[str, Any]:
    """Nothing is sent, and nothing is taken, that is not described."""
    for schema in result.get("components", {}).get("schemas", {}).values():
        if schema.get("type") == "object" and "properties" in schema:
            schema.setdefault("additionalProperties", False)
    return result


@cache
def _made() -> dict[str, Any]:
    made: dict[str, Any] = SchemaGenerator().get_schema(request=None, public=True)  # type: ignore[no-untyped-call]
    return made


def document() -> dict[str, Any]:
    """The document; made once in each process, in about a second."""
    with _lock:
        return _made()


def known_parameters(route: str, method: str) -> frozenset[str] | None:
    """What the address of an operation may ask after its question mark; None where there is no such operation.

    route: as the resolver has it, such as `api/v1/imports/<uuid:tracking_id>`.
    """
    return _known().get((PART.sub("{}", f"/{route}"), "GET" if method == "HEAD" else method))


@cache
def _known() -> Mapping[tuple[str, str], frozenset[str]]:
    return {
        (PART.sub("{}", path), method.upper()): frozenset(
            one["name"] for one in operation.get("parameters", ()) if one["in"] == "query"
        )
        for path, operations in document()["paths"].items()
        for method, operation in operations.items()
    }
