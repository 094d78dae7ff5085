"""The headers of an upload: which bytes come, and which digest they have."""

import base64
import hashlib

import pytest

from ingestion.core.spans import FaultyHeaderError, Span, hex_sha256, is_file_name, sha256_of, span_of

DIGEST = hashlib.sha256(b"a,1\n")


def test_a_request_without_a_range_brings_the_whole_file():
    assert span_of("", 40) == Span(0, 40, 40)


def test_a_range_names_its_first_and_last_byte():
    assert span_of("bytes 10-19/40", 10) == Span(10, 20, 40)


def test_a_request_without_bytes_says_that_all_of_them_are_there():
    assert span_of("bytes */40", 0) == Span(40, 40, 40)


@pytest.mark.parametrize(
    ("content_range", "byte_count"),
    [
        ("bytes 10-19/40", 9),
        ("bytes 19-10/40", 10),
        ("bytes 31-40/40", 10),
        ("bytes */40", 1),
        ("bytes 0-9/*", 10),
        ("records 0-9/40", 10),
        ("bytes ٠-٩/٤٠", 10),
    ],
)
def test_a_range_that_does_not_fit_its_body_is_told(content_range, byte_count):
    with pytest.raises(FaultyHeaderError):
        span_of(content_range, byte_count)


def test_a_digest_is_read_from_a_list_of_several():
    field = f"sha-512=:AAAA:, sha-256=:{base64.b64encode(DIGEST.digest()).decode()}:"
    assert sha256_of(field, "Content-Digest") == DIGEST.hexdigest()
    assert hex_sha256(DIGEST.hexdigest().upper(), "X-Content-SHA256") == DIGEST.hexdigest()
    assert sha256_of("", "Content-Digest") == hex_sha256("", "X-Content-SHA256") == ""


@pytest.mark.parametrize("field", ["sha-512=:AAAA:", "sha-256=:AAAA:", "sha-256=:?:", "sha-256"])
def test_a_digest_that_cannot_be_compared_is_told(field):
    with pytest.raises(FaultyHeaderError, match="Content-Digest"):
        sha256_of(field, "Content-Digest")


def test_a_digest_in_hex_has_64_digits():
    with pytest.raises(FaultyHeaderError, match="64 digits"):
        hex_sha256("abc", "X-Content-SHA256")


@pytest.mark.parametrize("name", ["", ".", "..", "a\\b", "a\nb", "a" * 201])
def test_some_names_are_none_that_a_file_may_have(name):
    assert not is_file_name(name)


def test_a_file_may_have_a_name_in_any_script():
    assert is_file_name("usage 2026-05.csv.gz")
    assert is_file_name("Verbrauch für März.csv")
