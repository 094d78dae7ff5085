"""The language as data: every function and operator with one line of help and an example, for a help page."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Entry:
    """A function or operator: how it is written, what it does, an example and what that example yields."""

    name: str
    form: str
    help: str
    example: str
    yields: str
    group: str


_ENTRIES = """
logic | AND OR NOT | a AND NOT b | three-valued: unknown AND false is false, unknown OR true is true | 1 = 1 AND NOT 1 = 2 | TRUE
logic | comparison | a = b, <>, <, <=, >, >= | compares values of one kind; text by code point | 'a' < 'b' | TRUE
logic | IS NULL | a IS [NOT] NULL | whether there is a value | NULLIF(1, 1) IS NULL | TRUE
logic | IS TRUE | a IS [NOT] TRUE, a IS [NOT] FALSE | turns unknown into false or true | (NULLIF(1, 1) = 1) IS NOT TRUE | TRUE
logic | IN | a [NOT] IN (b, c) | whether a is one of the values | 'x' IN ('x', 'y') | TRUE
logic | BETWEEN | a [NOT] BETWEEN low AND high | both ends belong | 5 BETWEEN 1 AND 5 | TRUE
logic | CASE | CASE WHEN a THEN x ELSE y END | the first branch that is true; without ELSE null | CASE 2 WHEN 1 THEN 'one' WHEN 2 THEN 'two' END | 'two'
logic | COALESCE | COALESCE(a, b, …) | the first value that is not null | COALESCE(NULLIF(1, 1), 2) | 2
logic | NULLIF | NULLIF(a, b) | null where a equals b, else a | NULLIF('-', '-') IS NULL | TRUE
logic | GREATEST | GREATEST(a, b, …) | the largest, passing over nulls | GREATEST(1, 2.5) | 2.5
logic | LEAST | LEAST(a, b, …) | the smallest, passing over nulls | LEAST(1, 2.5) | 1.0
number | + - * | a + b, a - b, a * b | exact; + and - keep the larger scale, * adds the scales | 1.5 * 0.25 | 0.375
number | / | ROUND(a / b, n) | exact division, half away from zero; only directly inside ROUND; by zero null | ROUND(2 / 3, 4) | 0.6667
number | MOD | a % b, MOD(a, b) | the remainder with the sign of a; by zero null | MOD(-7, 3) | -1
number | ROUND | ROUND(a), ROUND(a, n) | to n decimals, half away from zero | ROUND(-2.345, 2) | -2.35
number | FLOOR | FLOOR(a) | the whole number at or below | FLOOR(-1.5) | -2
number | CEIL | CEIL(a) | the whole number at or above | CEIL(1.2) | 2
number | ABS | ABS(a) | without the sign | ABS(-5) | 5
text | UPPER | UPPER(t) | in capitals, by Unicode | UPPER('straße') | 'STRASSE'
text | LOWER | LOWER(t) | in small letters, by Unicode | LOWER('ABC') | 'abc'
text | TRIM | TRIM(t), TRIM(t, 'chars'), TRIM(LEADING 'chars' FROM t) | without white space (or these characters) at both ends | TRIM('  a ') | 'a'
text | LTRIM | LTRIM(t), LTRIM(t, 'chars') | the same at the start only | LTRIM('007', '0') | '7'
text | RTRIM | RTRIM(t), RTRIM(t, 'chars') | the same at the end only | RTRIM('a  ') | 'a'
text | SUBSTR | SUBSTR(t, from[, count]) | a part, counted from 1 | SUBSTR('abcdef', 2, 3) | 'bcd'
text | SUBSTRING | SUBSTRING(t FROM from FOR count) | the same as SUBSTR | SUBSTRING('abcdef' FROM 2 FOR 3) | 'bcd'
text | LEFT | LEFT(t, n) | the first n characters; all but the last n where n is negative | LEFT('abc', 2) | 'ab'
text | RIGHT | RIGHT(t, n) | the last n characters; all but the first n where n is negative | RIGHT('abc', 2) | 'bc'
text | LENGTH | LENGTH(t) | how many characters | LENGTH('žluť') | 4
text | CONCAT | CONCAT(a, b, …) | joined; a null counts as empty | CONCAT('a', 'b') | 'ab'
text | \\|\\| | a \\|\\| b | joined; null where a part is null | 'a' \\|\\| 'b' | 'ab'
text | REPLACE | REPLACE(t, 'from', 'to') | every occurrence replaced | REPLACE('a-b-c', '-', '') | 'abc'
text | LPAD | LPAD(t, n[, 'c']) | filled at the start to n characters, cut where longer | LPAD('7', 3, '0') | '007'
text | SPLIT_PART | SPLIT_PART(t, 'sep', n) | the n-th part; empty where there is none | SPLIT_PART('a;b;c', ';', 2) | 'b'
text | STRPOS | STRPOS(t, 'part') | where the part begins, from 1; 0 where it is not | STRPOS('abc', 'c') | 3
text | POSITION | POSITION('part' IN t) | the same as STRPOS | POSITION('c' IN 'abc') | 3
text | STARTS_WITH | STARTS_WITH(t, prefix) | whether the text begins so | STARTS_WITH('+420123', '+420') | TRUE
text | LIKE | t [NOT] LIKE 'pattern' [ESCAPE 'c'] | % stands for any characters, _ for one | 'voice.mo' LIKE 'voice.%' | TRUE
text | REGEXP_LIKE | REGEXP_LIKE(t, 'pattern'), t ~ 'pattern', t !~ 'pattern' | whether the pattern occurs | 'AB12' ~ '^[A-Z]+[0-9]+$' | TRUE
text | REGEXP_REPLACE | REGEXP_REPLACE(t, 'pattern', 'to'[, 'g']) | the first match (with 'g' every one) replaced; \\1 is the first group | REGEXP_REPLACE('a1b2', '[0-9]', '', 'g') | 'ab'
text | REGEXP_SUBSTR | REGEXP_SUBSTR(t, 'pattern') | the first match, null without one | REGEXP_SUBSTR('order 4711', '[0-9]+') | '4711'
text | REGEXP_EXTRACT | REGEXP_EXTRACT(t, 'pattern'[, group]) | a group of the first match | REGEXP_EXTRACT('a=1', '(.)=(.)', 2) | '1'
moment | TIMESTAMP | TIMESTAMP '2026-05-01 12:00:00Z' | a moment; UTC where no offset is given | TIMESTAMP '2026-05-01' < TIMESTAMP '2026-05-02' | TRUE
moment | INTERVAL | m + INTERVAL '90' SECOND, m - n * INTERVAL '1' HOUR | moved by seconds, minutes, hours or days | EXTRACT(DAY FROM TIMESTAMP '2026-02-28' + INTERVAL '1' DAY) | 1
moment | EXTRACT | EXTRACT(HOUR FROM m) | YEAR, MONTH, DAY, HOUR, MINUTE, SECOND, DOW (0 is Sunday), EPOCH | EXTRACT(HOUR FROM TIMESTAMP '2026-05-01 12:30') | 12
moment | EXTRACT(EPOCH) | EXTRACT(EPOCH FROM a - b) | the seconds from b to a | EXTRACT(EPOCH FROM TIMESTAMP '2026-05-02' - TIMESTAMP '2026-05-01') | 86400.000000
moment | SECONDS_BETWEEN | SECONDS_BETWEEN(start, end) | the seconds from start to end | SECONDS_BETWEEN(TIMESTAMP '2026-05-01', TIMESTAMP '2026-05-02') | 86400.000000
moment | DATE_TRUNC | DATE_TRUNC('day', m) | the start of its year, quarter, month, week (Monday), day, hour, minute or second, in UTC | DATE_TRUNC('month', TIMESTAMP '2026-05-17') = TIMESTAMP '2026-05-01' | TRUE
kind | CAST | CAST(a AS DECIMAL(p, s)) | to TEXT, INTEGER, DECIMAL, BOOLEAN or TIMESTAMP; null where it does not fit; numbers rounded half away from zero | CAST('1.005' AS DECIMAL(9, 2)) | 1.01
"""  # noqa: E501 - one line is one entry

_SPELLINGS = {"MOD", "CEILING", "REGEXP_LIKE", "CAST"}
_NOT_CALLED = {"IN", "BETWEEN", "CASE", "LIKE", "TIMESTAMP", "INTERVAL", "MOD"}


def describe() -> tuple[Entry, ...]:
    """Every function and operator of the language."""
    entries = []
    for line in _ENTRIES.strip().splitlines():
        cells = (cell.strip().replace("\0", "|") for cell in line.replace("\\|", "\0").split(" | "))
        group, name, form, text, example, yields = cells
        entries.append(Entry(name, form, text, example, yields, group))
    return tuple(entries)


FUNCTION_NAMES = (
    frozenset(
        {entry.name for entry in describe() if entry.name.isupper() and entry.name.replace("_", "").isalpha()}
        - _NOT_CALLED
    )
    | _SPELLINGS
)
