"""Recounting what the house promises: each rule of the record's walk as one question to which the answer is no row."""

from dataclasses import dataclass
from typing import Any

from django.db import connection

MAX_ROWS = 100


@dataclass(frozen=True)
class Rule:
    """A promise, and the SQL that finds what breaks it. Every row it gives is a difference."""

    name: str
    promise: str
    query: str


@dataclass(frozen=True)
class Difference:
    """A rule that does not hold, with (at most MAX_ROWS of) the rows that show it."""

    rule: Rule
    columns: list[str]
    rows: list[tuple[Any, ...]]


# A batch counts while it is neither staged nor replaced; a UDR's batch is in its id.
RULES = (
    Rule(
        "one_outcome",
        "every record has one outcome: record_count is the sum of the outcomes",
        """SELECT id AS import_id, record_count, imported_count, exception_count, skipped_count, duplicate_count
        FROM ingestion_usageimport
        WHERE record_count <> imported_count + exception_count + skipped_count + duplicate_count + waiting_count
           OR (status = 'completed' AND waiting_count <> 0)""",
    ),
    Rule(
        "imported_are_udrs",
        "the imported of an import are its UDRs in counting batches",
        """SELECT i.id AS import_id, i.imported_count, coalesce(u.n, 0) AS udrs
        FROM ingestion_usageimport i
        LEFT JOIN (SELECT u.import_id, count(*) AS n FROM mediation_udr u
                   JOIN mediation_udrbatch b ON b.id = u.id >> 17 AND b.status IN ('mediated', 'rated', 'errored')
                   GROUP BY u.import_id) u ON u.import_id = i.id
        WHERE i.status = 'completed' AND i.imported_count <> coalesce(u.n, 0)""",
    ),
    Rule(
        "repaired_are_udrs",
        "the repaired of an import are its UDRs in counting batches that name the rules that repaired them",
        """SELECT i.id AS import_id, i.repaired_count, coalesce(u.n, 0) AS repaired_udrs
        FROM ingestion_usageimport i
        LEFT JOIN (SELECT u.import_id, count(*) AS n FROM mediation_udr u
                   JOIN mediation_udrbatch b ON b.id = u.id >> 17 AND b.status IN ('mediated', 'rated', 'errored')
                   WHERE u.repairs IS NOT NULL GROUP BY u.import_id) u ON u.import_id = i.id
        WHERE i.status = 'completed' AND i.repaired_count <> coalesce(u.n, 0)""",
    ),
    Rule(
        "exceptions_are_rows",
        "the exceptions of an import are its undecided and written-off exception rows",
        """SELECT i.id AS import_id, i.exception_count, coalesce(e.n, 0) AS exceptions
        FROM ingestion_usageimport i
        LEFT JOIN (SELECT import_id, attempt, count(*) AS n FROM ingestion_importexception
                   WHERE status IN ('open', 'reprocessing', 'written_off') GROUP BY import_id, attempt) e
               ON e.import_id = i.id AND e.attempt = i.attempt
        WHERE i.status = 'completed' AND i.exception_count <> coalesce(e.n, 0)""",
    ),
    Rule(
        "left_out_are_rows",
        "the skipped and the duplicates of an import are its left-out rows",
        """SELECT i.id AS import_id, i.skipped_count, i.duplicate_count, coalesce(l.skipped, 0) AS skipped_rows,
               coalesce(l.duplicates, 0) AS duplicate_rows
        FROM ingestion_usageimport i
        LEFT JOIN (SELECT import_id, attempt, count(*) FILTER (WHERE outcome = 'skipped') AS skipped,
                          count(*) FILTER (WHERE outcome = 'duplicate') AS duplicates
                   FROM ingestion_leftoutrecord GROUP BY import_id, attempt) l
               ON l.import_id = i.id AND l.attempt = i.attempt
        WHERE i.status = 'completed'
          AND (i.skipped_count <> coalesce(l.skipped, 0) OR i.duplicate_count <> coalesce(l.duplicates, 0))""",
    ),
    Rule(
        "waiting_rows_are_parts",
        "a row that waits for the others of its record is kept as a part, and every part that waits is such a row",
        """SELECT coalesce(l.import_id, p.import_id) AS import_id, coalesce(l.record_number, p.record_number)
               AS record_number, l.reason, p.key
        FROM (SELECT l.* FROM ingestion_leftoutrecord l
              JOIN ingestion_usageimport i ON i.id = l.import_id AND i.attempt = l.attempt AND i.status = 'completed'
              WHERE l.outcome = 'skipped' AND l.reason = 'waits for its other parts') l
        FULL JOIN (SELECT p.* FROM ingestion_waitingpart p
              JOIN ingestion_usageimport i ON i.id = p.import_id AND i.attempt = p.attempt AND i.status = 'completed'
              WHERE p.record_import_id IS NULL) p USING (import_id, record_number)
        WHERE l.import_id IS NULL OR p.import_id IS NULL""",
    ),
    Rule(
        "duplicates_repeat_what_counts",
        "the key of every duplicate is held by a UDR",
        """SELECT l.import_id, l.record_number, l.reason AS key FROM ingestion_leftoutrecord l
        JOIN ingestion_usageimport i ON i.id = l.import_id AND i.attempt = l.attempt AND i.status = 'completed'
        LEFT JOIN mediation_udrkey k ON k.feed_id = i.feed_id AND k.key = l.reason
        WHERE l.outcome = 'duplicate' AND l.udr_id IS NOT NULL AND k.key IS NULL""",
    ),
    Rule(
        "batches_are_whole",
        "a batch holds as many UDRs as it says",
        """SELECT coalesce(b.id, u.batch_id) AS batch_id, b.udr_count, u.n AS udrs
        FROM mediation_udrbatch b
        FULL JOIN (SELECT id >> 17 AS batch_id, count(*) AS n FROM mediation_udr GROUP BY 1) u ON u.batch_id = b.id
        WHERE b.udr_count IS DISTINCT FROM u.n""",
    ),
    Rule(
        "counted_once",
        "every counting UDR holds exactly one key, and every key is held by a counting UDR",
        """SELECT u.id AS udr_id, k.key FROM
            (SELECT u.id FROM mediation_udr u JOIN mediation_udrbatch b ON b.id = u.id >> 17
             AND b.status IN ('mediated', 'rated', 'errored')) u
        FULL JOIN mediation_udrkey k ON k.udr_id = u.id
        WHERE (u.id IS NULL OR k.udr_id IS NULL)
          AND NOT EXISTS (SELECT 1 FROM mediation_udrbatch s WHERE s.status = 'staged')""",
    ),
    Rule(
        "charged_once",
        "every UDR of a rated batch has one charge that stands or one rating exception, never both",
        """SELECT u.id AS udr_id, coalesce(c.standing, 0) AS charges, coalesce(e.n, 0) AS rating_exceptions
        FROM mediation_udr u
        JOIN mediation_udrbatch b ON b.id = u.id >> 17 AND b.status = 'rated'
        LEFT JOIN (SELECT udr_id, count(*) FILTER (WHERE kind = 'charge') - count(*) FILTER (WHERE kind = 'reversal')
                   AS standing FROM rating_charge GROUP BY udr_id) c ON c.udr_id = u.id
        LEFT JOIN (SELECT udr_id, count(*) AS n FROM rating_ratingexception
                   WHERE status IN ('open', 'written_off') GROUP BY udr_id) e ON e.udr_id = u.id
        WHERE coalesce(c.standing, 0) + coalesce(e.n, 0) <> 1""",
    ),
    Rule(
        "replaced_cost_nothing",
        "the charges of a reversed batch come to nothing",
        """SELECT c.udr_id, sum(c.amount) AS amount FROM rating_charge c
        JOIN mediation_udrbatch b ON b.id = c.udr_id >> 17 AND b.status = 'reversed'
        GROUP BY c.udr_id
        HAVING sum(c.amount) <> 0
            OR count(*) FILTER (WHERE kind = 'charge') <> count(*) FILTER (WHERE kind = 'reversal')
        """,
    ),
    Rule(
        "buckets_add_up",
        "a bucket's balance is what charges drew from it",
        """SELECT b.period_id, b.service_id, b.bucket_id, b.used, coalesce(c.drawn, 0) AS drawn
        FROM rating_bucketbalance b
        LEFT JOIN (SELECT period_id, service_id, bucket_id, sum(bucket_quantity) AS drawn FROM rating_charge
                   WHERE bucket_id IS NOT NULL GROUP BY 1, 2, 3) c USING (period_id, service_id, bucket_id)
        WHERE b.used <> coalesce(c.drawn, 0)""",
    ),
    Rule(
        "tiers_add_up",
        "a tier position is what charges at that rate counted",
        """SELECT p.period_id, p.service_id, p.rate_id, p.quantity, coalesce(c.counted, 0) AS counted
        FROM rating_tierposition p
        LEFT JOIN (SELECT period_id, service_id, rate_id, sum(rated_quantity - bucket_quantity) AS counted
                   FROM rating_charge WHERE tier_position IS NOT NULL GROUP BY 1, 2, 3) c
               USING (period_id, service_id, rate_id)
        WHERE p.quantity <> coalesce(c.counted, 0)""",
    ),
    Rule(
        "statements_add_up",
        "the lines of a closed period are its charges",
        """SELECT p.id AS period_id, coalesce(l.amount, 0) AS lines, coalesce(c.amount, 0) AS charges
        FROM rating_billingperiod p
        LEFT JOIN (SELECT period_id, sum(amount) AS amount FROM rating_statementline GROUP BY 1) l ON l.period_id = p.id
        LEFT JOIN (SELECT period_id, sum(amount) AS amount FROM rating_charge GROUP BY 1) c ON c.period_id = p.id
        WHERE p.status = 'closed' AND coalesce(l.amount, 0) <> coalesce(c.amount, 0)""",
    ),
)


def differences(rule: Rule) -> Difference | None:
    """What breaks `rule`, or None where it holds."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT * FROM ({rule.query}) difference LIMIT {MAX_ROWS}")  # noqa: S608 - our own SQL
        rows = cursor.fetchall()
        columns = [column.name for column in cursor.description or ()]
    return Difference(rule, columns, rows) if rows else None
