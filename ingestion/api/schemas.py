"""What the doors of ingestion take and answer, where no serializer says it: for the API's document."""

from drf_spectacular.utils import OpenApiParameter

from ingestion.core.requests import MAX_RECORDS
from ingestion.models import UsageImport, UsageVoid
from mediation.api.describing import (
    COUNT,
    ID,
    LINK,
    MOMENT,
    TEXT,
    TRACKING_ID,
    header,
    in_path,
    list_of,
    or_null,
    query,
    record_of,
)

SOME_RECORDS = {"minItems": 1, "maxItems": MAX_RECORDS}
RECORD = {"type": "object"}
# What usage may be sent as, by media type.
BODIES = {
    "application/json": {
        "description": (
            'Rows of a feed that reads rows: `{"data": ["row", …]}`. Records of a feed that reads JSON: one object,'
            ' a list of them, or `{"data": [{…}, …]}`; where its profile says so, a document with the records inside.'
        ),
        "anyOf": [
            record_of({"data": list_of(TEXT, **SOME_RECORDS)}),
            record_of({"data": list_of(RECORD, **SOME_RECORDS)}),
            list_of(RECORD, **SOME_RECORDS),
            RECORD,
        ],
    },
    "application/x-ndjson": {
        **TEXT,
        "description": "One JSON record a line, blank lines apart. For a feed that reads JSON, CloudEvents included.",
        "examples": ['{"id": "e1", "value": 1.5}\n{"id": "e2", "value": 2}\n'],
    },
    "text/csv": {
        **TEXT,
        "description": (
            "Lines as the feed's files have them, in their encoding. With a header where the profile goes by the names"
            " of columns, else without one."
        ),
        "examples": ["2026-05-01T10:00:00Z,e1,1.5,calls\n2026-05-01T10:00:01Z,e2,2,calls\n"],
    },
    "application/cloudevents+json": {
        "type": "object",
        "description": "One event, in structured mode. For a feed whose profile reads CloudEvents.",
    },
    "application/cloudevents-batch+json": {
        **list_of(RECORD, **SOME_RECORDS),
        "description": "A batch of events. For a feed whose profile reads CloudEvents.",
    },
}
WAIT = query("wait", {"type": "integer", "minimum": 0, "maximum": 30}, "Seconds to wait for the outcome, as 200.")
# By which codes a body of usage is refused, and what else sending it may meet.
BODY_CODES = (
    *("not_json", "not_utf8", "shape_not_read", "not_a_list", "no_records", "too_many_records", "record_not_read"),
    *("too_deep", "too_long", "not_text", "unknown_member", "bad_encoding", "unsupported_encoding"),
)
SENDING_CODES = (
    *BODY_CODES,
    *("unknown_feed", "bad_idempotency_key", "idempotency_key_reused", "feed_disabled", "profile_not_active"),
    "twin_in_flight",
    *("profile_needs_header", "structure_not_kept", "backlogged", "overtaken"),
    "unsupported_media_type",
)

ACCEPTED = record_of(
    {
        "tracking_id": TRACKING_ID,
        "feed": TEXT,
        "record_count": COUNT,
        "status": {"const": UsageImport.Status.WAITING.value},
        "links": record_of({"import": LINK, "exceptions": LINK, "records": LINK}),
    },
    description="The usage is recorded: it will have an outcome, whatever happens.",
)
REPROCESSED = record_of({"tracking_id": TRACKING_ID, "status": {"const": "waiting"}})
EXCEPTION_CHANGED = record_of({"id": ID, "status": TEXT})
COMMENTS = list_of(
    record_of({"text": TEXT, "created_at": MOMENT, "created_by": or_null(TEXT), "is_of_group": {"type": "boolean"}})
)
CHANGES = or_null({"type": "object", "additionalProperties": or_null(TEXT)})

FILE_NAME = in_path("name", {"type": "string", "minLength": 1, "maxLength": 200}, "What the file is called.")
FILE_TAKEN = record_of(
    {
        "tracking_id": TRACKING_ID,
        "feed": TEXT,
        "file_name": TEXT,
        "byte_size": COUNT,
        "content_hash": {"type": "string", "pattern": "^[0-9a-f]{64}$", "description": "SHA-256 of its bytes."},
        "status": TEXT,
        "links": record_of({"import": LINK, "exceptions": LINK, "records": LINK}),
    },
    description="The file is whole and is an import.",
)
FILE_UNDER_WAY = record_of(
    {
        "feed": TEXT,
        "file_name": TEXT,
        "status": {"const": "on_its_way"},
        "received_size": COUNT,
        "total_size": COUNT,
        "expires_at": MOMENT,
    },
    description="The file is not whole; it is forgotten at `expires_at`, unless more comes before.",
)
FILE_HEADERS = (
    header("Content-Range", "Which bytes come: `bytes first-last/total`; all are there: `bytes */total`, no body."),
    header("Content-Digest", "`sha-256=:…:` of this body (RFC 9530)."),
    header("Repr-Digest", "`sha-256=:…:` of the whole file."),
    header("X-Content-SHA256", "SHA-256 of the whole file in hex."),
)
BYTES_HERE = OpenApiParameter(
    "Range", TEXT, OpenApiParameter.HEADER, response=[200, 204], description="Which bytes are here: `bytes=0-last`."
)
FILE_CODES = (
    *("unknown_feed", "bad_file_name", "bad_header", "empty_file", "incomplete_body", "feed_disabled"),
    *("profile_not_active", "another_file", "upload_busy", "too_many_uploads", "same_file", "length_required"),
    *("too_large", "unsupported_encoding", "not_the_next_bytes", "digest_mismatch", "backlogged", "uploads_busy"),
)

KEYS = list_of({"type": "string", "minLength": 1, "maxLength": 200}, minItems=1, maxItems=1_000, uniqueItems=True)
VOIDING = record_of({"keys": KEYS, "reason": {"type": "string", "minLength": 1, "maxLength": 1_000}})
VOID_ACCEPTED = record_of(
    {
        "tracking_id": TRACKING_ID,
        "feed": TEXT,
        "key_count": COUNT,
        "status": {"const": UsageVoid.Status.WAITING.value},
        "links": record_of({"void": LINK}),
    }
)
VOIDING_CODES = (
    *("shape_not_read", "unknown_member", "not_a_list", "bad_key", "repeated_key", "no_keys", "too_many_keys"),
    *("not_text", "too_long", "missing_reason", "unknown_feed", "bad_idempotency_key", "idempotency_key_reused"),
    *("needs_second_person", "twin_in_flight"),
)
