"""What the second door takes and answers: for the API's document."""

from collections.abc import Sequence
from typing import Any

from mediation.api.describing import (
    COUNT,
    ID,
    MOMENT,
    TEXT,
    Refusals,
    Schema,
    in_path,
    list_of,
    or_null,
    query,
    record_of,
)

NOTHING = {"type": "string", "maxLength": 0}  # as where a parameter is not named at all
PAGE = [
    query("page", {"anyOf": [{"type": "integer", "minimum": 1, "maximum": 100}, NOTHING], "default": 1}, "Which page."),
    query(
        "pageSize",
        {"anyOf": [{"type": "integer", "minimum": 1}, NOTHING], "default": 100},
        "Rows of a page; of more than 1,000, as many are told.",
    ),
]
OF_FEED = query("udrFeedId", {"type": "string", "minLength": 0}, "Only of this feed: its number or API name.")
REFERENCE = in_path("reference", TEXT, "The number of the import, or its tracking id.")
STATUS = {"type": "integer", "minimum": 1}


def answer_schema(kind: str, *items: tuple[str, str, dict[str, Schema]], **more: Schema) -> Schema:
    """An answer as clients of this door know it. items: action, key of the type, and the members of the thing."""
    told = [
        record_of({"action": {"const": action}, "dtoTypeKey": {"const": key}, "instance": record_of(members)})
        for action, key, members in items
    ]
    results = record_of({"totalCount": COUNT, "items": list_of({"anyOf": told}) if told else {"type": "array"}})
    return record_of({"trackingId": TEXT, "type": {"const": kind}, "results": results, **more})


def _narrowed(status: int, codes: Sequence[str]) -> dict[str, Any]:
    return {
        "properties": {"errors": list_of({"type": "object", "properties": {"code": {"const": status}}}, minItems=1)}
    }


# A refusal here has the status as its number, and our code at the end of its message.
REFUSALS = Refusals(
    "SecondDoorRefusal",
    "application/json",
    answer_schema("error", errors=list_of(record_of({"code": {"type": "integer"}, "message": TEXT}), minItems=1)),
    _narrowed,
)

SENT = {"trackingId": TEXT, "udrFeedId": or_null(ID)}
USAGE_SENT = answer_schema(
    "sendMessage",
    ("messageSent", "sendUsage", SENT),
    ("created", "dataImportRequestTracking", {**SENT, "udrFeedName": TEXT, "recordCount": COUNT}),
)
FEED_READ = answer_schema(
    "get",
    (
        "read",
        "udrFeed",
        {
            "id": ID,
            "name": TEXT,
            "apiName": TEXT,
            "enabled": {"type": "boolean"},
            "dataProfileId": ID,
            "dataProfileName": TEXT,
        },
    ),
)
HISTORY = {
    "id": ID,
    "trackingId": TEXT,
    "udrFeedId": ID,
    "udrFeedName": TEXT,
    "dataProfileId": ID,
    "dataProfileName": TEXT,
    "fileName": TEXT,
    "importStart": MOMENT,
    "importEnd": or_null(MOMENT),
    "importCount": COUNT,
    "importExceptionCount": COUNT,
    "importSkipRecordCount": COUNT,
    "importDuplicateCount": COUNT,
    "recordCount": COUNT,
    "dataImportHistoryStatusTypeId": STATUS,
    "dataImportHistoryStatusTypeName": TEXT,
    "dataImportUploadId": ID,
    "dataImportUploadName": TEXT,
}
DETAILS = {
    "source": TEXT,
    "error": TEXT,
    "attempts": {"type": "integer", "minimum": 1},
    "dataProfileVersion": {"type": "integer", "minimum": 1},
    "ratedCount": COUNT,
    "ratingExceptionCount": COUNT,
}
HISTORY_READ = answer_schema("get", ("read", "dataImportHistory", HISTORY))
DETAIL_READ = answer_schema("get", ("read", "dataImportHistory", {**HISTORY, **DETAILS}))
EXCEPTIONS_READ = answer_schema(
    "get",
    (
        "read",
        "dataImportException",
        {
            "dataImportExceptionId": ID,
            "importBatchId": ID,
            "importBatchTypeName": {"enum": ["Usage By File", "Usage By API"]},
            "dataImportExceptionErrorTypeName": TEXT,
            "dataImportExceptionStatusTypeId": STATUS,
            "dataImportExceptionStatusTypeName": TEXT,
            "originatingFileRecordIndex": {"type": "integer", "minimum": 1},
            "created": MOMENT,
            "exceptionDate": MOMENT,
            "dataImportHistoryId": ID,
            "dataImportExceptionDataRevisionId": or_null(ID),
            "revisionNumber": COUNT,
            "dataSnippet": TEXT,
            "message": TEXT,
            "messageDetails": TEXT,
            "fileName": TEXT,
        },
    ),
)
