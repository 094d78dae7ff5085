"""What is wrong with a text that is no JSON, in words that lead to the line where it is to be mended."""

import json

EXPECTED = {
    "Expecting ',' delimiter": "a comma, or the end of the list or object, was expected",
    "Expecting ':' delimiter": "a colon was expected",
    "Expecting value": "a value was expected",
    "Expecting property name enclosed in double quotes": "a name in double quotes was expected",
    "Extra data": "nothing more was expected",
}
UNENDED = "a text begins that never ends: its closing quote is missing"


def mistake(unreadable: Exception) -> str:
    """The mistake that a parser of JSON met, with its line and column, both counted from 1.

    Where something is missing, the parser stands at what comes next, often a line below: what it follows is named too.
    """
    if not isinstance(unreadable, json.JSONDecodeError):
        return str(unreadable)
    text, at = unreadable.doc, unreadable.pos
    found = f"line {unreadable.lineno}, column {unreadable.colno}"
    expected = EXPECTED.get(unreadable.msg)
    if expected is None:
        return f"{found}: {_within_text(unreadable)}"
    before = text[:at].rstrip()
    if not before:
        return f"{found}: {expected}"
    met = f"but {found} has “{text[at]}”" if at < len(text) else "but the text ends there"
    return f"{expected} after “{before[-1]}” in {_place(before)}, {met}"


def _within_text(unreadable: json.JSONDecodeError) -> str:
    if unreadable.msg.startswith("Unterminated string"):
        return UNENDED
    if unreadable.msg.startswith("Invalid control character"):
        is_line = unreadable.doc[unreadable.pos] in "\r\n"
        return (
            "the line ends within a text: is its closing quote missing?"
            if is_line
            else "a text holds a control character"
        )
    return unreadable.msg


def _place(before: str) -> str:
    """The line and column of a text's last character."""
    return f"line {before.count(chr(10)) + 1}, column {len(before) - (before.rfind(chr(10)) + 1)}"
