"""The verbs of ingestion, in the order in which usage meets them.

POST ─► receive_usage ┐  (the sender's next ones: receive_more_usage)
file ─► receive_file  ┴─► a UsageImport and its bytes, durable before we answer        receiving
folder ─► poll_pickup_locations ─► receive_file, then done/ or failed/                 pickups
a stored file ─► plan_next_import ─► chunks of whole records                           planning
chunks ─► mediate_next_chunks ─► one transaction each: UDRs · exceptions · left out    mediating
rows of one record ─► combine_rows, write_parts; later expire_waiting_parts            parts, expiring
one bad record ─► where the profile says so, nothing of its chunk or file              envelopes
exceptions ─► correct · write off · reprocess ─► retry_next_exceptions                 exceptions
a whole import ─► reprocess_imports: a new attempt, swapped in when it is complete     reprocessing
"""

from ingestion.services.exceptions import (
    UnableToCorrect,
    UnableToWriteOff,
    correct_exception,
    reprocess_exceptions,
    retry_next_exceptions,
    write_off_exceptions,
)
from ingestion.services.expiring import expire_waiting_parts
from ingestion.services.mediating import mediate_next_chunks
from ingestion.services.pickups import poll_pickup_locations
from ingestion.services.planning import plan_next_import
from ingestion.services.receiving import (
    Overtaken,
    Terms,
    UnableToReceive,
    receive_file,
    receive_more_usage,
    receive_usage,
)
from ingestion.services.reprocessing import UnableToReprocess, reprocess_imports, retry_errored

__all__ = [
    "Overtaken",
    "Terms",
    "UnableToCorrect",
    "UnableToReceive",
    "UnableToReprocess",
    "UnableToWriteOff",
    "correct_exception",
    "expire_waiting_parts",
    "mediate_next_chunks",
    "plan_next_import",
    "poll_pickup_locations",
    "receive_file",
    "receive_more_usage",
    "receive_usage",
    "reprocess_exceptions",
    "reprocess_imports",
    "retry_errored",
    "retry_next_exceptions",
    "write_off_exceptions",
]
