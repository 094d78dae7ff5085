"""The verbs of ingestion, in the order in which usage meets them.

POST ─► receive_usage ┐  (the sender's next ones: receive_more_usage)
file ─► receive_file  ┴─► a UsageImport and its bytes, durable before we answer        receiving
parts of a file ─► hold_upload ─► keep_bytes … ─► finish_upload ─► receive_file        uploads
place ─► poll_pickup_locations ─► receive_file, then done/ or failed/                 pickups
a stored file ─► plan_next_import ─► chunks of whole records                           planning
chunks ─► mediate_next_chunks ─► one transaction each: UDRs · exceptions · left out    mediating
rows of one record ─► combine_rows, write_parts; later expire_waiting_parts            parts, expiring
one bad record ─► where the profile says so, nothing of its chunk or file              envelopes
exceptions ─► correct · write off · reopen · reprocess ─► retry_next_exceptions        exceptions, retrying
exceptions ─► retry_later ─► retry_due, after gaps that grow                           later
a group of exceptions ─► one rule ─► ask_correction ─► correct_next_portion · undo     fixing
usage taken back by its key ─► ask_void ─► void_next, each key with its outcome        voiding
a past window again ─► open_backfill ─► ask_close ─► backfill_next: swapped in at once   backfilling
a whole import ─► reprocess_imports: a new attempt, swapped in when it is complete     reprocessing
"""

from ingestion.core.fixing import FaultyRuleError
from ingestion.services.backfilling import (
    Figures,
    UnableToBackfill,
    ask_abandon,
    ask_close,
    ask_revert,
    backfill_next,
    figures_of,
    open_backfill,
)
from ingestion.services.exceptions import (
    UnableToCorrect,
    UnableToReopen,
    UnableToWriteOff,
    correct_exception,
    reopen_exceptions,
    reprocess_exceptions,
    retry_next_exceptions,
    write_off_exceptions,
)
from ingestion.services.expiring import expire_waiting_parts
from ingestion.services.fixing import (
    CorrectionPreview,
    Reading,
    RulePreview,
    Sampled,
    UnableToFix,
    UnableToPreviewRule,
    UnableToUndo,
    Undoing,
    UndoingMoved,
    ask_correction,
    can_undo,
    correct_next_portion,
    parse_rule,
    preview_correction,
    preview_rule,
    read_of,
    sources_of_feed,
    try_correction_again,
    undo_correction,
    undo_next_correction,
    undoing_of,
)
from ingestion.services.later import UnableToRetryLater, retry_due, retry_later, stop_retrying
from ingestion.services.mediating import MAX_GROUP, mediate_next_chunks
from ingestion.services.pickups import (
    UnableToPickUp,
    look_into_location,
    poll_pickup_locations,
    require_allowed_location,
)
from ingestion.services.planning import plan_next_import
from ingestion.services.receiving import (
    Overtaken,
    Received,
    Terms,
    UnableToReceive,
    body_told,
    media_types_read,
    receive_file,
    receive_more_usage,
    receive_usage,
)
from ingestion.services.receiving_again import receive_file_into, receive_usage_into
from ingestion.services.reprocessing import UnableToReprocess, reprocess_imports, retry_errored
from ingestion.services.uploads import (
    UnableToUpload,
    drop_bytes,
    expire_uploads,
    finish_upload,
    give_up_upload,
    hold_upload,
    keep_bytes,
)
from ingestion.services.voiding import UnableToVoid, ask_void, retry_voids, void_next

__all__ = [
    "MAX_GROUP",
    "CorrectionPreview",
    "FaultyRuleError",
    "Figures",
    "Overtaken",
    "Reading",
    "Received",
    "RulePreview",
    "Sampled",
    "Terms",
    "UnableToBackfill",
    "UnableToCorrect",
    "UnableToFix",
    "UnableToPickUp",
    "UnableToPreviewRule",
    "UnableToReceive",
    "UnableToReopen",
    "UnableToReprocess",
    "UnableToRetryLater",
    "UnableToUndo",
    "UnableToUpload",
    "UnableToVoid",
    "UnableToWriteOff",
    "Undoing",
    "UndoingMoved",
    "ask_abandon",
    "ask_close",
    "ask_correction",
    "ask_revert",
    "ask_void",
    "backfill_next",
    "body_told",
    "can_undo",
    "correct_exception",
    "correct_next_portion",
    "drop_bytes",
    "expire_uploads",
    "expire_waiting_parts",
    "figures_of",
    "finish_upload",
    "give_up_upload",
    "hold_upload",
    "keep_bytes",
    "look_into_location",
    "media_types_read",
    "mediate_next_chunks",
    "open_backfill",
    "parse_rule",
    "plan_next_import",
    "poll_pickup_locations",
    "preview_correction",
    "preview_rule",
    "read_of",
    "receive_file",
    "receive_file_into",
    "receive_more_usage",
    "receive_usage",
    "receive_usage_into",
    "reopen_exceptions",
    "reprocess_exceptions",
    "reprocess_imports",
    "require_allowed_location",
    "retry_due",
    "retry_errored",
    "retry_later",
    "retry_next_exceptions",
    "retry_voids",
    "sources_of_feed",
    "stop_retrying",
    "try_correction_again",
    "undo_correction",
    "undo_next_correction",
    "undoing_of",
    "void_next",
    "write_off_exceptions",
]
