"""The codes of refusals: what programs tell them apart by, each with its status, its meaning and what to do.

A code that is here stays: programs are written for it. `FAULTS` are of single faults, in a refusal's `errors` alone.
"""

from typing import NamedTuple


class Code(NamedTuple):
    """statuses: those that it comes with."""

    statuses: tuple[int, ...]
    meaning: str
    remedy: str


def _of(status: int, **told: tuple[str, str]) -> dict[str, Code]:
    return {name: Code((status,), *one) for name, one in told.items()}


CODES: dict[str, Code] = {
    **_of(
        400,
        bad_attempt=("The import has no such attempt.", "Name one from 1 to its `attempts`."),
        bad_encoding=("The body is not packed as it says.", "Pack it as its Content-Encoding says, once."),
        bad_cursor=("No page of ours gave this cursor out.", "Take the address of `next` as it is."),
        bad_day=("A day cannot be read.", "Write it as 2026-05-31."),
        bad_days=("The first day is after the last, or too far from it.", "Ask for 366 days at most."),
        bad_file_name=("No file can have this name here.", "Use 1 to 200 visible characters, no / and no \\."),
        bad_filter=("A filter cannot be read.", "See `errors` for which, and what it takes."),
        bad_format=("`format` names a form that this is not told in.", "See `detail` for those that it is."),
        bad_header=("A header says what cannot be, or cannot be read.", "See `detail` for which, and its form."),
        bad_idempotency_key=("The Idempotency-Key cannot be kept.", "Send 1 to 255 characters, none of them NUL."),
        bad_key=("A key is no key of usage.", "Send texts of 1 to 200 characters without NUL."),
        bad_page=("The page is no number, or too high.", "See `detail` for what is taken."),
        bad_pageSize=("The size of a page is no number, or 0.", "Ask for 1 or more."),
        bad_page_size=("The size of a page is no number, or too high.", "Ask for 1 to 1,000."),
        bad_request=("The request cannot be read, or is for another host.", "Check the address and the headers."),
        bad_spreadsheet=("`spreadsheet` is 1 or not sent.", "Send `spreadsheet=1`, or leave it out."),
        bad_window=("A window is empty, or not in the past.", "Let it end after it starts, and now at the latest."),
        bad_wait=("The time to wait is no whole number of seconds up to 30.", "Send `wait=0` to `wait=30`."),
        empty_file=("The file has no bytes.", "Send one that has some."),
        empty_parameter=("The address names a parameter and nothing for it.", "Leave it out, or say something."),
        invalid=(
            "What was sent has faults.",
            "See `errors` for every one with its place, and correct them.",
        ),
        missing_reason=("No reason is given, or one that cannot be kept.", "Say why, in 1 to 1,000 characters."),
        no_keys=("There is no key.", "Send at least one."),
        no_records=("There is no record.", "Send at least one."),
        not_a_list=("There must be a list here.", "Send a list, also of a single thing."),
        not_json=("The body is not JSON.", "Correct it at the place that `detail` names."),
        not_text=("There must be text here, without NUL and half characters.", "Send text."),
        not_utf8=("The body is not UTF-8.", "Encode it as UTF-8."),
        parse_error=("The body is not JSON.", "Correct it at the place that `detail` names."),
        record_not_read=("The feed does not read records of this kind.", "Send rows as text, or JSON objects."),
        repeated_parameter=("The address names a parameter twice.", "Name each once."),
        repeated_key=("A key is named twice.", "Name each once."),
        shape_not_read=("The body has another shape than is read here.", "Send the shape that `detail` names."),
        too_deep=("A record is nested too deep.", "Send flatter records."),
        too_long=("A text is too long.", "Shorten it to what `detail` names."),
        too_many_keys=("More than 1,000 keys.", "Send several requests."),
        too_many_records=("More than 1,000 records.", "Send several requests."),
        unknown_dimension=("`by` names something that usage is not told apart by.", "See `detail` for the names."),
        unknown_member=("The body has a member that is not read here.", "Leave it out."),
        unknown_outcome=("There is no such outcome.", "See `detail` for the names."),
        unknown_parameter=("The address has a parameter that is not read here.", "See `detail` for those that are."),
    ),
    **_of(
        401,
        authentication_failed=("The token is wrong, expired or revoked.", "Use another one."),
        not_authenticated=("Nobody is signed in.", "Send `Authorization: Token …`."),
    ),
    **_of(403, permission_denied=("You may not do this.", "Ask for the role, the verb or the feed that it needs.")),
    **_of(
        404,
        no_upload=("You have sent nothing of this name.", "Begin with its first byte."),
        not_found=("There is nothing here, or nothing that you may see.", "Check the address."),
        unknown_backfill=("The feed has no such backfill.", "Take the `tracking_id` of one that is open."),
        unknown_account=("There is no account of this number.", "Check the number."),
        unknown_feed=("There is no such feed, or none that you may see.", "Use its number or its API name."),
    ),
    **_of(405, method_not_allowed=("The address does not take this method.", "See `Allow` for those that it takes.")),
    **_of(406, not_acceptable=("Nothing that `Accept` names is told here.", "Accept `application/json`.")),
    **_of(408, incomplete_body=("The body ended early, or came too slowly.", "Go on behind what `Range` says.")),
    **_of(
        409,
        another_file=("The file was begun as another one.", "Go on with that, or begin again with byte 0."),
        backfill_billed=("Something of the backfill is on a statement.", "Correct it by another backfill."),
        backfill_covered=("A later backfill replaced a part of this one.", "Revert that first."),
        backfill_not_open=("Only an open backfill takes usage.", "Open another one."),
        backfill_overlaps=("An unfinished backfill covers a part of the window.", "Close or abandon that first."),
        backfill_too_large=("Too many UDRs to be swapped at once.", "Send it in backfills of shorter windows."),
        bad_state=("What is asked for does not belong to its state.", "Look at its status."),
        feed_disabled=("The feed is disabled.", "Have it enabled in the admin."),
        imports_under_way=("Imports of the backfill have not ended.", "Wait for them; retry what is errored."),
        needs_second_person=("This takes a second person and waits for one.", "Follow `links.approval`."),
        not_backfillable=("The feed makes records of several rows.", "Correct single records instead."),
        not_amendable=("Records of this feed cannot be amended.", "See `detail` for why."),
        profile_needs_header=("The feed reads columns by their names; rows name none.", "Send CSV with a header."),
        profile_not_active=("The feed's profile has no active version.", "Have one activated in the admin."),
        same_file=("The feed had this very file before.", "Follow `links.import`."),
        too_many_uploads=("Too many files of yours are under way.", "Finish some, or give some up by DELETE."),
        twin_in_flight=("The first request with this key is not finished.", "Wait as long as `Retry-After` says."),
        unable_to_apply=("This cannot take effect now.", "See `detail` for why."),
        unable_to_ask_what_if=("This what-if cannot be asked.", "See `detail` for why."),
        unable_to_correct=("This exception cannot be corrected now.", "See `detail` for why."),
        unable_to_grant=("This grant cannot be given.", "See `detail` for why."),
        unable_to_reprocess=("This cannot be mediated again now.", "See `detail` for why."),
        unable_to_rerate=("This cannot be rated again now.", "See `detail` for why."),
        unable_to_write_off=("Only open exceptions can be written off.", "Look at its status."),
        upload_busy=("Another request is at this file.", "Wait as long as `Retry-After` says."),
    ),
    **_of(411, length_required=("The length of the body is not said.", "Say it in Content-Length.")),
    **_of(412, changed_meanwhile=("It is not any more what If-Match names.", "Get it again, and decide anew.")),
    **_of(414, address_too_long=("The address is longer than is read here.", "Say less in it.")),
    **_of(417, expectation_failed=("Nothing but 100-continue may be expected.", "Leave `Expect` out.")),
    **_of(431, headers_too_long=("The headers are longer, or more, than are read here.", "Send less in them.")),
    **_of(413, too_large=("The body is larger than is taken here.", "Send several requests, or a file.")),
    **_of(
        415,
        unsupported_encoding=(
            "What is packed like this is not read here.",
            "Pack a body as `Accept-Encoding` names; send a file as it is, without Content-Encoding.",
        ),
        unsupported_media_type=("Bodies of this type are not read here.", "Send what the operation's bodies name."),
    ),
    **_of(416, not_the_next_bytes=("Other bytes of the file come next.", "Go on behind what `Range` says is here.")),
    **_of(
        422,
        digest_mismatch=("The bytes have another digest than was said.", "Send them again; see `detail` for which."),
        idempotency_key_reused=("This Idempotency-Key was sent with another body.", "Use a new key for a new body."),
        structure_not_kept=("The body breaks the structure that the profile reads.", "See `detail` for where."),
    ),
    **_of(429, throttled=("The token has sent all it may in this minute.", "Wait as long as `Retry-After` says.")),
    **_of(500, internal_error=("We failed; nothing is half done.", "Send it again, with the same Idempotency-Key.")),
    **_of(
        503,
        backlogged=("Too much waits to be mediated; nothing was taken.", "Wait as long as `Retry-After` says."),
        database_away=(
            "The database does not answer, or was lost on the way.",
            "Wait as long as `Retry-After` says, and send it again with the same Idempotency-Key.",
        ),
        overtaken=("The feed was changed again and again meanwhile.", "Wait as long as `Retry-After` says."),
        uploads_busy=("As many files are being sent as are taken at once.", "Wait as long as `Retry-After` says."),
    ),
}

# Of single fields, in `errors` alone.
FAULTS: dict[str, str] = {
    "blank": "May not be empty.",
    "date": "No date and time that is read here.",
    "does_not_exist": "There is no such thing.",
    "empty": "May not be empty.",
    "incorrect_type": "Of another type than is read here.",
    "invalid": "Cannot be read, or contradicts another field.",
    "invalid_choice": "None of the values that are taken.",
    "make_aware": "This moment does not exist in its time zone.",
    "max_decimal_places": "Too many digits behind the point.",
    "max_digits": "Too many digits.",
    "max_length": "Too long.",
    "max_string_length": "Too long.",
    "max_value": "Too high.",
    "max_whole_digits": "Too many digits before the point.",
    "min_length": "Too short.",
    "min_value": "Too low.",
    "not_a_dict": "There must be an object here.",
    "null": "May not be null.",
    "null_characters_not_allowed": "May not hold NUL.",
    "overflow": "Beyond what can be kept.",
    "required": "Must be sent.",
    "surrogate_characters_not_allowed": "May not hold half a character.",
}


def markdown() -> str:
    """The codes as a table for the documentation."""
    rows = [
        f"| `{name}` | {', '.join(map(str, code.statuses))} | {code.meaning} | {code.remedy} |"
        for name, code in CODES.items()
    ]
    head = "| code | status | meaning | what to do |\n|---|---|---|---|"
    return "\n".join([head, *rows])
