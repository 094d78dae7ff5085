"""The story that the examples of the API's document tell: usage comes, is corrected, charged, looked at, priced anew.

It goes in a world of its own and at moments of its own, so that it is answered alike whenever and wherever it is told.
"""

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from config import samples
from ingestion.models import Feed
from ingestion.tasks import mediate_waiting
from mediation import services as mediation
from mediation.models import DataProfile, UsageClass, UsageClassType
from rating import services as rating
from rating.models import Account, PlanVersion, RatePlan
from rating.tasks import rate_waiting

BEGINNING = datetime(2026, 5, 20, 12, tzinfo=UTC)
MAY = datetime(2026, 5, 1, tzinfo=UTC)
FILE = "application/octet-stream"


@dataclass(frozen=True)
class Ask:
    """A request. {…} in it, and a text that is all {…} in its body, stands for what an earlier answer named so.

    request: method, and path, below /api/v1/ unless it begins with a slash. body: a text goes as it is, all else as
    JSON. keeps: names, and where in the answer that stands which they name; ETag is the header.
    """

    operation: str
    name: str
    request: str
    body: Any = None
    body_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)
    keeps: Mapping[str, str] = field(default_factory=dict)


class Clock:
    """The time of the story: it stands while a request is answered."""

    def __init__(self) -> None:
        self.now = BEGINNING

    def tick(self) -> None:
        self.now += timedelta(minutes=1)


# What is there before the story begins, and what happens in it beside requests.

CLOUD_PROFILE = {
    "format": {"kind": "cloudevents"},
    "fields": {
        "Date": {"source": "time"},
        "UdrUsageIdentifier": {"source": "id"},
        "OriginatingIdentifier": {"source": "subject"},
        "Value": {"source": "data.count"},
        "UsageClassName": {"literal": "API Requests"},
    },
    "uniqueness": ["UdrUsageIdentifier"],
}
CREDIT = {"name": "Credit", "of": "money", "recurs": "granted", "shared": "account", "usage_classes": ["voice"]}
PREPAID = samples.PLAN | {"name": "Prepaid", "buckets": [CREDIT]}


def prepare() -> None:
    """What `quickstart` sets up, a feed of CloudEvents, and a customer who pays before he calls."""
    samples.load_configuration(now=BEGINNING)
    profile = DataProfile.objects.create(name="Events of the cloud")
    version = mediation.create_draft(profile=profile, spec=CLOUD_PROFILE, note="Reads CloudEvents.", by=None)
    mediation.activate_version(version=version, by=None, now=BEGINNING)
    Feed.objects.create(name="Cloud", api_name="cloud", profile=profile)
    plan = RatePlan.objects.create(name="Prepaid", currency="EUR")
    _activate(_draft(plan, PREPAID, "Credit that is paid before."))
    Account.objects.filter(number="100043").update(rate_plan=plan)


def _draft(plan: RatePlan, document: Any, note: str) -> PlanVersion:
    return rating.create_draft(plan=plan, document=document, note=note, by=None, now=BEGINNING)


def _activate(version: PlanVersion) -> None:
    rating.activate_version(version=version, starts_at=MAY, by=None, now=BEGINNING)


def _priced(price: str) -> dict[str, Any]:
    """The plan with another price of a second of voice."""
    document = copy.deepcopy(samples.PLAN)
    document["groups"][0]["rates"][0]["price"] = price
    return document


def work() -> dict[str, Any]:
    """Workers do what waits."""
    mediate_waiting()
    rate_waiting()
    return {}


def name_the_class() -> dict[str, Any]:
    UsageClass.objects.create(name="fax", usage_class_type=UsageClassType.objects.get(name="Voice_1"))
    return {}


def lower_the_price() -> dict[str, Any]:
    _activate(_draft(RatePlan.objects.get(name="Standard"), _priced("0.001"), "Cheaper calls."))
    return {}


def draft_a_price() -> dict[str, Any]:
    return {"version": _draft(RatePlan.objects.get(name="Standard"), _priced("0.0015"), "Dearer calls?").pk}


# Usage comes.

ROW = "2026-05-01T10:00:00,Unknown,4038670001,4038670002,648-688-4180,90,False,False,voice,Voice_1,"
BAD_DATE, BAD_VALUE = ROW.replace("05-01", "02-30"), ROW.replace(",90,", ",ninety,")
FAX = ROW.replace("voice", "fax").replace("10:00", "10:10")
MESSAGES = ROW.replace("90,False,False,voice,Voice_1", "1,False,False,message,Message_1")
PAID_BEFORE = ROW.replace("4180", "4182")
FILE_ROWS = "".join(ROW.replace("T10:00", f"T{hour}:00").replace("4180", "4181") + "\n" for hour in (11, 12, 13))
HALF = len(FILE_ROWS) // 2


def event(number: int, value: int = 3) -> dict[str, Any]:
    return {
        "Date": f"2026-05-0{1 + number}T08:30:00Z",
        "UdrIdentifierTypeName": "Unknown",
        "OriginatingIdentifier": "acct-100041",
        "TerminatingIdentifier": "GET /weather",
        "UdrUsageIdentifier": f"event-{number}",
        "Value": value,
        "Inbound": False,
        "UsageClassName": "API Requests",
        "UsageClassTypeName": "Requests",
    }


def cloud_event(number: int) -> dict[str, Any]:
    return {
        "specversion": "1.0",
        "id": f"cloud-{number}",
        "source": "https://gateway.example/",
        "type": "requests",
        "subject": "acct-100042",
        "time": f"2026-05-0{number}T09:00:00Z",
        "data": {"count": 40},
    }


LINES = (
    '{"Date": "2026-05-04T08:30:00Z", "OriginatingIdentifier": "acct-100041", "UdrUsageIdentifier": "event-8",'
    ' "Value": 5, "UsageClassName": "API Requests"}\n'
    '{"Date": "2026-05-04T08:31:00Z", "OriginatingIdentifier": "acct-100041", "UdrUsageIdentifier": "event-9",'
    ' "Value": 2.5, "UsageClassName": "API Requests"}\n'
)
ROWS = {"data": [ROW, BAD_DATE, BAD_VALUE, FAX]}
TODAY = {"Idempotency-Key": "switch-2026-05-20"}
SENDING = [
    Ask(
        "send_usage",
        "Rows",
        "POST feeds/rows/usage",
        ROWS,
        headers=TODAY,
        keeps={"import": "tracking_id"},
    ),
    Ask("send_usage", "Its key with another body", "POST feeds/rows/usage", {"data": [ROW]}, headers=TODAY),
    Ask("send_usage", "Rows as CSV", "POST feeds/rows/usage", f"{MESSAGES}\n{PAID_BEFORE}\n", "text/csv"),
    Ask("send_usage", "Events", "POST feeds/events/usage", {"data": [event(1), event(2)]}),
    Ask("send_usage", "Events in lines", "POST feeds/events/usage", LINES, "application/x-ndjson"),
    Ask("send_usage", "A CloudEvent", "POST feeds/cloud/usage", cloud_event(1), "application/cloudevents+json"),
    Ask(
        "send_usage",
        "A batch of CloudEvents",
        "POST feeds/cloud/usage",
        [cloud_event(2), cloud_event(3)],
        "application/cloudevents-batch+json",
    ),
    Ask("send_usage", "Nothing in it", "POST feeds/rows/usage", {"data": []}),
    Ask("send_usage", "A feed that is not there", "POST feeds/nowhere/usage", {"data": [ROW]}),
    Ask(
        "send_usage",
        "A token that nobody knows",
        "POST feeds/rows/usage",
        {"data": [ROW]},
        headers={"Authorization": "Token lost"},
    ),
    Ask("send_a_file", "A whole file", "PUT feeds/rows/files/may.csv", FILE_ROWS, FILE),
    Ask("send_a_file", "Its bytes by another name", "PUT feeds/rows/files/copy.csv", FILE_ROWS, FILE),
    Ask(
        "send_a_file",
        "Its first bytes",
        "PUT feeds/rows/files/june.csv",
        FILE_ROWS[:HALF],
        FILE,
        headers={"Content-Range": f"bytes 0-{HALF - 1}/1000"},
    ),
    Ask(
        "send_a_file",
        "Bytes that are not the next",
        "PUT feeds/rows/files/june.csv",
        FILE_ROWS[:HALF],
        FILE,
        headers={"Content-Range": f"bytes 500-{500 + HALF - 1}/1000"},
    ),
    Ask("see_how_far_a_file_is", "On its way", "GET feeds/rows/files/june.csv"),
    Ask("see_how_far_a_file_is", "Taken", "GET feeds/rows/files/may.csv"),
    Ask("give_up_a_file", "One that is not whole", "DELETE feeds/rows/files/june.csv"),
    Ask("give_up_a_file", "One that was never sent", "DELETE feeds/rows/files/july.csv"),
    work,
    Ask("send_usage", "The same again, now with its outcome", "POST feeds/rows/usage?wait=30", ROWS, headers=TODAY),
    Ask("send_a_file", "The same again", "PUT feeds/rows/files/may.csv", FILE_ROWS, FILE),
]

# What became of it.

HISTORY = [
    Ask("list_imports", "The latest", "GET imports?page_size=2"),
    Ask("list_imports", "A filter that is misspelled", "GET imports?statsu=failed"),
    Ask("get_an_import", "Rows", "GET imports/{import}"),
    Ask("get_an_import", "One that is not there", "GET imports/00000000-0000-4000-8000-999999999999"),
    Ask("list_the_records_of_an_import", "Imported", "GET imports/{import}/records?outcome=imported"),
    Ask("list_the_records_of_an_import", "An unknown outcome", "GET imports/{import}/records?outcome=lost"),
    Ask("list_exceptions_of_an_import", "One a page", "GET imports/{import}/exceptions?page_size=1"),
    Ask(
        "look_up_usage_by_its_keys",
        "A key that is known, and one that is not",
        "POST usage-identifiers/lookup",
        {"feed": "events", "keys": ["event-1", "event-7"]},
    ),
]
DATE = {"raw": ROW.replace("T10:00", "T11:00"), "reason": "the switch's clock"}
TEST = {"reason": "a test of the line"}
EXCEPTIONS = [
    Ask(
        "list_exceptions",
        "Open ones of a feed",
        "GET exceptions?feed=rows&status=open",
        keeps={"fax": "results/0/id", "value": "results/1/id", "date": "results/2/id"},
    ),
    Ask("get_an_exception", "A bad date", "GET exceptions/{date}", keeps={"seen": "ETag"}),
    Ask("get_an_exception", "As it is had already", "GET exceptions/{date}", headers={"If-None-Match": "{seen}"}),
    Ask(
        "correct_an_exception",
        "Another text",
        "POST exceptions/{date}/correct",
        DATE,
        headers={"If-Match": "{seen}"},
    ),
    Ask(
        "correct_an_exception",
        "As it is no more",
        "POST exceptions/{date}/correct",
        DATE,
        headers={"If-Match": "{seen}"},
    ),
    Ask("correct_an_exception", "Nothing", "POST exceptions/{value}/correct", {"reason": "a typing error"}),
    Ask(
        "correct_an_exception",
        "One field",
        "POST exceptions/{value}/correct",
        {"changes": {"Value": "95"}, "reason": "a typing error"},
    ),
    name_the_class,
    Ask("reprocess_an_exception", "Now that its class is known", "POST exceptions/{fax}/reprocess"),
    work,
    Ask("reprocess_an_exception", "One that is closed", "POST exceptions/{fax}/reprocess"),
    Ask("send_usage", "A row that cannot be read", "POST feeds/rows/usage", {"data": ["gone"]}),
    work,
    Ask("list_exceptions", "The latest", "GET exceptions?page_size=1", keeps={"gone": "results/0/id"}),
    Ask("write_off_an_exception", "Without a reason", "POST exceptions/{gone}/write-off", {}),
    Ask(
        "write_off_an_exception", "With a reason", "POST exceptions/{gone}/write-off", {"reason": "a test of the line"}
    ),
    Ask("write_off_an_exception", "Again", "POST exceptions/{gone}/write-off", {"reason": "a test of the line"}),
    Ask("reprocess_an_import", "By the profile of today", "POST imports/{import}/reprocess"),
    Ask("reprocess_an_import", "While it waits", "POST imports/{import}/reprocess"),
    work,
]

# What it costs.

CHARGES = [
    Ask("list_udrs", "Of one class", "GET udrs?usage_class=message"),
    Ask(
        "list_charges",
        "Of one account",
        "GET charges?account=100041&usage_class=voice&page_size=2",
        keeps={"charge": "results/0/id"},
    ),
    Ask("list_charges", "A page that nobody gave out", "GET charges?cursor=2"),
    Ask("get_a_charge_with_its_explanation", "Of a call", "GET charges/{charge}"),
    Ask("sum_up_usage", "Of one account", "GET usage-summary?account=100041"),
    Ask("sum_up_usage", "An account that is not there", "GET usage-summary?account=1"),
]
GIFT = {
    "plan": "Prepaid",
    "bucket": "Credit",
    "account": "100043",
    "size": "25",
    "starts_at": "2026-05-01T00:00:00Z",
    "reason": "paid by card",
}
CUSTOMERS = [
    Ask("get_an_account_s_usage", "Of May", "GET accounts/100041/usage?from=2026-05-01&to=2026-05-31"),
    Ask(
        "get_an_account_s_usage",
        "As CSV",
        "GET accounts/100041/usage?from=2026-05-01&to=2026-05-31&format=csv",
    ),
    Ask("get_an_account_s_usage", "An account that is not there", "GET accounts/1/usage"),
    Ask("give_a_grant", "Credit", "POST bucket-grants", GIFT),
    Ask("give_a_grant", "The same again", "POST bucket-grants", GIFT),
    Ask("give_a_grant", "A bucket that is not there", "POST bucket-grants", GIFT | {"bucket": "Debit"}),
    work,
    Ask("list_grants", "Of one account", "GET bucket-grants?account=100043"),
    Ask("list_an_account_s_balances", "Now", "GET accounts/100043/balances"),
    Ask("list_an_account_s_balances", "An account that is not there", "GET accounts/1/balances"),
]

# Usage is taken back, and sent again.

TEST_CALL = {"keys": ["event-2", "event-7"], "reason": "a test call"}
AMEND, LESS = "feeds/events/usage/amend?reason=counted+twice", {"data": [event(1, value=2)]}
ONCE = {"Idempotency-Key": "event-1-once"}
CORRECTIONS = [
    Ask("void_usage", "Two keys", "POST feeds/events/usage/void", TEST_CALL, keeps={"void": "tracking_id"}),
    Ask("void_usage", "Without a reason", "POST feeds/events/usage/void", {"keys": ["event-2"]}),
    Ask("amend_usage", "Another value", f"POST {AMEND}", LESS, headers=ONCE),
    Ask("amend_usage", "Without a reason", "POST feeds/events/usage/amend", LESS),
    Ask(
        "amend_usage",
        "A feed whose records have no key",
        "POST feeds/rows/usage/amend?reason=counted+twice",
        {"data": [ROW]},
    ),
    work,
    Ask("amend_usage", "The same again, now with its outcome", f"POST {AMEND}&wait=30", LESS, headers=ONCE),
    Ask("get_a_void", "One key was known", "GET voids/{void}"),
    Ask("list_voids", "The latest", "GET voids?page_size=1"),
]
WEEK = {"starts_at": "2026-05-01T00:00:00Z", "ends_at": "2026-05-08T00:00:00Z", "reason": "the gateway lost calls"}
BACKFILLS = [
    Ask("open_a_backfill", "A week", "POST feeds/events/backfills", WEEK, keeps={"backfill": "tracking_id"}),
    Ask("open_a_backfill", "The same week", "POST feeds/events/backfills", WEEK),
    Ask(
        "open_a_backfill",
        "A week to come",
        "POST feeds/events/backfills",
        WEEK | {"ends_at": "2026-06-08T00:00:00Z"},
    ),
    Ask(
        "send_usage",
        "Into a backfill",
        "POST feeds/events/usage?backfill={backfill}",
        {"data": [event(1, value=2), event(3), event(4)]},
    ),
    Ask(
        "send_usage",
        "Into a backfill that is not there",
        "POST feeds/events/usage?backfill=00000000-0000-4000-8000-999999999999",
        {"data": [event(3)]},
    ),
    work,
    Ask("get_a_backfill", "Before it counts", "GET backfills/{backfill}"),
    Ask("close_a_backfill", "All is sent", "POST backfills/{backfill}/close"),
    work,
    Ask("close_a_backfill", "One that is closed", "POST backfills/{backfill}/close"),
    Ask("revert_a_backfill", "It was the wrong week", "POST backfills/{backfill}/revert"),
    work,
    Ask("revert_a_backfill", "One that is reverted", "POST backfills/{backfill}/revert"),
    Ask("open_a_backfill", "Another try", "POST feeds/events/backfills", WEEK, keeps={"other": "tracking_id"}),
    Ask("abandon_a_backfill", "Nothing was lost", "POST backfills/{other}/abandon"),
    work,
    Ask("abandon_a_backfill", "One that is abandoned", "POST backfills/{other}/abandon"),
    Ask("list_backfills", "Of a feed", "GET feeds/events/backfills"),
]

# Other prices.

REASON = "calls are cheaper from May on"
RERATES = [
    lower_the_price,
    Ask(
        "ask_for_a_rerate",
        "Of one account",
        "POST rerates",
        {"account": "100041", "usage_class": "voice", "reason": REASON},
        keeps={"rerate": "id"},
    ),
    Ask("ask_for_a_rerate", "No usage that fits", "POST rerates", {"account": "100045", "reason": REASON}),
    Ask("ask_for_a_rerate", "An account that is not there", "POST rerates", {"account": "1", "reason": REASON}),
    Ask("get_a_rerate", "Being worked out", "GET rerates/{rerate}", keeps={"early": "ETag"}),
    work,
    Ask("apply_a_rerate", "As it is no more", "POST rerates/{rerate}/apply", headers={"If-Match": "{early}"}),
    Ask("get_a_rerate", "Worked out", "GET rerates/{rerate}", keeps={"shown": "ETag"}),
    Ask("list_the_accounts_of_a_rerate", "The only one", "GET rerates/{rerate}/accounts"),
    Ask("apply_a_rerate", "As it was seen", "POST rerates/{rerate}/apply", headers={"If-Match": "{shown}"}),
    work,
    Ask("apply_a_rerate", "Again", "POST rerates/{rerate}/apply"),
    Ask("list_rerates", "The latest", "GET rerates?page_size=1"),
    draft_a_price,
    Ask("ask_what_if", "A draft", "POST what-ifs", {"version": "{version}"}, keeps={"what_if": "id"}),
    Ask("ask_what_if", "No usage that fits", "POST what-ifs", {"version": "{version}", "account": "100045"}),
    Ask("ask_what_if", "A version that is not there", "POST what-ifs", {"version": 2_000_000_000}),
    work,
    Ask("get_a_what_if", "Worked out", "GET what-ifs/{what_if}"),
    Ask("list_the_accounts_of_a_what_if", "The first", "GET what-ifs/{what_if}/accounts?page_size=1"),
    Ask("list_what_ifs", "The latest", "GET what-ifs?page_size=1"),
]

# The same by the second door.

DOOR = "/api/DataImport/Usage"
SECOND_DOOR = [
    Ask(
        "send_rows_by_the_second_door",
        "Rows",
        f"POST {DOOR}/rows",
        {"data": [ROW.replace("T10:00", "T14:00"), "lost"]},
        keeps={"reference": "trackingId"},
    ),
    Ask("send_rows_by_the_second_door", "A word too much", f"POST {DOOR}/rows", {"data": [ROW], "mode": "test"}),
    Ask("send_a_record_by_the_second_door", "An event", f"POST {DOOR}/Json/events", event(5)),
    Ask(
        "send_a_record_by_the_second_door",
        "A feed that is not there",
        f"POST {DOOR}/Json/nowhere",
        event(5),
    ),
    Ask("send_records_by_the_second_door", "Events", f"POST {DOOR}/Json/Multi/events", {"data": [event(6), event(7)]}),
    Ask("send_records_by_the_second_door", "Nothing in it", f"POST {DOOR}/Json/Multi/events", {"data": []}),
    work,
    Ask("get_a_feed_by_the_second_door", "By its API name", f"GET {DOOR}/Feed/rows"),
    Ask("get_a_feed_by_the_second_door", "One that is not there", f"GET {DOOR}/Feed/nowhere"),
    Ask("list_the_history_by_the_second_door", "The latest", f"GET {DOOR}/History?pageSize=1"),
    Ask("list_the_history_by_the_second_door", "A page that is none", f"GET {DOOR}/History?page=last"),
    Ask("get_an_import_by_the_second_door", "By its tracking id", f"GET {DOOR}/History/{{reference}}"),
    Ask("get_an_import_by_the_second_door", "One that is not there", f"GET {DOOR}/History/0"),
    Ask("get_an_import_in_detail_by_the_second_door", "Charged", f"GET {DOOR}/History/{{reference}}/Detail"),
    Ask(
        "list_exceptions_by_the_second_door",
        "The latest",
        "GET /api/DataImportHistory/Exception/Paged?pageSize=1",
    ),
    Ask(
        "list_the_exceptions_of_an_import_by_the_second_door",
        "All",
        "GET /api/DataImportHistory/{reference}/Exception",
    ),
]
STORY = [
    *SENDING,
    *HISTORY,
    *EXCEPTIONS,
    *CHARGES,
    *CUSTOMERS,
    *CORRECTIONS,
    *BACKFILLS,
    *RERATES,
    *SECOND_DOOR,
]
