"""Which tables are audited and which are not, each with its reason; every table has its place in one of the two."""

from dataclasses import dataclass

ALL = frozenset({"insert", "update", "delete"})
CHANGES = frozenset({"update", "delete"})


@dataclass(frozen=True)
class Audited:
    """A table whose changes are entered.

    model: its label. part_of: the foreign key to what it is a part of, whose page tells of it too. beside: another
    foreign key, for tables with few entries: the other page looks through them all. silent: columns of bookkeeping,
    never entered. hidden: columns of which it is only told that they changed. key: the column that names a row, empty
    for the primary key. when: for tables that workers fill, which single rows are entered (SQL of NEW and OLD, or of
    {row}: as it was, or as it is once it is inserted); they cost nothing else. passing: states between which rows go
    to and fro while workers try; no entry, unless it is a person's deed, or anything else is changed with them. as_set:
    a foreign key and a state; rows that workers bring from a passing state into this one, and change nothing else of
    but when, are one entry for each row that the key names, with their number.
    """

    model: str
    part_of: str = ""
    beside: str = ""
    operations: frozenset[str] = ALL
    silent: tuple[str, ...] = ()
    hidden: tuple[str, ...] = ()
    key: str = ""
    when: str = ""
    passing: tuple[str, ...] = ()
    as_set: tuple[str, ...] = ()


AUDITED = (
    # How usage comes in, and what could not be read
    Audited("ingestion.Feed"),
    Audited("ingestion.FeedGrant", part_of="user", beside="feed"),
    Audited(
        "ingestion.UsageImport",
        operations=frozenset({"update"}),
        when="OLD.attempt <> NEW.attempt",
        silent=(
            "claimed_until",
            "plan_attempts",
            "record_count",
            "imported_count",
            "exception_count",
            "skipped_count",
            "duplicate_count",
            "repaired_count",
            "waiting_count",
            "file_fields",
            "header",
        ),
    ),
    Audited(
        "ingestion.ImportException",
        operations=CHANGES,
        silent=("last_tried_at", "retry_attempts", "revision_count", "retry_round", "next_try_at"),
        passing=("open", "reprocessing"),
        as_set=("usage_import", "superseded"),
    ),
    Audited("ingestion.ExceptionRevision", part_of="exception"),
    Audited(
        "ingestion.GroupCorrection",
        silent=(
            "claimed_until",
            "attempts",
            "record_count",
            "corrected_count",
            "resolved_count",
            "still_count",
            "unchanged_count",
            "passed_count",
            "last_exception_id",
            "started_at",
        ),
    ),
    Audited("ingestion.ExceptionComment", part_of="exception"),
    Audited("ingestion.UsageVoid", operations=frozenset({"insert"}), silent=("content_hash",)),
    Audited(
        "ingestion.Backfill",
        silent=("claimed_until", "attempts", "error", "difference", "udr_count", "left_out_count"),
    ),
    # What records mean
    Audited("mediation.DataProfile"),
    Audited("mediation.ProfileVersion", part_of="profile"),
    Audited("mediation.GoldenSample", part_of="profile"),
    Audited("mediation.GoldenSampleChange", part_of="profile"),
    Audited("mediation.UsageClassType"),
    Audited("mediation.UsageClass"),
    Audited("mediation.IdentifierType"),
    Audited("mediation.UsageUnit"),
    Audited("mediation.LookupTable", silent=("row_count", "version", "changed_at")),
    Audited("mediation.LookupRow", part_of="table"),
    # What usage costs, and who pays
    Audited("rating.RatePlan"),
    Audited("rating.PlanVersion", part_of="plan"),
    Audited("rating.Package"),
    Audited("rating.Account"),
    Audited("rating.Service", part_of="account"),
    Audited("rating.ServiceIdentifier", part_of="service"),
    Audited("rating.Jurisdiction"),
    Audited("rating.ClassTaxCategory"),
    Audited("rating.TaxCode", part_of="jurisdiction"),
    Audited("rating.TaxPart", part_of="code"),
    Audited("rating.TaxExemption", part_of="account"),
    Audited(
        "rating.BucketGrant",
        part_of="account",
        silent=("used", "refills"),
        when="{row}.given_by_id IS NOT NULL OR {row}.reason <> ''",
    ),
    # What was charged, and what could not be
    Audited("rating.BillingPeriod", operations=CHANGES, silent=("is_unsettled", "work_attempts")),
    Audited("rating.Statement", part_of="period"),
    Audited(
        "rating.RatingException",
        operations=CHANGES,
        silent=("last_tried_at", "attempts", "subject", "rerate_id", "retry_round", "next_try_at"),
    ),
    Audited("rating.RatingExceptionComment", part_of="exception"),
    Audited("rating.ExceptionRerate", silent=("tried_count", "charged_count", "attempts")),
    Audited("rating.Repricing", silent=("totals", "attempts")),
    Audited(
        "config.Notice",
        operations=frozenset({"update"}),
        when="OLD.acknowledged_at IS DISTINCT FROM NEW.acknowledged_at",
    ),
    Audited(
        "config.WebhookEndpoint",
        silent=("failures", "failing_since", "rests_until", "secret_check", "previous_until"),
        hidden=("secret_salt", "previous_salt"),
    ),
    Audited("config.WebhookEndpoint_feeds", part_of="webhookendpoint"),
    # Who may, and who agreed
    Audited("config.Approval", silent=("arguments", "fingerprint", "request_hash")),
    Audited("auth.User", silent=("last_login",), hidden=("password",)),
    Audited(
        "config.LoginTries",
        part_of="user",
        operations=frozenset({"update"}),
        silent=("failed_at", "closed_until"),
        hidden=("key",),
        when="(OLD.braked_since IS NULL) <> (NEW.braked_since IS NULL)",
    ),
    Audited("auth.Group"),
    Audited("auth.User_groups", part_of="user"),
    Audited("auth.User_user_permissions", part_of="user"),
    Audited("auth.Group_permissions", part_of="group"),
    Audited("knox.AuthToken", part_of="user", key="token_key", hidden=("digest",)),
    Audited("config.TokenScope", hidden=("token_id",)),
)

NOT_AUDITED = {
    "config.AccountFigure": "counted anew from what it is a figure of",
    "config.ArrivalFigure": "counted anew from what it is a figure of",
    "config.AuditEntry": "the audit itself",
    "config.ChargeEstimate": "counted anew from what it is a figure of",
    "config.ChargeFigure": "counted anew from what it is a figure of",
    "config.FigureRun": "how far the figures are counted",
    "config.OpenFigure": "counted anew from what it is a figure of",
    "config.Preference": "what a person likes to see",
    "config.SavedFilter": "what a person likes to see",
    "config.Reconciliation": "counted from other tables; says itself who asked and when",
    "config.TokenQuota": "what is given out of a minute's limit",
    "config.TokenUse": "when a token was used last",
    "config.WebhookEvent": "what happened, of which other tables tell; written by triggers",
    "config.WebhookDelivery": "work; its log tells it",
    "config.WebhookAttempt": "the log itself",
    "config.ExportJob": "made once by who asked; says itself who and when",
    "ingestion.ImportBody": "what was received; never changed",
    "ingestion.ImportChunk": "work and its ledger; the imports' history tells it",
    "ingestion.LeftOutRecord": "facts that mediation writes",
    "ingestion.FileUpload": "a file on its way; the import that it becomes tells who sent it",
    "ingestion.IdempotencyKey": "facts that acceptance writes",
    "ingestion.KeyToVoid": "a part of a void, which says who, when and why",
    "ingestion.PickupState": "how looking at a location goes; written by workers",
    "ingestion.UploadPart": "bytes on their way",
    "ingestion.WaitingPart": "facts that mediation writes",
    "mediation.UdrBatch": "work; the imports' history tells it",
    "mediation.Udr": "facts that mediation writes, by new batches alone",
    "mediation.UdrKey": "facts that mediation writes",
    "mediation.VoidedUdr": "written once; says itself who, when and why",
    "mediation.BackfillWindow": "how mediation heeds a backfill, which is audited",
    "mediation.RestoredUdr": "work, gone once it is done",
    "mediation.Bell": "how workers are woken",
    "rating.Rate": "names of rates, made from the document of a plan version, which is audited",
    "rating.Bucket": "names of buckets, made from the document of a plan version, which is audited",
    "rating.Counter": "what rating counts; rebuilt from charges",
    "rating.CountedPeriod": "how far workers counted charges; rebuilt from charges",
    "rating.CountedUsage": "what workers counted of charges; rebuilt from charges",
    "rating.SeenMember": "what rating counts; rebuilt from charges",
    "rating.BucketDraw": "facts that rating writes, corrected by further ones alone",
    "rating.Charge": "facts that rating writes, corrected by reversals alone",
    "rating.RepricedAccount": "what a repricing worked out; the repricing is audited",
    "rating.StatementLine": "written with its statement, which is audited, and never changed",
    "rating.StatementTax": "written with its statement, which is audited, and never changed",
    "admin.LogEntry": "Django's own log of forms; the audit has its place",
    "auth.Permission": "made by migrations",
    "contenttypes.ContentType": "made by migrations",
    "sessions.Session": "who is signed in at the moment",
    "django_q.Task": "results of tasks",
    "django_q.Success": "results of tasks",
    "django_q.Failure": "results of tasks",
    "django_q.Schedule": "made by `up` from config/schedules.py",
    "django_q.OrmQ": "the queue of tasks",
}
