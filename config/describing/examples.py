"""Examples of the document: requests that a test sends, with the answers that it got."""

import json
import re
from functools import cache
from pathlib import Path
from typing import Any

FILE = Path(__file__).with_name("examples.json")


@cache
def examples() -> dict[str, list[dict[str, Any]]]:
    """By operation: name, method, path, status; where there are any: headers, body and answer with their types."""
    told: dict[str, list[dict[str, Any]]] = json.loads(FILE.read_text())
    return told


def called(one: dict[str, Any]) -> str:
    """What an example is called in the document, in each place that shows a part of it."""
    return re.sub(r"\W+", "_", one["name"].lower())


def tell_examples(result: dict[str, Any], **others: Any) -> dict[str, Any]:
    """Each example stands at the headers, the body and the answer that it is of."""
    for operations in result["paths"].values():
        for operation in operations.values():
            for one in examples().get(operation["operationId"], ()):
                _tell(operation, one)
    return result


def _tell(operation: dict[str, Any], one: dict[str, Any]) -> None:
    for parameter in operation.get("parameters", ()):
        if parameter["in"] == "header" and parameter["name"] in one.get("headers", {}):
            _put(parameter, one, one["headers"][parameter["name"]])
    if "body" in one:
        _put(operation["requestBody"]["content"][one["body_type"]], one, one["body"])
    if "answer" in one:
        _put(operation["responses"][str(one["status"])]["content"][one["answer_type"]], one, one["answer"])


def _put(place: dict[str, Any], one: dict[str, Any], value: Any) -> None:
    told = {"summary": one["name"], "description": f"`{one['method']} {one['path']}`", "value": value}
    place.setdefault("examples", {})[called(one)] = told
