"""Transforms of plain text: each is one expression, takes every text and fails for none."""

from dataclasses import dataclass

import polars as pl

from mediation.core.expressions import ExpressionError
from mediation.core.expressions.patterns import check_replacement, engine_replacement, whole
from mediation.core.transforms.frames import Around, Ran, no_faults, of
from mediation.core.transforms.options import Options

MAX_PAD = 1_000
SIDES = ("both", "left", "right")


@dataclass(frozen=True)
class Plain:
    """A transform that is an expression over column `text`. A text that it leaves empty is null."""

    name: str
    expression: pl.Expr
    sources: frozenset[str] = frozenset()

    def run(self, text: pl.Series, around: Around) -> Ran:
        made = of(text, self.expression)
        return Ran(of(made, pl.when(pl.col("text") != "").then("text")), no_faults())


TEXT = pl.col("text")


def parse_trim(options: Options) -> Plain:
    """Take white space, or the given characters, off the ends."""
    side, characters = options.choice("side", SIDES, "both"), options.maybe_text("characters")
    trims = {"both": TEXT.str.strip_chars, "left": TEXT.str.strip_chars_start, "right": TEXT.str.strip_chars_end}
    return Plain("trim", trims[side](characters))


def parse_case(options: Options) -> Plain:
    """Change the case."""
    cases = {"upper": TEXT.str.to_uppercase, "lower": TEXT.str.to_lowercase, "title": TEXT.str.to_titlecase}
    to = options.choice("to", tuple(cases), "")
    return Plain("case", cases[to]() if to else TEXT)


def parse_substitute(options: Options) -> Plain:
    """Replace a literal text everywhere."""
    find, replacement = options.text("find"), options.text("replace", may_be_empty=True)
    return Plain("substitute", TEXT.str.replace_all(find, replacement, literal=True))


def parse_regex(options: Options) -> Plain:
    """Take a group of the first match, or replace matches. Without a match the text is null, or stays as it is."""
    pattern, groups = options.pattern("pattern")
    if not options.has("replace"):
        group = options.whole("group", 0, groups, 1 if groups else 0)
        return Plain("regex", TEXT.str.extract(whole(pattern), group))
    replacement = options.text("replace", may_be_empty=True)
    try:
        check_replacement(replacement, groups, (0, len(replacement)))
    except ExpressionError as error:
        options.fault("replace", f"{error.message}; \\1 stands for the first group")
        return Plain("regex", TEXT)
    replace = TEXT.str.replace_all if options.flag("all", True) else TEXT.str.replace
    return Plain("regex", replace(whole(pattern), engine_replacement(replacement)))


def parse_pad(options: Options) -> Plain:
    """Fill a short text up to a length."""
    length, side = options.whole("length", 1, MAX_PAD), options.choice("side", ("left", "right"), "left")
    with_ = options.text("with", "0", most=1)
    return Plain("pad", TEXT.str.pad_start(length, with_) if side == "left" else TEXT.str.pad_end(length, with_))


def parse_slice(options: Options) -> Plain:
    """Cut out a part; `from` counts from 1, or from the end where negative."""
    start = options.whole("from", -100_000, 100_000, 1)
    length = options.whole("length", 1, 100_000) if options.has("length") else None
    if start == 0:
        options.fault("from", "counts from 1, or from -1 at the end")
    return Plain("slice", TEXT.str.slice(start - 1 if start > 0 else start, length))


def parse_split(options: Options) -> Plain:
    """Take one of the parts between delimiters; `part` counts from 1, or from the end where negative."""
    delimiter, part = options.text("delimiter"), options.whole("part", -1_000, 1_000)
    if part == 0:
        options.fault("part", "counts from 1, or from -1 at the end")
    parts = TEXT.str.split(delimiter)
    return Plain("split", parts.list.get(part - 1 if part > 0 else part, null_on_oob=True))
