"""Examples of the document: requests that a test sends, with the answers that it got."""

import json
from functools import cache
from pathlib import Path
from typing import Any

FILE = Path(__file__).with_name("examples.json")


@cache
def examples() -> dict[str, list[dict[str, Any]]]:
    """By operation: name, path, body where one is sent, status and answer."""
    told: dict[str, list[dict[str, Any]]] = json.loads(FILE.read_text())
    return told


def tell_examples(result: dict[str, Any], **others: Any) -> dict[str, Any]:
    """Each example stands at the body and at the answer that it is of."""
    for operations in result["paths"].values():
        for operation in operations.values():
            for one in examples().get(operation["operationId"], ()):
                _tell(operation, one)
    return result


def _tell(operation: dict[str, Any], one: dict[str, Any]) -> None:
    name = one["name"].lower().replace(" ", "_")
    if "body" in one:
        taken = operation["requestBody"]["content"]["application/json"]
        taken.setdefault("examples", {})[name] = {"summary": one["name"], "value": one["body"]}
    answered = next(iter(operation["responses"][str(one["status"])]["content"].values()))
    answered.setdefault("examples", {})[name] = {"summary": one["name"], "value": one["answer"]}
