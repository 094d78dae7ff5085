"""What each exception code says about a record, and what usually helps, in the words of the person at the desk."""

from mediation.core.codes import Code

READING = "Correct the raw text, or change how the Data Profile reads its rows."
VALUE = "Correct the value, or teach the Data Profile's mapping of the field to take it."
NAME = "Correct the name, map it to one that is set up, or set it up."
TOGETHER = "Look at the other rows of its record; correct this one, or send what is lacking."

# Code -> (the record …, what usually helps).
MEANINGS: dict[str, tuple[str, str]] = {
    Code.UNDECODABLE: ("holds bytes that the profile's encoding does not know; they are shown as \\xff", READING),
    Code.CONTROL_CHARACTER: ("holds a NUL character", READING),
    Code.RECORD_TOO_LONG: ("is longer than 1 MiB", READING),
    Code.MALFORMED: ("has a quote or a line end where none may be, or is no JSON object", READING),
    Code.TOO_FEW_COLUMNS: ("has fewer columns than the profile or the header names", READING),
    Code.TOO_MANY_COLUMNS: ("has more columns than the profile or the header names", READING),
    Code.MISSING_VALUE: ("lacks a date, a value or a usage class", "Set the field, or give it a default."),
    Code.BAD_DATE: ("has a date of another format than the profile's, or one that does not exist", VALUE),
    Code.DATE_IN_DST_GAP: ("has a time that the clocks skipped in spring", VALUE),
    Code.AMBIGUOUS_DATE: ("has a time that the clocks showed twice in autumn", VALUE),
    Code.BAD_NUMBER: ("has a number outside the grammar: digits, at most one point, perhaps a sign", VALUE),
    Code.TOO_MANY_DECIMALS: ("has a number finer than its field keeps", VALUE),
    Code.OUT_OF_RANGE: ("has a number larger than its field holds, or a date outside the years", VALUE),
    Code.NEGATIVE_VALUE: ("has a number below zero", VALUE),
    Code.BAD_BOOLEAN: ("has a text that is neither yes nor no", VALUE),
    Code.BAD_CURRENCY: ("has a text that is no code of a currency", VALUE),
    Code.TOO_LONG: ("has a text longer than its field holds", VALUE),
    Code.BAD_EXTENSIONS: ("has extensions that are no JSON object", VALUE),
    Code.UNMAPPED_VALUE: ("has a text that the profile's value map lacks", "Add it to the value map, or correct it."),
    Code.BAD_TIME: ("has a text that is no time of day", VALUE),
    Code.LOOKUP_FAILED: (
        "has a text for which the lookup table gives nothing at its date",
        "Add a row to the lookup table, or correct the text.",
    ),
    Code.BAD_PHONE_NUMBER: ("has a text that is no phone number", VALUE),
    Code.UNKNOWN_UNIT: ("names a usage unit that is not set up", NAME),
    Code.BAD_FORMULA: ("has a text that the profile's formula could not take", VALUE),
    Code.UNKNOWN_USAGE_CLASS: ("names a usage class that is not set up", NAME),
    Code.USAGE_CLASS_TYPE_MISMATCH: ("names a usage class together with another type than its own", NAME),
    Code.UNKNOWN_IDENTIFIER_TYPE: ("names an identifier type that is not set up", NAME),
    Code.MISSING_IDENTIFIER: ("names nobody who could pay", "Set one of the identifiers."),
    Code.UNKNOWN_RECORD_TYPE: ("is neither header, trailer nor detail", TOGETHER),
    Code.MISSING_PART_KEY: ("is a part of a record and lacks the key that joins it to the others", TOGETHER),
    Code.UNKNOWN_PART: ("is a part of a record and has none of its roles", TOGETHER),
    Code.BAD_PART_NUMBER: ("is a part of a record and has no number", TOGETHER),
    Code.CONFLICTING_PART: ("contradicts another row of its record: its role or number is taken", TOGETHER),
    Code.INCOMPLETE_RECORD: ("waited for the other rows of its record in vain", TOGETHER),
    Code.AMBIGUOUS_PRIMARY: ("is made of rows none or several of which say that they are the primary one", TOGETHER),
    Code.TOO_OLD: ("is older than its feed takes", "Let the feed take older usage and reprocess, or write it off."),
    Code.IN_FUTURE: ("is further ahead than its feed takes", "Correct the date, or retry later."),
    Code.MISSING_UNIQUENESS: ("has none of the fields that make it unique", "Set one of these fields."),
    Code.CONFLICT: (
        "has the key of a record that came before, and other content",
        "Decide which one holds: correct this one's key, or write it off.",
    ),
    Code.NOTHING_TO_AMEND: (
        "was sent to amend usage, and none was ever known by its key",
        "Correct its key, or write it off and send it as usage.",
    ),
    Code.OUTSIDE_BACKFILL: (
        "was sent into a backfill, and lies outside of its window",
        "Correct its date, or write it off and send it as usual.",
    ),
}


def meaning_of(code: str) -> tuple[str, str]:
    """What a code says of its record, and what helps; a code of a profile's own breaks one of its validations."""
    return MEANINGS.get(code, ("breaks a validation of its Data Profile", VALUE))
