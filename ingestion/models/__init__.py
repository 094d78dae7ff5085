"""The tables of ingestion: feeds, the import history, its chunks, and what did not become a UDR."""

from .backfills import Backfill
from .exceptions import ExceptionComment, ExceptionRevision, GroupCorrection, ImportException
from .feeds import Feed, FeedGrant, PickupState
from .imports import IdempotencyKey, ImportBody, ImportChunk, UsageImport
from .records import LeftOutRecord, WaitingPart
from .uploads import FileUpload, UploadPart
from .voids import KeyToVoid, UsageVoid

__all__ = [
    "Backfill",
    "ExceptionComment",
    "ExceptionRevision",
    "Feed",
    "FeedGrant",
    "FileUpload",
    "GroupCorrection",
    "IdempotencyKey",
    "ImportBody",
    "ImportChunk",
    "ImportException",
    "KeyToVoid",
    "LeftOutRecord",
    "PickupState",
    "UploadPart",
    "UsageImport",
    "UsageVoid",
    "WaitingPart",
]
