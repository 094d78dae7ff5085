"""The tables of mediation: Data Profiles, what they look up, the words that UDRs use, and the UDR itself."""

from .bells import Bell
from .lookups import LookupRow, LookupTable
from .profiles import DataProfile, GoldenSample, GoldenSampleChange, ProfileVersion
from .taken_back import BackfillWindow, RestoredUdr, VoidedUdr
from .udrs import MAX_UDRS_PER_BATCH, UDR_ID_BITS, Udr, UdrBatch, UdrKey
from .words import IdentifierType, UsageClass, UsageClassType, UsageUnit

__all__ = [
    "MAX_UDRS_PER_BATCH",
    "UDR_ID_BITS",
    "BackfillWindow",
    "Bell",
    "DataProfile",
    "GoldenSample",
    "GoldenSampleChange",
    "IdentifierType",
    "LookupRow",
    "LookupTable",
    "ProfileVersion",
    "RestoredUdr",
    "Udr",
    "UdrBatch",
    "UdrKey",
    "UsageClass",
    "UsageClassType",
    "UsageUnit",
    "VoidedUdr",
]
