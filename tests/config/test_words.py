"""Keys in texts of records, without a database: each where it stands as a word, and bounded work whoever asks."""

import re
import time
import tracemalloc

from hypothesis import given
from hypothesis import strategies as st

from config.answering import words
from config.answering.words import find_keys

signs = st.text(st.sampled_from("ab1é_-. |"), max_size=12)


def plainly(texts, keys):
    """One search after the other."""
    found = {}
    for key in keys:
        standing = re.compile(rf"(?<![^\W_]){re.escape(key)}(?![^\W_])")
        if numbers := [number for number, text in texts if standing.search(text)]:
            found[key] = numbers
    return found


@given(st.lists(signs, max_size=6), st.lists(signs.filter(bool), max_size=6))
def test_keys_are_found_where_a_plain_search_finds_them(texts, keys):
    numbered = list(enumerate(texts))
    found = find_keys(numbered, keys)
    assert ({key: list(numbers) for key, numbers in found.texts.items()}, found.is_whole) == (
        plainly(numbered, keys),
        True,
    )


def test_many_keys_in_as_many_texts_are_found_at_once():
    keys = [f"call-{number}" for number in range(1_000)]
    texts = [(number, f"2026-05-01T10:00:00Z,call-{number},ten,calls") for number in range(5_000)]
    found = find_keys(texts, keys)
    assert found.is_whole
    assert found.texts == {key: [number] for number, key in enumerate(keys)}


HOSTILE = [
    (["a" * length for length in range(1, 1_001)], "a" * 4_000),
    (["-" * length for length in range(1, 1_001)], "-" * 4_000),
    (["-" * length + "a" for length in range(1, 1_001)], ("-" * 1_999 + "ab") * 2),
    ([f"a-{'a-' * length}b" for length in range(1, 500)], "a-" * 2_000),
    ([f"a{'-a' * length}" for length in range(1, 1_000)], "a-" * 2_000),
    ([f"{'-a' * length}-" for length in range(1, 1_000)], "a-" * 2_000),
]


def test_keys_and_texts_made_to_match_everywhere_take_bounded_time_and_memory():
    for keys, text in HOSTILE:
        tracemalloc.start()
        started = time.process_time()
        find_keys([(number, text) for number in range(5_000)], keys)
        assert time.process_time() - started < 10
        assert tracemalloc.get_traced_memory()[1] < 32 << 20
        tracemalloc.stop()


def test_what_is_not_looked_through_is_told(monkeypatch):
    monkeypatch.setattr(words, "MOST_STEPS", 6)
    found = find_keys([(number, "a b") for number in range(5)], ["a", "b"])
    assert not found.is_whole
    assert sum(map(len, found.texts.values())) == 3


def test_of_a_key_in_many_texts_the_first_are_told():
    assert find_keys([(number, "a") for number in range(500)], ["a"]).texts == {"a": list(range(100))}
