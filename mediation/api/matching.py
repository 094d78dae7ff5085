"""Optimistic concurrency: what a representation is called, and a change that is decided on one that is still true."""

import hashlib
import json
from typing import Any

from django.utils.http import parse_etags
from rest_framework import status as http
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.encoders import JSONEncoder

from mediation.api.problems import Problem


def etag_of(told: Any) -> str:
    """The ETag of a representation: strong, so that it also says what a change was decided on."""
    text = json.dumps(told, sort_keys=True, cls=JSONEncoder)
    return f'"{hashlib.sha256(text.encode()).hexdigest()[:32]}"'


def answer_with_etag(request: Request, told: Any) -> Response:
    """A representation with its ETag; 304 without it for who has it already (If-None-Match)."""
    etag = etag_of(told)
    given = request.headers.get("If-None-Match", "")
    known = [one.removeprefix("W/") for one in parse_etags(given)]
    is_known = etag in known or known == ["*"]
    answer = Response(status=http.HTTP_304_NOT_MODIFIED) if is_known else Response(told)
    answer["ETag"] = etag
    return answer


def require_match(request: Request, told: Any) -> None:
    """Raise Problem 412, with the ETag of what is there now, unless If-Match names it or is not sent at all."""
    wanted = request.headers.get("If-Match")
    if wanted is None:
        return
    etag, named = etag_of(told), parse_etags(wanted)
    if etag not in named and named != ["*"]:
        detail = "It is another one by now than If-Match names, and nothing was done: get it again, and decide anew."
        raise Problem(http.HTTP_412_PRECONDITION_FAILED, "changed_meanwhile", detail, headers={"ETag": etag})
