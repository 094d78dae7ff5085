"""Patterns that admins type: LIKE as a regular expression, and regular expressions held to the linear engine."""

import re

import polars as pl

from mediation.core.expressions.faults import ExpressionError
from mediation.core.expressions.tree import Span

MAX_PATTERN = 200  # characters
# What repetition may unfold to. \w{150} compiles in 50 ms and the engine refuses beyond 10 MB, but only after 80 ms.
MAX_WEIGHT = 150
PLAIN_WEIGHT = 0.1  # a plain character against a class, which may hold all of Unicode
ATOM = re.compile(
    r"\\[pP]\{[^}]*\}|\\x\{[^}]*\}|\\.|\[\^?\]?(?:\\.|\[:\^?\w+:\]|[^\]\\])*\]|\(\?[^:)]*[:)]|.", re.DOTALL
)
REPEAT = re.compile(r"\{(\d*)(?:,(\d*))?\}[?+]?|[*+?]\??")


def check_like(pattern: str, escape: str, span: Span) -> None:
    """Raise where a LIKE pattern ends in its escape, or the escape is not one character."""
    if len(escape) != 1:
        raise ExpressionError("the escape must be one character", *span)
    try:
        like_parts(pattern, escape)
    except ValueError as fault:
        raise ExpressionError(str(fault), *span) from None


def like_parts(pattern: str, escape: str) -> list[str]:
    """The pattern in parts: '%', '_', or '=' and a literal character."""
    parts, characters = [], iter(pattern)
    for character in characters:
        if character == escape:
            following = next(characters, None)
            if following is None:
                raise ValueError("the pattern ends in its escape character")
            parts.append("=" + following)
        else:
            parts.append(character if character in "%_" else "=" + character)
    return parts


def like_regex(pattern: str, escape: str) -> str:
    """A regular expression (Rust's and Python's alike) that matches what the LIKE pattern matches, whole."""
    spelled = {"%": ".*", "_": "."}
    body = "".join(spelled.get(part) or re.sub(r"[^\w]", _hex, part[1:]) for part in like_parts(pattern, escape))
    return f"(?s)^(?:{body})$"


def _hex(match: "re.Match[str]") -> str:
    character = match.group()
    return f"\\{character}" if character in r".+*?()|[]{}^$\#&-~" else character


def check_regex(pattern: str, span: Span) -> int:
    """How many groups the pattern has; raises where the engine does not take it or it unfolds to too much."""
    if len(pattern) > MAX_PATTERN:
        raise ExpressionError(f"the pattern is longer than {MAX_PATTERN} characters", *span)
    if weight_of(pattern) > MAX_WEIGHT:
        raise ExpressionError("the pattern repeats too much: repeat fewer times or with fewer alternatives", *span)
    try:
        groups = pl.Series([], dtype=pl.String).str.extract_groups(pattern).dtype
        pl.Series([], dtype=pl.String).str.contains(whole(pattern), literal=False, strict=True)
    except pl.exceptions.PolarsError as fault:
        reason = next((line for line in str(fault).splitlines() if line.startswith("error:")), "error: is not valid")
        raise ExpressionError(f"the pattern is no regular expression: {reason[7:]}", *span) from None
    return len(groups.fields) if isinstance(groups, pl.Struct) else 0


def whole(pattern: str) -> str:
    """The pattern as one group: polars treats a pattern without any special sign by other rules in replacements."""
    return f"(?:{pattern})"


def weight_of(pattern: str) -> float:
    """About how many states the pattern unfolds to, classes counted whole; counted repetitions multiply."""
    sums: list[float] = [0.0]
    last, position = 0.0, 0
    while position < len(pattern):
        repeat = REPEAT.match(pattern, position)
        if repeat:
            times = max((int(bound) for bound in repeat.groups() if bound), default=1)
            sums[-1] += last * (times - 1)
            last *= times
            position = repeat.end()
            continue
        atom = ATOM.match(pattern, position)
        assert atom is not None  # noqa: S101 - its last branch takes any character
        position = atom.end()
        text = atom.group()
        if text.startswith("(") and not text.endswith(")"):
            sums.append(0.0)
            continue
        if text == ")" and len(sums) > 1:
            last = sums.pop()
        else:
            last = 1.0 if (text[0] in "\\[" and len(text) > 1) or text == "." else PLAIN_WEIGHT
        sums[-1] += last
        if max(sums) > MAX_WEIGHT:
            return max(sums)
    return sum(sums)


def check_replacement(replacement: str, groups: int, span: Span) -> None:
    """Raise where a replacement names a group that the pattern lacks."""
    try:
        parts = replacement_parts(replacement)
    except ValueError as fault:
        raise ExpressionError(str(fault), *span) from None
    for part in parts:
        if isinstance(part, int) and part > groups:
            raise ExpressionError(f"the pattern has no group {part}", *span)


def replacement_parts(replacement: str) -> list[str | int]:
    """The replacement in literal texts and group numbers (0, written \\&, is the whole match)."""
    parts: list[str | int] = []
    characters = iter(replacement)
    for character in characters:
        if character != "\\":
            parts.append(character)
            continue
        following = next(characters, "")
        if following.isascii() and following.isdigit():
            parts.append(int(following))
        elif following in ("&", "\\"):
            parts.append(0 if following == "&" else "\\")
        else:
            raise ValueError("in a replacement a backslash stands before a group number, & or a backslash")
    return parts


def engine_replacement(replacement: str) -> str:
    """The replacement in the engine's own notation."""
    return "".join(
        f"${{{part}}}" if isinstance(part, int) else part.replace("$", "$$") for part in replacement_parts(replacement)
    )
