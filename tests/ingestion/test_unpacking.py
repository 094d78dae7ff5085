"""Packed files: what is unpacked, what is refused and why, and that nothing makes it crash or swell."""

import bz2
import contextlib
import gzip
import io
import lzma
import random
import time
import tracemalloc
import zipfile
from collections.abc import Callable

import pytest
from backports import zstd
from hypothesis import given, settings
from hypothesis import strategies as st

from mediation.core.reading.unpacking import Limits, UnpackError, kind_of, unpack

ROWS = b"".join(b"%d,%d\n" % (number, number * 7919 % 10007) for number in range(5_000))


def zipped(members: dict[str, bytes]) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return target.getvalue()


PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "gz": gzip.compress,
    "zip": lambda content: zipped({"rows.csv": content}),
    "zst": zstd.compress,
}


def unpacked(content: bytes, limits: Limits | None = None) -> tuple[str | None, bytes]:
    spool = io.BytesIO()
    kind = unpack(io.BytesIO(content), spool, limits)
    return kind, spool.getvalue()


def refusal(content: bytes, limits: Limits | None = None) -> str:
    with pytest.raises(UnpackError) as refused:
        unpacked(content, limits)
    return refused.value.code


@pytest.mark.parametrize("kind", PACKERS)
def test_a_packed_file_is_told_by_its_bytes_and_unpacked(kind):
    assert unpacked(PACKERS[kind](ROWS)) == (kind, ROWS)


@pytest.mark.parametrize("kind", PACKERS)
def test_an_empty_packed_file_is_an_empty_file(kind):
    assert unpacked(PACKERS[kind](b"")) == (kind, b"")


def test_text_is_not_packed():
    assert unpacked(b"PK,1\n") == (None, b"")
    assert unpacked(b"") == (None, b"")


def test_an_office_document_is_no_packed_file():
    assert unpacked(zipped({"[Content_Types].xml": b"<a/>", "xl/workbook.xml": b"<b/>"})) == (None, b"")


def test_members_that_follow_each_other_are_one_file():
    assert unpacked(gzip.compress(b"a\n") + gzip.compress(b"b\n")) == ("gz", b"a\nb\n")
    assert unpacked(zstd.compress(b"a\n") + b"\x50\x2a\x4d\x18\x02\0\0\0xy" + zstd.compress(b"b\n")) == (
        "zst",
        b"a\nb\n",
    )


def test_members_are_told_apart_wherever_blocks_end():
    noise = random.Random(1).randbytes((1 << 16) + 40)
    for length in range((1 << 16) - 80, (1 << 16) + 40):
        packed = gzip.compress(noise[:length], compresslevel=0, mtime=0) + gzip.compress(b"tail", mtime=0)
        assert unpacked(packed) == ("gz", noise[:length] + b"tail")


@pytest.mark.parametrize("kind", PACKERS)
def test_a_file_that_ends_in_the_middle_is_refused_at_every_length(kind):
    packed = PACKERS[kind](ROWS[:2_000])
    for length in range(4, len(packed)):
        assert refusal(packed[:length]) in ("truncated", "broken_archive", "trailing_bytes")


@pytest.mark.parametrize("kind", PACKERS)
def test_what_follows_the_end_is_refused(kind):
    assert refusal(PACKERS[kind](ROWS) + b"garbage") in ("trailing_bytes", "truncated")
    assert refusal(PACKERS[kind](ROWS) + b"\0" * 200_000) in ("trailing_bytes", "truncated")


def test_a_zip_before_a_zip_is_refused():
    assert refusal(zipped({"a.csv": b"1"}) + zipped({"b.csv": b"2"})) == "trailing_bytes"


def test_a_zip_holds_exactly_one_file():
    assert refusal(zipped({"a.csv": b"1", "b.csv": b"2"})) == "members"
    assert refusal(zipped({})) == "members"


def test_a_file_in_a_zip_may_have_no_name():
    packed = zipped({"x": b"1,2\n"})
    start = packed.index(b"PK\x01\x02")
    nameless = bytearray(packed[: start + 28] + b"\0\0" + packed[start + 30 : start + 46] + packed[start + 47 :])
    place = nameless.rindex(b"PK\x05\x06")
    nameless[place + 12 : place + 16] = (46).to_bytes(4, "little")
    assert refusal(bytes(nameless)) == "broken_archive"


def test_names_in_a_zip_mean_nothing():
    assert unpacked(zipped({"../../etc/passwd": b"1,2\n"})) == ("zip", b"1,2\n")


def test_a_file_packed_twice_is_refused():
    for outer in PACKERS.values():
        for inner in PACKERS.values():
            assert refusal(outer(inner(ROWS))) == "nested"


def test_a_zipped_office_document_is_unpacked_once():
    document = zipped({"[Content_Types].xml": b"<a/>", "xl/workbook.xml": b"<b/>"})
    assert unpacked(zipped({"book.xlsx": document})) == ("zip", document)


def test_other_archives_are_named_and_refused():
    assert refusal(bz2.compress(ROWS)) == "unknown_packing"
    assert refusal(lzma.compress(ROWS)) == "unknown_packing"


def test_a_zip_with_a_password_is_refused():
    packed = bytearray(zipped({"a.csv": b"1"}))
    packed[6] |= 1
    packed[packed.index(b"PK\x01\x02") + 8] |= 1
    assert refusal(bytes(packed)) == "encrypted"


def test_a_damaged_file_is_refused():
    for packer in PACKERS.values():
        packed = bytearray(packer(ROWS))
        packed[len(packed) // 2] ^= 0xFF
        if packer is not zstd.compress:
            assert refusal(bytes(packed)) in ("broken_archive", "trailing_bytes", "truncated")


@pytest.mark.parametrize("kind", PACKERS)
def test_the_bounds_name_themselves(kind):
    packed = PACKERS[kind](ROWS)
    assert refusal(packed, Limits(unpacked_bytes=len(ROWS) - 1)) == "unpacked_bytes"
    assert unpacked(packed, Limits(unpacked_bytes=len(ROWS)))[1] == ROWS
    assert refusal(PACKERS[kind](b"0" * (8 << 20)), Limits(ratio=20)) == "ratio"


def test_a_small_file_of_one_sign_is_no_bomb():
    assert unpacked(gzip.compress(b"0" * (1 << 20)))[0] == "gz"


@pytest.mark.parametrize("kind", PACKERS)
def test_a_bomb_is_refused_soon_and_in_little_memory(kind):
    bomb = PACKERS[kind](b"0" * (200 << 20))
    tracemalloc.start()
    started = time.process_time()
    assert refusal(bomb) == "ratio"
    assert time.process_time() - started < 2
    assert tracemalloc.get_traced_memory()[1] < 64 << 20
    tracemalloc.stop()


def test_a_zip_that_lies_about_its_size_is_refused():
    packed = bytearray(zipped({"a.csv": b"0" * (200 << 20)}))
    size = (100).to_bytes(4, "little")
    packed[22:26] = size
    place = packed.index(b"PK\x01\x02")
    packed[place + 24 : place + 28] = size
    assert refusal(bytes(packed)) == "broken_archive"


def test_a_zip_of_very_many_members_is_refused_unread():
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        for number in range(40_000):
            archive.writestr(f"{number:060}", b"")
    assert refusal(target.getvalue()) == "members"


def test_very_many_gzip_members_are_refused():
    started = time.process_time()
    assert refusal(gzip.compress(b"", mtime=0) * 20_000) == "members"
    assert time.process_time() - started < 2


mutations = st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), max_size=8)


@settings(max_examples=400, deadline=None)
@given(
    kind=st.sampled_from(sorted(PACKERS)), content=st.binary(max_size=3_000), changes=mutations, kept=st.floats(0, 1)
)
def test_a_changed_or_cut_file_is_refused_or_read_and_never_crashes(kind, content, changes, kept):
    packed = bytearray(PACKERS[kind](content))
    for place, value in changes:
        packed[place % len(packed)] = value
    with contextlib.suppress(UnpackError):
        unpacked(bytes(packed[: int(len(packed) * kept)]))


@settings(max_examples=300, deadline=None)
@given(
    head=st.sampled_from(
        [b"\x1f\x8b\x08", b"PK\x03\x04", b"PK\x05\x06", b"\x28\xb5\x2f\xfd", b"\x51\x2a\x4d\x18", b""]
    ),
    tail=st.binary(),
)
def test_anything_after_a_magic_is_refused_or_read(head, tail):
    try:
        assert kind_of(head + tail) or unpacked(head + tail) == (None, b"")
        unpacked(head + tail)
    except UnpackError:
        pass
