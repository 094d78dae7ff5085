"""The document as it is served, and the docs made of it: to everybody, since there is no secret in them."""

import hashlib
import json
from functools import cache

import yaml
from csp.constants import SELF
from csp.decorators import csp_update
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.http import parse_etags
from django.views.decorators.http import require_safe

from config.describing.document import document
from config.describing.telling import chapters, paragraphs, refusals
from mediation.api.codes import FAULTS

YAML_TYPES = ("application/yaml", "application/x-yaml", "text/yaml", "application/vnd.oai.openapi")


@require_safe
def schema(request: HttpRequest) -> HttpResponse:
    """The OpenAPI 3.1 document as JSON; as YAML for who asks `?format=yaml`, or accepts that and not JSON."""
    usual = "json" if request.accepts("application/json") else "yaml" if _takes_yaml(request) else "json"
    is_yaml = request.GET.get("format", usual) == "yaml"
    body, etag = _written(is_yaml)
    known = [one.removeprefix("W/") for one in parse_etags(request.headers.get("If-None-Match", ""))]
    content_type = "application/yaml; charset=utf-8" if is_yaml else "application/json"
    answer = HttpResponse(status=304) if etag in known else HttpResponse(body, content_type=content_type)
    answer["ETag"] = etag
    answer["Vary"] = "Accept"
    return answer


def _takes_yaml(request: HttpRequest) -> bool:
    return any(request.accepts(one) for one in YAML_TYPES)


@cache
def _written(is_yaml: bool) -> tuple[bytes, str]:
    """The document's bytes, and their ETag."""
    text = json.dumps(document(), ensure_ascii=False, indent=1)
    if is_yaml:
        text = yaml.safe_dump(json.loads(text), allow_unicode=True, sort_keys=False, width=120)
    body = text.encode()
    return body, f'"{hashlib.sha256(body).hexdigest()[:32]}"'


@require_safe
def docs(request: HttpRequest) -> HttpResponse:
    """Every operation to read; without a script."""
    about = paragraphs(document()["info"]["description"])
    told = {"about": about, "chapters": chapters(), "codes": refusals(), "faults": FAULTS}
    return render(request, "api/docs.html", told)


@require_safe
@csp_update({"img-src": [SELF, "data:"]})  # the signs of its style sheet
def tryout(request: HttpRequest) -> HttpResponse:
    """Every operation to try, with a token of one's own."""
    return render(request, "api/try.html")
