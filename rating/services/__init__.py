"""The verbs of rating, in the order in which a UDR meets them.

batches of UDRs ─► rate_batches                claiming     a short transaction: who looks at what, and how often
     one transaction ─► who pays               pricing      identifier ─► service, account ─► plan ─► group ─► rate
                     ─► what counts            pricing      rounding ─► period under lock ─► bucket ─► tiers ─► amount
                     ─► charges · exceptions   batches      by COPY, counted, and the batch is rated
superseded batches ─► rate_batches             reversing    their charges are taken back, their exceptions closed
an exception's cause is mended ─► rerate       exceptions   or it is written off, with a reason
a month is over ─► close_period                closing      the statement's lines are written, once
"""

from rating.services.batches import make_partitions_ahead, rate_batches, retry_batches
from rating.services.closing import UnableToClosePeriod, close_period
from rating.services.exceptions import (
    UnableToRerate,
    UnableToWriteOff,
    rerate_exceptions,
    write_off_rating_exceptions,
)

__all__ = [
    "UnableToClosePeriod",
    "UnableToRerate",
    "UnableToWriteOff",
    "close_period",
    "make_partitions_ahead",
    "rate_batches",
    "rerate_exceptions",
    "retry_batches",
    "write_off_rating_exceptions",
]
