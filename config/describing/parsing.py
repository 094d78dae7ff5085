"""Bodies of JSON for every door whose members are few: bounded before and while they are parsed."""

import json
from collections.abc import Iterator
from typing import Any

from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from rest_framework.exceptions import ParseError
from rest_framework.parsers import JSONParser

from mediation.core.reading import json_records

MAX_NUMBER = 1_000  # characters


class BoundedJSONParser(JSONParser):
    """Refuses what is too large, nested too deep, or no text; a crash is what its framework's parser makes of it."""

    def parse(self, stream: Any, media_type: Any = None, parser_context: Any = None) -> Any:
        """The value. Raises ParseError, or RequestDataTooBig."""
        most = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
        content = stream.read(most + 1)
        if len(content) > most:
            raise RequestDataTooBig
        try:
            value = json.loads(content.decode(), parse_int=_integer, parse_float=_float, parse_constant=_refuse)
        except RecursionError:
            raise _too_deep() from None
        except ValueError as error:
            raise ParseError(f"JSON parse error - {error}") from None
        if json_records.is_deep(value):
            raise _too_deep()
        if b"\\ud" in content.lower() and not all(map(_is_text, _names(value))):
            raise ParseError("JSON parse error - a name holds half of a surrogate pair, which is no text")
        return value


def _too_deep() -> ParseError:
    return ParseError(f"JSON parse error - it is nested more than {json_records.MAX_DEPTH} deep")


def _refuse(name: str) -> Any:
    raise ValueError(f"{name} is no JSON number")


def _integer(digits: str) -> int:
    if len(digits) > MAX_NUMBER:
        raise ValueError(f"the number {digits[:40]} is too long")
    return int(digits)


def _float(digits: str) -> float:
    """Only ever refused: amounts are texts. What has no end as a float could not be told in the refusal."""
    value = float(digits) if len(digits) <= MAX_NUMBER else float("inf")
    if value in (float("inf"), float("-inf")):
        raise ValueError(f"the number {digits[:40]} is too long")
    return value


def _names(value: Any) -> Iterator[str]:
    """The names of every object in a value that is not nested deep."""
    if isinstance(value, dict):
        yield from value
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from _names(item)


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
