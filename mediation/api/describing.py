"""How an operation describes itself: beside the view, from the same words and limits that the view works with."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from drf_spectacular.openapi import AutoSchema
from drf_spectacular.plumbing import ResolvedComponent, force_instance, is_serializer
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema

from mediation.api.codes import CODES, FAULTS
from mediation.api.problems import TYPE

Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
MOMENT: Schema = {"type": "string", "format": "date-time"}
DAY: Schema = {"type": "string", "format": "date"}
ID: Schema = {"type": "integer", "minimum": 1, "maximum": 2**63 - 1}
COUNT: Schema = {"type": "integer", "minimum": 0}
TRACKING_ID: Schema = {"type": "string", "format": "uuid"}
LINK: Schema = {"type": "string", "format": "uri"}
# All digits of a number, as it would be written by hand.
DIGITS: Schema = {"type": "string", "pattern": r"^-?[0-9]+(\.[0-9]+)?$", "examples": ["12.5"]}

# Which operation may refuse so, whatever it is about.
EVERYWHERE = (
    *("not_authenticated", "authentication_failed", "permission_denied", "not_acceptable", "throttled"),
    *("unknown_parameter", "empty_parameter", "repeated_parameter", "database_away"),
)
# Told before any view is asked, and so in one form alone.
BEFORE_VIEWS = ("address_too_long", "headers_too_long")
# Where `describe` leaves an operation's codes for `Described`.
REFUSES = "x-refuses"
HEADERS = {
    401: {"WWW-Authenticate": "How to sign in."},
    409: {"Retry-After": "Seconds to wait, where a moment mends it."},
    412: {"ETag": "Of what is there now."},
    429: {"Retry-After": "Seconds to wait."},
    503: {"Retry-After": "Seconds to wait."},
}


@dataclass(frozen=True)
class Refusals:
    """How refusals are told. narrowed: what the schema says more of one status and its codes."""

    name: str
    media_type: str
    schema: Schema
    narrowed: Callable[[int, Sequence[str]], Schema]


def or_null(schema: Schema) -> Schema:
    """What may also be null."""
    return {"anyOf": [schema, {"type": "null"}]} if "$ref" in schema else {**schema, "type": [schema["type"], "null"]}


def list_of(schema: Schema, **limits: int) -> Schema:
    return {"type": "array", "items": schema, **limits}


def record_of(properties: Mapping[str, Schema], *, optional: Sequence[str] = (), **more: Any) -> Schema:
    """An object of exactly these members, all of them there but for those that are named."""
    required = [name for name in properties if name not in optional]
    told = {"type": "object", "properties": dict(properties), "additionalProperties": False, **more}
    return {**told, "required": required} if required else told


def query(name: str, schema: Schema, about: str, *, is_required: bool = False) -> OpenApiParameter:
    """A parameter of the address."""
    return OpenApiParameter(name, schema, OpenApiParameter.QUERY, required=is_required, description=about)


def header(name: str, about: str, schema: Schema | None = None) -> OpenApiParameter:
    return OpenApiParameter(name, schema or TEXT, OpenApiParameter.HEADER, description=about)


def in_path(name: str, schema: Schema, about: str) -> OpenApiParameter:
    return OpenApiParameter(name, schema, OpenApiParameter.PATH, required=True, description=about)


PROBLEMS = Refusals(
    "Problem",
    TYPE,
    record_of(
        {
            "type": {"const": "about:blank"},
            "status": {"type": "integer"},
            "code": {"enum": list(CODES), "description": "For programs; these words stay."},
            "detail": {"type": "string", "description": "For people."},
            "errors": list_of(
                record_of(
                    {
                        "pointer": {"type": "string", "description": "A JSON pointer; empty: all of what was sent."},
                        "code": {"enum": sorted({*CODES, *FAULTS})},
                        "detail": TEXT,
                    }
                ),
                minItems=1,
            ),
            "links": {"type": "object", "additionalProperties": LINK},
        },
        optional=["links"],
        description="Why nothing was done, by RFC 9457: every fault at once.",
    ),
    lambda status, codes: {"properties": {"status": {"const": status}, "code": {"enum": list(codes)}}},
)

SPREADSHEET = {
    "name": "spreadsheet",
    "in": "query",
    "schema": {"enum": ["1"]},
    "description": "In CSV, an apostrophe before what a spreadsheet would run as a formula.",
}
IDEMPOTENCY_KEY = header(
    "Idempotency-Key",
    "The same key with the same body is answered as the first time, and does nothing more.",
    {"type": "string", "minLength": 1, "maxLength": 255},
)
UNCHANGED = OpenApiResponse(description="It is still what If-None-Match names.")
IF_MATCH = header("If-Match", "The ETag of what this is decided on; 412 where it is another by now.")
IF_NONE_MATCH = header("If-None-Match", "An ETag that is had already: 304 without a body where it is still true.")
FEED = in_path("feed", TEXT, "The feed: its API name, or its number.")


def describe(summary: str, *, refuses: Sequence[str] = (), **told: Any) -> Callable[[Any], Any]:
    """Say what an operation takes and answers, as `extend_schema` does, and by which codes it refuses.

    summary: a few words, the operation's own, which name it for programs too. refuses: codes of `CODES`; those that
    many operations share are added by themselves (see `Described`).
    """
    if unknown := set(refuses) - set(CODES):
        raise ValueError(f"{', '.join(sorted(unknown))}: say in mediation.api.codes what these codes mean.")
    return extend_schema(summary=summary, extensions={REFUSES: list(refuses)}, **told)


class Described(AutoSchema):
    """What drf-spectacular finds out of a view, and by which codes it refuses."""

    def get_operation(self, *args: Any, **kwargs: Any) -> Schema | None:
        operation: Schema | None = super().get_operation(*args, **kwargs)
        if operation:
            operation.pop(REFUSES, None)
        return operation

    def get_operation_id(self) -> str:
        summary = self.get_summary()
        return re.sub(r"\W+", "_", summary.lower()) if summary else str(super().get_operation_id())

    def _get_parameters(self) -> list[Schema]:
        """As drf-spectacular has them; the gate lets no empty one in."""
        parameters: list[Schema] = super()._get_parameters()
        if "csv" in self.map_renderers("format"):
            parameters.append(SPREADSHEET)
        for one in parameters:
            if one["in"] == "query" and one["schema"].get("type") == "string" and "enum" not in one["schema"]:
                one["schema"] = {"minLength": 1, **one["schema"]}
        return parameters

    def _map_serializer(self, serializer: Any, direction: Any, bypass_extensions: bool = False) -> Schema:
        """As drf-spectacular has it; what is answered has all its members, also those that `also_tells` names."""
        schema: Schema = super()._map_serializer(serializer, direction, bypass_extensions)
        if direction == "response" and "properties" in schema:
            schema["properties"] |= getattr(serializer, "also_tells", {})
            optional = getattr(serializer, "may_leave_out", ())
            schema["required"] = [name for name in schema["properties"] if name not in optional]
        return schema

    def _get_response_bodies(self, direction: Any = "response") -> Schema:
        responses: Schema = super()._get_response_bodies(direction)
        for response in responses.values():
            if "text/csv" in response.get("content", {}):
                response["content"]["text/csv"] = {"schema": TEXT}
        by_status: dict[int, list[str]] = {}
        for code in sorted(self._refuses()):
            for status in CODES[code].statuses:
                by_status.setdefault(status, []).append(code)
        for status, codes in sorted(by_status.items()):
            responses[str(status)] = self._refusal(status, codes)
        return responses

    def _refuses(self) -> set[str]:
        """Its own codes, and those that its kind of operation shares with others."""
        own = set(self.get_extensions().get(REFUSES, ()))
        codes = own | ({*EVERYWHERE, *BEFORE_VIEWS} - getattr(self.view, "never_refuses", frozenset()))
        parameters = {(one["name"], one["in"]) for one in self._get_parameters()}
        if any(place == "path" for _, place in parameters):
            codes.add("not_found")
        if ("If-Match", "header") in parameters:
            codes.add("changed_meanwhile")
        if ("format", "query") in parameters:
            codes |= {"bad_format", "bad_spreadsheet"}
        if self._is_list_view():
            codes |= {"invalid", "bad_cursor", "bad_page_size"}
        if body := self._get_request_body():
            codes.add("too_large")
            if "not_json" not in own and "application/json" in body["content"]:
                codes |= {"parse_error", "unsupported_media_type"}
            if is_serializer(force_instance(self.get_request_serializer())):
                codes.add("invalid")
        return codes

    def _refusal(self, status: int, codes: Sequence[str]) -> Schema:
        is_early = codes[0] in BEFORE_VIEWS
        form: Refusals = PROBLEMS if is_early else getattr(self.view, "refusals", PROBLEMS)
        component = ResolvedComponent(form.name, ResolvedComponent.SCHEMA, form.schema, form.name)
        self.registry.register_on_missing(component)
        told: Schema = {
            "x-codes": list(codes),
            "description": " ".join(f"`{code}`: {CODES[code].meaning}" for code in codes),
            "content": {form.media_type: {"schema": {"allOf": [component.ref], **form.narrowed(status, codes)}}},
        }
        if names := HEADERS.get(status):
            told["headers"] = {name: {"schema": TEXT, "description": about} for name, about in names.items()}
        return told
