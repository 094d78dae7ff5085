"""What ingestion writes and reads beside the ORM: payloads, outcomes in columns, parts of records, submissions."""

from ingestion.store.outcomes import (
    attempts_frame,
    close_earlier_exceptions,
    copy_in_exceptions,
    copy_in_left_out,
    lock_feed,
    lock_same_content,
    recount,
    skip_duplicates_of,
)
from ingestion.store.parts import (
    STORED_PARTS,
    copy_in_parts,
    delete_parts_of,
    delete_stale_parts,
    lock_part_keys,
    move_to_exceptions,
    parts_of,
    parts_taken_by,
    refuse_parts,
    renew_parts,
    set_part_records,
    stored_parts,
)
from ingestion.store.payloads import blocks_of, hash_of, keep_file, open_original, payload_blocks, payload_part
from ingestion.store.submissions import Submission, put_submission

__all__ = [
    "STORED_PARTS",
    "Submission",
    "attempts_frame",
    "blocks_of",
    "close_earlier_exceptions",
    "copy_in_exceptions",
    "copy_in_left_out",
    "copy_in_parts",
    "delete_parts_of",
    "delete_stale_parts",
    "hash_of",
    "keep_file",
    "lock_feed",
    "lock_part_keys",
    "lock_same_content",
    "move_to_exceptions",
    "open_original",
    "parts_of",
    "parts_taken_by",
    "payload_blocks",
    "payload_part",
    "put_submission",
    "recount",
    "refuse_parts",
    "renew_parts",
    "set_part_records",
    "skip_duplicates_of",
    "stored_parts",
]
