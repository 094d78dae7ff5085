"""Frames that lie in several pieces, as `concat` leaves them, are judged like any other."""

import polars as pl

from mediation.core.judging import sort_repeats

HASHES = ["same", "other", "same", "other"]


def test_a_conflict_behind_a_piece_without_one_is_named():
    repeats = pl.DataFrame(
        {
            "import_id": [1] * 4,
            "record_number": [1, 2, 3, 4],
            "raw": ["r"] * 4,
            "key": ["k"] * 4,
            "content_hash": HASHES,
        }
    )
    pieces = pl.concat([repeats[:1], repeats[1:]], rechunk=False)
    holders = pl.DataFrame({"key": ["k"], "held_by": [7], "held_hash": ["same"]})
    left_out, rejected = sort_repeats(pieces, holders)
    assert left_out["record_number"].to_list() == [1, 3]
    assert rejected["record_number"].to_list() == [2, 4]
    assert "“k”" in rejected["message"][0]
