"""The ways of the second door: how its calls are read, without strictness, and the frame that its answers come in."""

import uuid
from collections.abc import Iterable
from typing import Any

from rest_framework import status as http
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.request import Request
from rest_framework.response import Response

from ingestion.api.second_door_schemas import REFUSALS
from mediation.api import Problem, problem


def answer_of(kind: str, items: Iterable[tuple[str, str, dict[str, Any]]], **more: Any) -> dict[str, Any]:
    """An answer as clients of this door know it. items: action, key of the type, and the thing itself."""
    told = [{"action": action, "dtoTypeKey": key, "instance": instance} for action, key, instance in items]
    tracking_id = more.pop("tracking_id", None) or str(uuid.uuid4())
    total = more.pop("total", len(told))
    return {"trackingId": tracking_id, "type": kind, "results": {"totalCount": total, "items": told}, **more}


def faults_of(error: Exception, context: dict[str, Any]) -> Response | None:
    """Any refusal as this door tells it: every fault at once, each with a number and a message."""
    answer = problem(error, context)
    if answer is None:
        return None
    faults = [{"code": answer.status_code, "message": _message(fault)} for fault in answer.data["errors"]]
    told = Response(answer_of("error", (), errors=faults), status=answer.status_code)
    for name, value in answer.headers.items():
        if name != "Content-Type":
            told[name] = value
    return told


def _message(fault: dict[str, str]) -> str:
    place = f"{fault['pointer']}: " if fault["pointer"] else ""
    return f"{place}{fault['detail']} ({fault['code']})"


def asked(request: Request, name: str) -> str:
    """What an address asks under a name, in whatever case it is written; nothing, too, where it is named empty.

    Raises Problem 400 where two things are asked under it.
    """
    lists = request.query_params.lists()
    told = [value for known, values in lists if known.lower() == name.lower() for value in values if value]
    if len(told) > 1:
        raise Problem(http.HTTP_400_BAD_REQUEST, "repeated_parameter", f"Name {name!r} once.")
    return told[0] if told else ""


class JsonAlone(BaseContentNegotiation):
    """Whatever a client says that it accepts: the one form that there is."""

    def select_parser(self, request: Request, parsers: Any) -> Any:
        return parsers[0]

    def select_renderer(self, request: Request, renderers: Any, format_suffix: Any = None) -> Any:
        return renderers[0], renderers[0].media_type


class Lenient:
    """Of every view by the second door: its clients were written for another product, and say more than is read."""

    reads_strictly = False
    never_refuses = frozenset(("unknown_parameter", "empty_parameter", "repeated_parameter", "not_acceptable"))
    content_negotiation_class = JsonAlone
    refusals = REFUSALS

    def get_exception_handler(self) -> Any:
        return faults_of
