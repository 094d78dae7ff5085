"""Which mends are offered for which code of import exceptions and which cause of rating exceptions."""

from collections.abc import Mapping
from enum import StrEnum

from mediation.core.codes import Code
from rating.models import RatingException

Cause = RatingException.Cause


class Mend(StrEnum):
    """What can be mended at the source, each named as in the address of its form."""

    VALUE_MAP = "value-map"  # an entry in the value map of the field, or in a map that keeps what it does not know
    MAP_ENTRY = "map-entry"  # an entry in the map among the field's transforms
    LOOKUP_ROW = "lookup-row"
    USAGE_CLASS = "usage-class"
    IDENTIFIER_TYPE = "identifier-type"
    USAGE_UNIT = "usage-unit"
    IDENTIFIER = "identifier"  # given to a service
    HOLDERS = "holders"  # links to who had it before and after
    PAYER_PLAN = "payer-plan"  # links to the account and service that have no plan
    PLAN = "plan"  # links to the version of the plan that lacks something
    ACCOUNT = "account"  # links to the account that had its final bill


FOR_CODES: Mapping[Code, tuple[Mend, ...]] = {
    Code.UNKNOWN_USAGE_CLASS: (Mend.VALUE_MAP, Mend.USAGE_CLASS),
    Code.USAGE_CLASS_TYPE_MISMATCH: (Mend.VALUE_MAP,),
    Code.UNKNOWN_IDENTIFIER_TYPE: (Mend.VALUE_MAP, Mend.IDENTIFIER_TYPE),
    Code.UNKNOWN_UNIT: (Mend.USAGE_UNIT,),
    Code.UNMAPPED_VALUE: (Mend.MAP_ENTRY, Mend.VALUE_MAP),
    Code.LOOKUP_FAILED: (Mend.LOOKUP_ROW,),
    Code.BAD_DATE: (Mend.VALUE_MAP,),
    Code.BAD_NUMBER: (Mend.VALUE_MAP,),
    Code.BAD_BOOLEAN: (Mend.VALUE_MAP,),
    Code.BAD_CURRENCY: (Mend.VALUE_MAP,),
    Code.NEGATIVE_VALUE: (Mend.VALUE_MAP,),
    Code.OUT_OF_RANGE: (Mend.VALUE_MAP,),
}

FOR_CAUSES: Mapping[str, tuple[Mend, ...]] = {
    Cause.NO_IDENTIFIER_MATCH: (Mend.IDENTIFIER,),
    Cause.IDENTIFIER_NOT_VALID_AT_DATE: (Mend.HOLDERS, Mend.IDENTIFIER),
    Cause.NO_RATE_PLAN: (Mend.PAYER_PLAN,),
    Cause.NO_RATE_GROUP: (Mend.PLAN,),
    Cause.NO_RATE: (Mend.PLAN,),
    Cause.FINAL_BILL_ISSUED: (Mend.ACCOUNT,),
}


def mends_for_code(code: str) -> tuple[Mend, ...]:
    """What may be mended so that records with this code go through; none for a profile's own codes."""
    return FOR_CODES.get(Code(code), ()) if code in list(Code) else ()


def mends_for_cause(cause: str) -> tuple[Mend, ...]:
    """What may be mended so that usage with this cause is charged."""
    return FOR_CAUSES.get(cause, ())
