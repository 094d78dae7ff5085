"""What is refused before a parser sees it: too long, too deep, and every sign or function that the language lacks."""

import re
from collections.abc import Collection
from difflib import get_close_matches

from sqlglot.dialects.postgres import Postgres
from sqlglot.errors import SqlglotError
from sqlglot.tokens import Token, TokenType

from mediation.core.expressions.faults import ExpressionError
from mediation.core.expressions.language import FUNCTION_NAMES

MAX_CHARACTERS = 2_000
MAX_DEPTH = 30
MAX_NUMBER = 40  # characters of a literal number: 38 digits, a point, a zero

SIGNS = {"(", ")", ",", ".", "-", "+", "*", "/", "%", "||", "=", "<>", "!=", "<", "<=", ">", ">=", "::", "~", "!"}
WORD = re.compile(r"[^\W\d]\w*")
# Words that may stand before a parenthesis without being a function.
OPERATOR_WORDS = {
    "AND", "OR", "NOT", "IN", "CASE", "WHEN", "THEN", "ELSE", "BETWEEN", "LIKE", "FROM", "FOR", "DECIMAL", "NUMERIC",
    "IS", "ESCAPE",
}  # fmt: skip
FOREIGN_WORDS = {
    "SELECT", "WITH", "UNION", "INTERSECT", "EXCEPT", "OVER", "EXISTS", "ANY", "ALL", "SOME", "INSERT", "UPDATE",
    "DELETE", "DROP", "CREATE", "COPY", "CURRENT_DATE", "CURRENT_TIME", "CURRENT_TIMESTAMP", "CURRENT_USER",
    "LOCALTIME", "LOCALTIMESTAMP", "SESSION_USER", "ILIKE", "SIMILAR", "COLLATE", "LATERAL", "WINDOW", "FILTER",
    "ARRAY", "ROW", "STRUCT", "MAP", "DISTINCT", "ORDER", "GROUP", "LIMIT", "HAVING", "WHERE", "VALUES",
}  # fmt: skip


def screen(text: str, fields: Collection[str]) -> list[Token]:
    """The tokens of `text`; raises ExpressionError where one has no place in the language."""
    if len(text) > MAX_CHARACTERS:
        raise ExpressionError(
            f"is {len(text):,} characters long, more than {MAX_CHARACTERS:,}", MAX_CHARACTERS, len(text)
        )
    if not text.strip():
        raise ExpressionError("is empty", 0, len(text))
    tokens = _tokens_of(text)
    _check_gaps(text, tokens)
    names = {name.upper() for name in fields}
    depth = prefixes = 0
    for index, token in enumerate(tokens):
        following = tokens[index + 1] if index + 1 < len(tokens) else None
        _check_token(text, token, following, names, tokens[index - 1] if index else None)
        word = token.text.upper() if token.token_type not in (TokenType.STRING, TokenType.IDENTIFIER) else ""
        depth += (word in ("(", "CASE")) - (word in (")", "END"))
        prefixes = prefixes + 1 if word in ("NOT", "-", "+", "INTERVAL", "BETWEEN") else 0
        if depth + prefixes > MAX_DEPTH:
            raise ExpressionError(f"is nested more than {MAX_DEPTH} deep here", token.start, token.end + 1)
    return tokens


def _tokens_of(text: str) -> list[Token]:
    try:
        return Postgres().tokenize(text)
    except SqlglotError:
        quote = max(text.rfind("'"), text.rfind('"'), 0)
        raise ExpressionError("a quote is opened here and not closed", quote, len(text)) from None


def _check_gaps(text: str, tokens: list[Token]) -> None:
    """What lies between tokens must be blank: comments are the one thing that a tokenizer drops."""
    end = 0
    for token in tokens:
        if text[end : token.start].strip():
            raise ExpressionError("comments and hidden signs have no place here", end, token.start)
        end = token.end + 1
    if text[end:].strip():
        raise ExpressionError("comments and hidden signs have no place here", end, len(text))


def _check_token(text: str, token: Token, following: Token | None, names: set[str], before: Token | None) -> None:
    start, end = token.start, token.end + 1
    came = text[start:end]
    calls = following is not None and following.token_type == TokenType.L_PAREN
    if token.token_type == TokenType.STRING:
        if not came.startswith("'"):
            raise ExpressionError("text is written in single quotes", start, end)
        if following is not None and following.token_type == TokenType.STRING:
            raise ExpressionError("two texts side by side: join them with ||", start, following.end + 1)
    elif token.token_type == TokenType.IDENTIFIER:
        if calls or not came.startswith('"'):
            raise ExpressionError("a name in double quotes is a field, not a function", start, end)
    elif token.token_type == TokenType.NUMBER:
        _check_number(came, start, end, following, before)
    elif WORD.fullmatch(came):
        _check_word(came, start, end, calls, names)
    elif came not in SIGNS:
        raise ExpressionError(f"{came!r} is no sign of this language", start, end)


def _check_number(came: str, start: int, end: int, following: Token | None, before: Token | None) -> None:
    touches = [other for other in (following, before) if other and (other.start == end or other.end + 1 == start)]
    dotted = any(other is not None and other.token_type == TokenType.DOT for other in (following, before))
    joined = dotted or any(WORD.match(other.text) for other in touches)
    if joined or not re.fullmatch(r"[0-9]+(\.[0-9]+)?", came):
        raise ExpressionError("a number is written as digits, a point and digits, as in 1000 or 0.5", start, end)
    if len(came) > MAX_NUMBER:
        raise ExpressionError("a number has at most 38 digits", start, end)


def _check_word(came: str, start: int, end: int, calls: bool, names: set[str]) -> None:
    word = came.upper()
    if calls and word not in FUNCTION_NAMES and word not in OPERATOR_WORDS:
        similar = get_close_matches(word, FUNCTION_NAMES, n=1)
        hint = f"; did you mean {similar[0]}?" if similar else ""
        raise ExpressionError(f"{came} is no function of this language{hint}", start, end)
    if word in FOREIGN_WORDS and word not in names and not any(name.endswith(f".{word}") for name in names):
        raise ExpressionError(f"{came.upper()} has no place in an expression", start, end)
