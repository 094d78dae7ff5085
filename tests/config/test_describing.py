"""The API's document says exactly what the API does: every address and method, every code, and nothing guessed."""

import ast
import json
import re
from pathlib import Path

import pytest
import yaml
from django.urls import get_resolver
from drf_spectacular.drainage import GENERATOR_STATS, reset_generator_stats
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.validation import validate_schema

from config.describing.document import PART, document
from config.describing.links import LINKS
from config.serving import DETAILS, as_problem
from mediation.api.codes import CODES, FAULTS
from mediation.api.describing import describe

ROOMS = ("config", "ingestion", "mediation", "rating")
ROOT = Path(__file__).parent.parent.parent
# Statuses that a service's code comes with beside its own.
RAISED = ("Problem", "RequestFault", "UnableToReceive", "UnableToVoid", "UnableToUpload", "UnableToBackfill", "_fault")


def operations():
    return [
        (path, method, operation)
        for path, methods in document()["paths"].items()
        for method, operation in methods.items()
    ]


def test_the_document_is_sound_openapi():
    assert document()["openapi"].startswith("3.1")
    validate_schema(document())


def test_nothing_of_the_document_is_guessed():
    reset_generator_stats()
    SchemaGenerator().get_schema(request=None, public=True)
    assert not GENERATOR_STATS, [*GENERATOR_STATS._warn_cache, *GENERATOR_STATS._error_cache]


def views(patterns, before=""):
    for one in patterns:
        path = before + str(one.pattern)
        if hasattr(one, "url_patterns"):
            yield from views(one.url_patterns, path)
        else:
            yield path, one.callback


def test_every_address_of_the_api_is_described_with_the_methods_it_takes_and_no_other():
    takes = {}
    for path, view in views(get_resolver().url_patterns):
        if path.startswith("api/") and hasattr(view, "cls"):
            allowed = {one.lower() for one in view.cls(**view.initkwargs).allowed_methods} - {"options", "head"}
            takes[PART.sub("{}", f"/{path}")] = allowed
    described = {PART.sub("{}", path): set(methods) for path, methods in document()["paths"].items()}
    assert described == takes


def test_every_operation_has_a_summary_a_name_of_its_own_and_a_tag():
    found = operations()
    names = [operation["operationId"] for _, _, operation in found]
    assert len(set(names)) == len(names)
    assert not [path for path, _, operation in found if not operation.get("summary")]
    assert not [path for path, _, operation in found if operation["tags"] == ["Other"]]
    assert {tag["name"] for tag in document()["tags"]} == {operation["tags"][0] for _, _, operation in found}


def test_every_parameter_says_what_it_takes():
    bare = [
        (path, parameter["name"])
        for path, _, operation in operations()
        for parameter in operation.get("parameters", ())
        if parameter["schema"] == {"type": "string"} and parameter["in"] == "query"
    ]
    assert not bare


def test_the_links_of_the_first_and_the_last_page_may_be_null():
    pages = [one for name, one in document()["components"]["schemas"].items() if name.startswith("Paginated")]
    assert len(pages) >= 10
    links = [one["properties"][name] for one in pages for name in ("next", "previous")]
    assert all(link["type"] == ["string", "null"] and link["format"] == "uri" for link in links)
    assert "nullable" not in json.dumps(document())


def codes_in(path):
    """The codes that a file refuses by: texts in the place of a code where something of RAISED is called."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and _name(node.func) in RAISED:
            for argument in node.args[:2]:
                yield from _codes(argument)
        if isinstance(node, ast.Assign | ast.AnnAssign) and "STATUS_OF" in ast.dump(node):
            yield from (key.value for key in getattr(node.value, "keys", ()))


def _name(function):
    return getattr(function, "id", getattr(function, "attr", ""))


def _codes(argument):
    if isinstance(argument, ast.IfExp):
        yield from (*_codes(argument.body), *_codes(argument.orelse))
    if isinstance(argument, ast.Constant) and re.fullmatch("[a-z]+(_[a-zA-Z0-9]+)+", str(argument.value)):
        yield argument.value


def test_every_code_that_is_raised_is_in_the_list_of_codes():
    raised = {code for room in ROOMS for path in (ROOT / room).rglob("*.py") for code in codes_in(path)}
    assert {"unknown_feed", "too_many_keys", "idempotency_key_reused", "profile_not_active"} <= raised
    assert raised - set(CODES) - set(FAULTS) == set()


def test_a_code_that_is_not_in_the_list_cannot_be_described():
    with pytest.raises(ValueError, match="no_such_code"):
        describe("Send nothing", refuses=("no_such_code",))


def test_every_code_says_what_it_means_and_what_to_do():
    for name, code in CODES.items():
        assert code.statuses, name
        assert code.meaning.endswith("."), name
        assert code.remedy.endswith("."), name


def test_the_document_is_served_to_everybody_as_json_and_as_yaml(client):
    answer = client.get("/api/schema")
    assert answer["Content-Type"] == "application/json"
    assert answer.json() == json.loads(json.dumps(document()))
    assert client.get("/api/schema", headers={"If-None-Match": answer["ETag"]}).status_code == 304
    written = client.get("/api/schema", headers={"Accept": "application/yaml"})
    assert written["Content-Type"].startswith("application/yaml")
    assert yaml.safe_load(written.content) == answer.json()
    assert client.get("/api/schema?format=yaml").content == written.content
    assert client.post("/api/schema").status_code == 405


@pytest.mark.django_db
def test_what_an_address_does_not_read_is_refused_by_name(admin_client):
    answer = admin_client.get("/api/v1/imports?statsu=failed")
    assert answer.status_code == 400
    assert answer.json()["code"] == "unknown_parameter"
    assert "'statsu'" in answer.json()["detail"]
    assert "status" in answer.json()["detail"].partition("it reads")[2]
    assert admin_client.get("/api/v1/imports?status=failed&page_size=5").status_code == 200


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("status=failed&status=completed", "repeated_parameter"),
        ("status=", "empty_parameter"),
        ("feed=%20", "empty_parameter"),
        ("page_size=0", "bad_page_size"),
        ("page_size=1001", "bad_page_size"),
        ("page_size=many", "bad_page_size"),
        ("cursor=nonsense", "bad_cursor"),
        ("spreadsheet=2", "bad_spreadsheet"),
        ("status=lost", "invalid"),
        ("received_after=yesterday", "invalid"),
    ],
)
def test_what_an_address_asks_is_read_or_refused(admin_client, query, code):
    answer = admin_client.get(f"/api/v1/imports?{query}")
    assert (answer.status_code, answer.json()["code"]) == (400, code)


@pytest.mark.django_db
def test_who_may_not_come_in_is_not_told_what_is_read(client):
    assert client.get("/api/v1/imports?statsu=failed").status_code == 401


def test_a_host_that_is_not_ours_is_told_so_as_a_problem(client):
    answer = client.get("/api/v1/imports", headers={"Host": "elsewhere.example"})
    assert answer.status_code == 400
    assert answer["Content-Type"] == "application/problem+json"
    assert answer.json()["code"] == "bad_request"
    assert client.get("/admin/", headers={"Host": "elsewhere.example"})["Content-Type"].startswith("text/html")


@pytest.mark.django_db
def test_a_crash_is_told_as_a_problem_without_a_word_of_what_crashed(admin_client, monkeypatch):
    def crash(*args, **kwargs):
        raise RuntimeError("SELECT secret FROM table")

    monkeypatch.setattr("ingestion.api.imports.ImportList.get_queryset", crash)
    admin_client.raise_request_exception = False
    answer = admin_client.get("/api/v1/imports")
    assert answer.status_code == 500
    assert answer["Content-Type"] == "application/problem+json"
    assert answer.json()["code"] == "internal_error"
    assert b"secret" not in answer.content


def test_every_link_leads_to_an_operation_of_the_document():
    names = {operation["operationId"] for _, _, operation in operations()}
    for (name, _), targets in LINKS.items():
        assert name in names
        assert {target for _, about in targets for target in about} <= names


@pytest.mark.django_db
@pytest.mark.parametrize(
    "address",
    [
        "imports?received_after=2026-05-01T00:00:00-23:24",
        "imports?received_before=8049-12-02T15:49:23-23:24&format=csv",
        "udrs?date_after=0001-01-01T00:00:00Z",
    ],
)
def test_a_moment_of_any_zone_is_understood(admin_client, address):
    answer = admin_client.get(f"/api/v1/{address}")
    assert answer.status_code == 200
    assert answer.getvalue()


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("address", "code"),
    [
        ("udrs?date_before=0001-01-01T00:00:00%2B14:00", "invalid"),
        ("udrs?date_before=9999-12-31T23:59:59-10:00", "invalid"),
        ("udrs?feed=0.5", "invalid"),
        ("udrs?feed=99999999999999999999", "invalid"),
        ("udrs?cursor=.exe", "bad_cursor"),
        ("udrs?format=csv&page_size=-1", "bad_page_size"),
        ("udrs?format=xml", "bad_format"),
    ],
)
def test_what_a_list_cannot_use_is_refused_in_every_form(admin_client, address, code):
    answer = admin_client.get(f"/api/v1/{address}")
    assert (answer.status_code, answer.json()["code"]) == (400, code)


def test_what_the_web_server_refuses_by_itself_is_a_problem_too():
    told = as_problem(b"HTTP/1.1 414 URI Too Long\r\nContent-Type: text/html\r\n\r\n<html></html>")
    head, _, body = told.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 414 URI Too Long\r\n")
    assert b"application/problem+json" in head
    assert json.loads(body)["code"] == "address_too_long"
    assert set(DETAILS) <= set(CODES)
