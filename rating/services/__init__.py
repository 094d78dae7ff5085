"""The verbs of rating, in the order in which a UDR meets them.

batches of UDRs ─► rate_batches                claiming     a short transaction: who looks at what, and how often
     one transaction ─► who pays               pricing      identifier ─► service, account ─► plan ─► version ─► rate
                     ─► what counts            pricing      period under lock ─► counters, buckets ─► amount
                     ─► charges · exceptions   batches      by COPY, counted, and the batch is rated
superseded batches ─► rate_batches             reversing    their charges are taken back, their exceptions closed
voided UDRs ─► reverse_voided                  voiding      the same, one by one
     they count again ─► charge_restored       restoring    charged again, since a backfill was reverted
something was taken back ─► settle_waiting     closing      what periods counted is put in order of date again
an exception's cause is mended ─► rerate       exceptions   or it is written off, with a reason
     many of them ─► ask_rerate                retrying     workers do it in portions; or by themselves, with gaps
     somebody looks after them ─► assign       reviewing    and says what was found
prices changed ─► rerating                     rerating     what would change is shown, then taken back and charged anew
somebody is given something ─► grant_bucket    granting     prepaid credit, one-off allowances; open periods are settled
a month is over ─► close_period, close_asked   closing      put in order, settled, numbered: a statement, once
somebody asks what was used ─► count_next_period  counting  of busy periods it is added up beforehand
a charge is doubted ─► explain_charge          explaining   each step from the raw row to the statement's line
"""

from rating.services.batches import make_partitions_ahead, rate_batches, retry_batches
from rating.services.billing import Sheet, statement_of, tax_notices
from rating.services.closing import (
    UnableToClosePeriod,
    ask_to_close,
    close_asked,
    close_period,
    settle_waiting,
)
from rating.services.counting import count_next_period, find_busy_periods
from rating.services.exceptions import (
    UnableToRerate,
    UnableToWriteOff,
    rerate_exceptions,
    write_off_rating_exceptions,
)
from rating.services.granting import UnableToGrant, grant_bucket
from rating.services.opening import open_due_periods
from rating.services.rerating import (
    UnableToAskWhatIf,
    apply_rerate,
    ask_what_if,
    propose_rerate,
    reprice_waiting,
    retry_repricing,
)
from rating.services.restoring import charge_restored
from rating.services.retrying import ask_rerate, rerate_asked, rerate_due, retry_rerate
from rating.services.reviewing import (
    UnableToRetryLater,
    assign_exceptions,
    comment_exception,
    comment_group,
    retry_later,
    stop_retrying,
)
from rating.services.versions import (
    UnableToActivatePlan,
    activate_version,
    create_draft,
    faults_of,
    import_plan,
    update_draft,
)
from rating.services.voiding import reverse_voided

__all__ = [
    "Sheet",
    "UnableToActivatePlan",
    "UnableToAskWhatIf",
    "UnableToClosePeriod",
    "UnableToGrant",
    "UnableToRerate",
    "UnableToRetryLater",
    "UnableToWriteOff",
    "activate_version",
    "apply_rerate",
    "ask_rerate",
    "ask_to_close",
    "ask_what_if",
    "assign_exceptions",
    "charge_restored",
    "close_asked",
    "close_period",
    "comment_exception",
    "comment_group",
    "count_next_period",
    "create_draft",
    "faults_of",
    "find_busy_periods",
    "grant_bucket",
    "import_plan",
    "make_partitions_ahead",
    "open_due_periods",
    "propose_rerate",
    "rate_batches",
    "reprice_waiting",
    "rerate_asked",
    "rerate_due",
    "rerate_exceptions",
    "retry_batches",
    "retry_later",
    "retry_repricing",
    "retry_rerate",
    "reverse_voided",
    "settle_waiting",
    "statement_of",
    "stop_retrying",
    "tax_notices",
    "update_draft",
    "write_off_rating_exceptions",
]
