"""Keys as words of their own in the texts of records: which stand in which, in bounded work whatever is asked."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

MOST_STEPS = 100_000  # from place to place where a key might stand
MOST_TOLD = 100  # texts of a key
WORD = re.compile(r"[^\W_]+")


class Found(NamedTuple):
    """The numbers of the texts in which each key stands. is_whole: every text was looked through for every key."""

    texts: Mapping[str, Sequence[int]]
    is_whole: bool


def find_keys(texts: Iterable[tuple[int, str]], keys: Sequence[str]) -> Found:
    """Which keys stand in which texts, with no letter or digit right before or behind them.

    A text in which a key stands has each of the key's words among its own, so that only few are searched for few keys.
    """
    by_word = _by_rarest_word(keys)
    found: dict[str, list[int]] = defaultdict(list)
    steps = 0
    for number, text in texts:
        words = {*WORD.findall(text), ""}
        for key in (key for word in words & by_word.keys() for key in by_word[word]):
            if steps >= MOST_STEPS:
                return Found(dict(found), is_whole=False)
            does_stand, taken = _stands(key, text) if len(found.get(key, ())) < MOST_TOLD else (False, 0)
            steps += 1 + taken
            if does_stand:
                found[key].append(number)
    return Found(dict(found), is_whole=True)


def _by_rarest_word(keys: Sequence[str]) -> dict[str, list[str]]:
    """Keys by that word of theirs which fewest of them have; those without any by the empty word."""
    words = {key: set(WORD.findall(key)) for key in dict.fromkeys(keys)}
    count = Counter(word for each in words.values() for word in each)
    by_word: dict[str, list[str]] = defaultdict(list)
    for key, each in words.items():
        by_word[min(each, key=lambda word: (count[word], word), default="")].append(key)
    return by_word


def _stands(key: str, text: str) -> tuple[bool, int]:
    """Whether a key stands in a text, and how many places of it were looked at."""
    at, steps = text.find(key), 0
    while at >= 0:
        steps += 1
        if not (WORD.match(text[at - 1 : at]) or WORD.match(text[at + len(key) : at + len(key) + 1])):
            return True, steps
        at = text.find(key, at + 1)
    return False, steps
