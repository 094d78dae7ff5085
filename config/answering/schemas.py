"""What these answers look like: for the API's document."""

from config.answering.places import Outcome
from config.answering.rated import Rating
from ingestion.models import ImportException
from mediation.api.describing import ID, LINK, TEXT, TRACKING_ID, list_of, or_null, query, record_of

NUMBER = {"type": "integer", "minimum": 1}
IDS = list_of(ID)
# Also as text, in CSV.
WHICH_RECORDS = [
    query("outcome", {"type": "string", "enum": [*Outcome]}, "Only records of this outcome."),
    query("attempt", NUMBER, "At which attempt; the current one unless said."),
    query(
        "page_size", {"type": "integer", "minimum": 1, "maximum": 1_000, "default": 100}, "Records looked at a page."
    ),
    query("cursor", {"type": "integer", "minimum": 0, "maximum": 2**63 - 1}, "After which record, as `next` says it."),
]
RATING = {"enum": [*Rating, None], "description": "How far rating has come; null where you may not see it."}
RECORDS = record_of(
    {
        "tracking_id": TRACKING_ID,
        "attempt": NUMBER,
        "is_complete": {"type": "boolean", "description": "Whether every record of the attempt has its outcome."},
        "next": or_null(LINK),
        "results": list_of(
            record_of(
                {
                    "record_number": NUMBER,
                    "outcome": {"enum": [*Outcome]},
                    "code": or_null(TEXT),
                    "reason": or_null(TEXT),
                    "exception_id": or_null(ID),
                    "exception_status": {"enum": [*ImportException.Status.values, None]},
                    "udr_ids": IDS,
                    "rating": RATING,
                    "charge_ids": IDS,
                    "rating_exception_id": or_null(ID),
                    "rating_code": or_null(TEXT),
                    "rating_reason": or_null(TEXT),
                    "duplicate_of_udr_id": or_null(ID),
                    "duplicate_of_tracking_id": or_null(TRACKING_ID),
                    "duplicate_of_record_number": or_null(NUMBER),
                }
            )
        ),
    }
)

KEY = {"type": "string", "minLength": 1}
LOOKING_UP = record_of(
    {
        "feed": {"type": "string", "description": "The API name of a feed, or its number as a text."},
        "keys": list_of(KEY, minItems=1, maxItems=1_000),
    }
)
LOOKED_UP = record_of(
    {
        "feed": TEXT,
        "is_under_way": {"type": "boolean", "description": "Usage of the feed waits: what was not seen may be in it."},
        "has_more_exceptions": {"type": "boolean", "description": "Not every open exception was looked through."},
        "results": list_of(
            record_of(
                {
                    "key": TEXT,
                    "outcome": {"enum": ["imported", "voided", "exception", "not_seen"]},
                    "udr_id": or_null(ID),
                    "tracking_id": or_null(TRACKING_ID),
                    "record_number": or_null(NUMBER),
                    "rating": RATING,
                    "charge_ids": IDS,
                    "exception_ids": IDS,
                }
            )
        ),
    }
)
LOOKING_UP_CODES = (
    *("unknown_feed", "shape_not_read", "unknown_member", "not_text", "not_a_list", "too_many_keys", "no_keys"),
    "bad_key",
)
