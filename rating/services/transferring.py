"""Plan documents as text: into JSON that the database can keep, and out again as people read them."""

import json
from typing import Any

from mediation.core.spec import Fault, FaultySpecError
from rating.core.plans.mistakes import mistake
from rating.core.plans.ordering import in_reading_order

MAX_BYTES = 5 << 20


def parse_document(text: str | bytes) -> Any:
    """The JSON value that a text is, its decimals kept as texts, to the digit. Raises FaultySpecError.

    Whether it is a plan that can price anything is another question: `faults_of` answers it.
    """
    if len(text) > MAX_BYTES:
        raise _unreadable(f"is larger than {MAX_BYTES:,} bytes")
    try:
        document = json.loads(
            text.removeprefix("\ufeff") if isinstance(text, str) else text,
            parse_float=str,
            parse_constant=_refuse_constant,
            object_pairs_hook=_members,
        )
        written = json.dumps(document)
        json.dumps(document, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise _unreadable(f"is no JSON that can be kept: {mistake(error)}") from None
    if "\\u0000" in written:
        raise _unreadable("holds a NUL character, which is no text")
    return document


def document_text(document: Any) -> str:
    """A plan document as people read it: its members in their order, indented."""
    return json.dumps(in_reading_order(document), indent=2, ensure_ascii=False)


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"“{twice}” is there twice in one object")
    return members


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON number")


def _unreadable(message: str) -> FaultySpecError:
    return FaultySpecError([Fault("/", message)])
