"""Every example of the API's document is sent here, and answered as the document says.

`SLUICE_WRITE_EXAMPLES=1` writes them anew from what is answered.
"""

import json
import os

import pytest
from django.contrib.auth.models import User
from jsonschema import Draft202012Validator
from knox.models import AuthToken
from rest_framework.test import APIClient

from config.describing import document as making
from config.describing.document import document
from config.describing.examples import FILE, called, examples
from tests.config.plainly import Plain
from tests.config.story import STORY, Ask, Clock, prepare

# Operations whose success has no body, so that the document has no place for an example of it.
WITHOUT_ANSWER_BODY = {"give_up_a_file": "204: what came of the file is forgotten, and there is nothing to tell."}
# Of an answer's headers, those that tell something of it.
TELLING = ("ETag", "Range", "Retry-After")


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr("django.utils.timezone.now", lambda: clock.now)
    return clock


@pytest.fixture
def client(clock):
    prepare()
    robot = User.objects.create_user(username="robot", is_superuser=True)
    return APIClient(headers={"Authorization": f"Token {AuthToken.objects.create(user=robot)[1]}"})


def told(client, clock):
    """The story as it goes now, by operation; of each what succeeds comes first."""
    plain, named, found = Plain(), {}, {}
    for step in STORY:
        clock.tick()
        if isinstance(step, Ask):
            found.setdefault(step.operation, []).append(asked(client, step, named, plain))
        else:
            named |= step()
    return {name: sorted(told_, key=lambda one: one["status"] >= 400) for name, told_ in found.items()}


def asked(client, step, named, plain):
    """One example: what was sent and what came, without what differs from run to run."""
    method, path = step.request.format_map(named).split(" ", 1)
    path = path if path.startswith("/") else f"/api/v1/{path}"
    body = filled(step.body, named)
    headers = {name: text.format_map(named) for name, text in step.headers.items()}
    sent = body if isinstance(body, str) else "" if body is None else json.dumps(body)
    answer = client.generic(method, path, sent, step.body_type, headers=headers)
    for name, place in step.keeps.items():
        named[name] = answer[place] if place in answer else at(answer.json(), place)
    example = {"name": step.name, "method": method, "path": plain.text(path), "headers": plain.texts(headers)}
    if body is not None:
        example |= {"body_type": step.body_type, "body": plain.document(body, path)}
    example |= told_answer(answer, path, plain)
    return {name: value for name, value in example.items() if value != {}}


def told_answer(answer, path, plain):
    """What came: its status, the headers that tell something, and what it holds, if anything."""
    headers = {name: answer[name] for name in TELLING if name in answer}
    told_ = {"status": answer.status_code, "answer_headers": plain.texts(headers)}
    content = (b"".join(answer) if answer.streaming else answer.content).decode()
    if not content:
        return told_
    media_type = answer["Content-Type"].partition(";")[0]
    read = json.loads(content) if media_type.endswith("json") else content
    return told_ | {"answer_type": media_type, "answer": plain.document(read, path)}


def filled(body, named):
    """A body with what earlier answers named in the place of {…}."""
    if not isinstance(body, dict):
        return body
    marks = {f"{{{name}}}": value for name, value in named.items()}
    return {name: marks.get(value, value) if isinstance(value, str) else value for name, value in body.items()}


def at(answer, place):
    """What stands at a/0/b of an answer."""
    for step in place.split("/"):
        answer = answer[int(step) if step.isdecimal() else step]
    return answer


def write(found):
    FILE.write_text(json.dumps(found, ensure_ascii=False, indent=1) + "\n")
    examples.cache_clear()
    making._made.cache_clear()


@pytest.mark.django_db
def test_every_example_of_the_document_is_answered_as_it_says(client, clock):
    is_writing = os.environ.get("SLUICE_WRITE_EXAMPLES")
    if is_writing:
        write({})  # those of an operation that changed its name would have no place in the document
    found = told(client, clock)
    if is_writing:
        write(found)
    assert found == examples()


def operations():
    return {one["operationId"]: one for methods in document()["paths"].values() for one in methods.values()}


def every_example():
    return [(operations()[name], one) for name, told_ in examples().items() for one in told_]


def test_every_operation_has_an_example_of_each_success():
    successes = {
        (name, int(status))
        for name, operation in operations().items()
        for status in operation["responses"]
        if status < "3"
    }
    told_ = {(name, one["status"]) for name, those in examples().items() for one in those if one["status"] < 300}
    assert told_ == successes


def test_every_operation_shows_an_answer_but_those_that_are_answered_with_nothing():
    shown = {name for name, those in examples().items() if any("answer" in one for one in those if one["status"] < 300)}
    assert set(operations()) - shown == set(WITHOUT_ANSWER_BODY)


def test_no_two_examples_of_an_operation_have_the_same_name():
    for told_ in examples().values():
        names = [called(one) for one in told_]
        assert len(set(names)) == len(names)


def test_every_example_is_in_the_document():
    for operation, one in every_example():
        name = called(one)
        answer = operation["responses"][str(one["status"])]
        if "answer" in one:
            assert answer["content"][one["answer_type"]]["examples"][name]["value"] == one["answer"]
        if "body" in one:
            taken = operation["requestBody"]["content"][one["body_type"]]
            assert taken["examples"][name]["value"] == one["body"]


def test_every_answer_is_what_the_document_says_of_it():
    for operation, one in every_example():
        if "answer" in one:
            schema = operation["responses"][str(one["status"])]["content"][one["answer_type"]]["schema"]
            assert faults(schema, one["answer"]) == [], (operation["operationId"], one["name"])


def test_every_body_that_is_taken_is_what_the_document_says_of_it():
    for operation, one in every_example():
        if "body" in one and one["status"] < 300:
            schema = operation["requestBody"]["content"][one["body_type"]]["schema"]
            assert faults(schema, one["body"]) == [], (operation["operationId"], one["name"])


def faults(schema, value):
    """What a schema of the document finds wrong with a value."""
    whole = {**schema, "components": document()["components"]}
    return [fault.message for fault in Draft202012Validator(whole).iter_errors(value)]
