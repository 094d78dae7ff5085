"""The document as a page tells it: chapters of operations, each with what it takes and what it answers."""

import json
import re
from dataclasses import dataclass
from functools import cache
from typing import Any

from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe

from config.describing.document import document
from config.describing.examples import examples
from mediation.api.codes import CODES, Code

MOST_DEEP = 6


@dataclass(frozen=True)
class Parameter:
    """where: path, query or header; takes: its type and limits in words."""

    name: str
    where: str
    is_required: bool
    takes: str
    about: SafeString


@dataclass(frozen=True)
class Body:
    """A body by its media type. outline: what it looks like, as JSON with words in the place of values."""

    media_type: str
    outline: str


@dataclass(frozen=True)
class Answer:
    """codes: those of a refusal, with what they mean."""

    status: str
    about: str
    bodies: tuple[Body, ...]
    codes: tuple[tuple[str, Code], ...]


@dataclass(frozen=True)
class Example:
    """A request that a test sends, and the answer that it gets."""

    name: str
    status: int
    request: str
    answer: str


@dataclass(frozen=True)
class Operation:
    """One method of one address. about: its paragraphs."""

    name: str
    method: str
    path: str
    summary: str
    about: tuple[SafeString, ...]
    parameters: tuple[Parameter, ...]
    takes: tuple[Body, ...]
    answers: tuple[Answer, ...]
    examples: tuple[Example, ...]


@dataclass(frozen=True)
class Chapter:
    """The operations of one tag."""

    name: str
    about: SafeString
    operations: tuple[Operation, ...]


@cache
def chapters() -> tuple[Chapter, ...]:
    """Every operation, by what it is about."""
    told: dict[str, list[Operation]] = {}
    for path, methods in document()["paths"].items():
        for method, said in methods.items():
            told.setdefault(said["tags"][0], []).append(_operation(path, method, said))
    return tuple(
        Chapter(tag["name"], marked(tag["description"]), tuple(told[tag["name"]])) for tag in document()["tags"]
    )


def paragraphs(text: str) -> list[SafeString]:
    """Markdown of paragraphs with **stressed** words and `code`, as HTML."""
    return [marked(paragraph) for paragraph in text.strip().split("\n\n") if paragraph]


def marked(text: str) -> SafeString:
    """Markdown of a paragraph, as HTML."""
    told = re.sub(r"\*\*(.+?)\*\*", r"<strong>\1</strong>", escape(text), flags=re.DOTALL)
    return mark_safe(re.sub(r"`(.+?)`", r"<code>\1</code>", told))  # noqa: S308 - escaped before


@cache
def refusals() -> dict[str, Code]:
    """Every code with what it means and what to do, as HTML."""
    return {
        name: code._replace(meaning=marked(code.meaning), remedy=marked(code.remedy)) for name, code in CODES.items()
    }


def _operation(path: str, method: str, said: dict[str, Any]) -> Operation:
    return Operation(
        said["operationId"],
        method.upper(),
        path,
        said["summary"],
        tuple(paragraphs(said.get("description", ""))),
        tuple(_parameter(one) for one in said.get("parameters", ())),
        _bodies(said.get("requestBody", {})),
        tuple(_answer(status, one) for status, one in said["responses"].items()),
        tuple(_example(one) for one in examples().get(said["operationId"], ())),
    )


def _parameter(said: dict[str, Any]) -> Parameter:
    about = marked(said.get("description", ""))
    return Parameter(said["name"], said["in"], said.get("required", False), in_words(said["schema"]), about)


def _answer(status: str, said: dict[str, Any]) -> Answer:
    codes = _codes(said)
    return Answer(status, "" if codes else said.get("description", ""), () if codes else _bodies(said), codes)


def _example(said: dict[str, Any]) -> Example:
    headers = said.get("headers", {})
    if "body" in said:
        headers = {"Content-Type": said["body_type"], **headers}
    sent = _message(f"{said['method']} {said['path']}", headers, said.get("body"))
    came = _message(str(said["status"]), said.get("answer_headers", {}), said.get("answer"))
    return Example(said["name"], said["status"], sent, came)


def _message(first: str, headers: dict[str, str], body: Any) -> str:
    """A request or an answer, much as it goes over the wire."""
    lines = [first, *(f"{name}: {text}" for name, text in headers.items())]
    return "\n".join(lines if body is None else [*lines, "", body if isinstance(body, str) else _json(body)])


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=2)


def _codes(said: dict[str, Any]) -> tuple[tuple[str, Code], ...]:
    names = said.get("x-codes", ())
    return tuple((name, refusals()[name]) for name in names)


def _bodies(said: dict[str, Any]) -> tuple[Body, ...]:
    return tuple(Body(media_type, outline_of(one["schema"])) for media_type, one in said.get("content", {}).items())


def in_words(schema: dict[str, Any]) -> str:
    """What a simple schema takes: its type, its limits, its values."""
    if "enum" in schema:
        return " or ".join("null" if one is None else str(one) for one in schema["enum"])
    if "const" in schema:
        return str(schema["const"])
    if "anyOf" in schema or "oneOf" in schema:
        return " or ".join(in_words(one) for one in schema.get("anyOf") or schema["oneOf"])
    kinds = schema.get("type", "anything")
    kind = " or ".join(kinds) if isinstance(kinds, list) else str(kinds)
    limits = {
        "format": "",
        "minimum": "from ",
        "maximum": "to ",
        "minLength": "characters at least ",
        "maxLength": "characters at most ",
        "minItems": "at least ",
        "maxItems": "at most ",
        "default": "unless said ",
    }
    said = [f"{word}{schema[name]}" for name, word in limits.items() if schema.get(name) not in (None, "")]
    return ", ".join([kind, *said])


def outline_of(schema: dict[str, Any]) -> str:
    """What a body looks like, as JSON with words in the place of values."""
    return _json(_outline(schema, 0))


def _outline(schema: dict[str, Any], depth: int) -> Any:
    if depth > MOST_DEEP:
        return "…"
    if "$ref" in schema:
        return _outline(document()["components"]["schemas"][schema["$ref"].rpartition("/")[2]], depth)
    if "properties" in schema:
        return {name: _outline(one, depth + 1) for name, one in schema["properties"].items()}
    if schema.get("type") == "array" or "items" in schema:
        return [_outline(schema.get("items", {}), depth + 1)]
    choices = schema.get("anyOf") or schema.get("oneOf") or ()
    whole = [one for one in choices if one != {"type": "null"}]
    if any("properties" in one or "$ref" in one or "items" in one for one in whole):
        return _outline(whole[0], depth)
    return in_words(schema)
