"""The codes of import exceptions: one word each for why a record could not become a UDR."""

from enum import StrEnum


class Code(StrEnum):
    # The row cannot be read.
    UNDECODABLE = "undecodable"
    CONTROL_CHARACTER = "control_character"
    RECORD_TOO_LONG = "record_too_long"
    MALFORMED = "malformed"
    TOO_FEW_COLUMNS = "too_few_columns"
    TOO_MANY_COLUMNS = "too_many_columns"
    # A field of it cannot be.
    MISSING_VALUE = "missing_value"
    BAD_DATE = "bad_date"
    DATE_IN_DST_GAP = "date_in_dst_gap"
    AMBIGUOUS_DATE = "ambiguous_date"
    BAD_NUMBER = "bad_number"
    TOO_MANY_DECIMALS = "too_many_decimals"
    OUT_OF_RANGE = "out_of_range"
    NEGATIVE_VALUE = "negative_value"
    BAD_BOOLEAN = "bad_boolean"
    BAD_CURRENCY = "bad_currency"
    TOO_LONG = "too_long"
    BAD_EXTENSIONS = "bad_extensions"
    UNMAPPED_VALUE = "unmapped_value"
    BAD_TIME = "bad_time"
    LOOKUP_FAILED = "lookup_failed"
    BAD_PHONE_NUMBER = "bad_phone_number"
    UNKNOWN_UNIT = "unknown_unit"
    BAD_FORMULA = "bad_formula"
    UNKNOWN_USAGE_CLASS = "unknown_usage_class"
    USAGE_CLASS_TYPE_MISMATCH = "usage_class_type_mismatch"
    UNKNOWN_IDENTIFIER_TYPE = "unknown_identifier_type"
    MISSING_IDENTIFIER = "missing_identifier"
    # It does not fit with the rows around it.
    UNKNOWN_RECORD_TYPE = "unknown_record_type"
    MISSING_PART_KEY = "missing_part_key"
    UNKNOWN_PART = "unknown_part"
    BAD_PART_NUMBER = "bad_part_number"
    CONFLICTING_PART = "conflicting_part"
    INCOMPLETE_RECORD = "incomplete_record"
    AMBIGUOUS_PRIMARY = "ambiguous_primary"
    # It does not fit what the feed takes.
    TOO_OLD = "too_old"
    IN_FUTURE = "in_future"
    MISSING_UNIQUENESS = "missing_uniqueness"
    CONFLICT = "conflict"
