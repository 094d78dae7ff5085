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
        WHERE i.status = 'completed' AND i.imported_count <> coalesce(u.n, 0)
          AND NOT EXISTS (SELECT 1 FROM ingestion_backfill f WHERE f.id = i.backfill_id
                          AND f.status NOT IN ('closed', 'reverting'))""",
    ),
    Rule(
        "held_are_apart",
        "what came by a backfill that is not closed is imported and held, and counts nowhere",
        """SELECT i.id AS import_id, f.status, i.imported_count, coalesce(u.held, 0) AS held,
               coalesce(u.counting, 0) AS counting
        FROM ingestion_usageimport i
        JOIN ingestion_backfill f ON f.id = i.backfill_id AND f.status NOT IN ('closed', 'reverting')
        LEFT JOIN (SELECT u.import_id, count(*) FILTER (WHERE b.status = 'held') AS held,
                          count(*) FILTER (WHERE b.status IN ('mediated', 'rated', 'errored')
                                           AND b.finished_at IS NULL) AS counting
                   FROM mediation_udr u JOIN mediation_udrbatch b ON b.id = u.id >> 17 AND b.backfill_id IS NOT NULL
                   GROUP BY u.import_id) u ON u.import_id = i.id
        WHERE coalesce(u.counting, 0) <> 0
           OR (f.status IN ('open', 'closing') AND i.status = 'completed' AND i.imported_count <> coalesce(u.held, 0))
           OR (f.status IN ('abandoned', 'reverted') AND coalesce(u.held, 0) <> 0)""",
    ),
    Rule(
        "replaced_by_backfills",
        "what a closed backfill replaced is voided by it, as many UDRs as it says",
        """SELECT f.id AS backfill_id, f.replaced_count + f.left_out_count AS told, count(v.udr_id) AS voided
        FROM ingestion_backfill f LEFT JOIN mediation_voidedudr v ON v.backfill_id = f.id
        WHERE f.status = 'closed' GROUP BY f.id HAVING count(v.udr_id) <> f.replaced_count + f.left_out_count""",
    ),
    Rule(
        "repaired_are_udrs",
        "the repaired of an import are its UDRs in counting batches that name the rules that repaired them",
        """SELECT i.id AS import_id, i.repaired_count, coalesce(u.n, 0) AS repaired_udrs
        FROM ingestion_usageimport i
        LEFT JOIN (SELECT u.import_id, count(*) AS n FROM mediation_udr u
                   JOIN mediation_udrbatch b ON b.id = u.id >> 17 AND b.status IN ('mediated', 'rated', 'errored')
                   WHERE u.repairs IS NOT NULL GROUP BY u.import_id) u ON u.import_id = i.id
        WHERE i.status = 'completed' AND i.repaired_count <> coalesce(u.n, 0)
          AND NOT EXISTS (SELECT 1 FROM ingestion_backfill f WHERE f.id = i.backfill_id
                          AND f.status NOT IN ('closed', 'reverting'))""",
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
        "the key of every duplicate is held by a UDR, or by one that was voided since",
        """SELECT l.import_id, l.record_number, l.reason AS key FROM ingestion_leftoutrecord l
        JOIN ingestion_usageimport i ON i.id = l.import_id AND i.attempt = l.attempt AND i.status = 'completed'
        LEFT JOIN ingestion_backfill f ON f.id = i.backfill_id
        LEFT JOIN mediation_udrkey k ON k.key = l.reason AND k.feed_id IN
            (i.feed_id, CASE WHEN f.status IN ('open', 'closing', 'abandoning') THEN -f.id END)
        WHERE l.outcome = 'duplicate' AND l.udr_id IS NOT NULL AND k.key IS NULL
          AND NOT EXISTS (SELECT 1 FROM mediation_voidedudr v WHERE v.feed_id = i.feed_id AND v.key = l.reason)
          AND (f.id IS NULL OR f.status NOT IN ('reverted', 'abandoned'))""",
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
        "every counting UDR holds exactly one key, and every key is held by a counting UDR; what is held, apart",
        """SELECT u.id AS udr_id, k.key FROM
            (SELECT u.id FROM mediation_udr u JOIN mediation_udrbatch b ON b.id = u.id >> 17
             AND b.status IN ('mediated', 'rated', 'errored', 'held')
             WHERE NOT EXISTS (SELECT 1 FROM mediation_voidedudr v WHERE v.udr_id = u.id)) u
        FULL JOIN mediation_udrkey k ON k.udr_id = u.id
        LEFT JOIN mediation_udrbatch of_key ON of_key.id = k.udr_id >> 17
        WHERE (u.id IS NULL OR k.udr_id IS NULL OR (k.feed_id < 0) <> (of_key.status = 'held'))
          AND NOT EXISTS (SELECT 1 FROM mediation_udrbatch s WHERE s.status = 'staged')""",
    ),
    Rule(
        "charged_once",
        "every UDR of a rated batch has charges that stand for all it measured, or one rating exception, never both;"
        " a voided one has neither",
        """SELECT u.id AS udr_id, u.value, c.quantity AS charged, coalesce(c.standing, 0) AS charges,
               coalesce(e.n, 0) AS rating_exceptions
        FROM mediation_udr u
        JOIN mediation_udrbatch b ON b.id = u.id >> 17 AND b.status = 'rated'
        LEFT JOIN (SELECT udr_id, sum(quantity) AS quantity,
                          sum(CASE kind WHEN 'charge' THEN 1 ELSE -1 END) AS standing
                   FROM rating_charge GROUP BY udr_id) c ON c.udr_id = u.id
        LEFT JOIN (SELECT udr_id, count(*) AS n FROM rating_ratingexception
                   WHERE status IN ('open', 'written_off') GROUP BY udr_id) e ON e.udr_id = u.id
        LEFT JOIN mediation_voidedudr v ON v.udr_id = u.id
        LEFT JOIN mediation_restoredudr again ON again.udr_id = u.id
        WHERE CASE WHEN again.udr_id IS NOT NULL THEN coalesce(c.standing, 0) <> 0
              WHEN v.udr_id IS NOT NULL
              THEN v.settled_at IS NOT NULL
                   AND (coalesce(c.standing, 0) <> 0 OR coalesce(c.quantity, 0) <> 0 OR coalesce(e.n, 0) <> 0)
              WHEN coalesce(c.standing, 0) = 0 THEN coalesce(e.n, 0) <> 1
              ELSE c.standing < 0 OR c.quantity <> u.value OR coalesce(e.n, 0) <> 0 END""",
    ),
    Rule(
        "voided_are_counted",
        "a batch says how many of its UDRs are voided",
        """SELECT coalesce(b.id, v.batch_id) AS batch_id, b.voided_count, v.n AS voided
        FROM (SELECT id, voided_count FROM mediation_udrbatch WHERE voided_count <> 0) b
        FULL JOIN (SELECT udr_id >> 17 AS batch_id, count(*) AS n FROM mediation_voidedudr GROUP BY 1) v
               ON v.batch_id = b.id
        WHERE coalesce(b.voided_count, 0) <> coalesce(v.n, 0)""",
    ),
    Rule(
        "voided_stay_voided",
        "nothing counts under a key that was voided by a request after it had come",
        """SELECT k.udr_id, k.key, i.received_at, v.requested_at FROM mediation_voidedudr v
        JOIN mediation_udrkey k ON k.feed_id = v.feed_id AND k.key = v.key
        JOIN mediation_udrbatch b ON b.id = k.udr_id >> 17 AND b.status IN ('mediated', 'rated', 'errored')
        JOIN ingestion_usageimport i ON i.id = b.import_id
        WHERE v.backfill_id IS NULL AND v.replaced_by IS NULL AND v.requested_at > i.received_at""",
    ),
    Rule(
        "voided_cost_nothing",
        "the charges of a voided UDR come to nothing, in every period together",
        """SELECT v.udr_id, sum(c.amount) AS amount FROM mediation_voidedudr v
        JOIN mediation_udrbatch b ON b.id = v.udr_id >> 17 AND b.status = 'rated'
        JOIN rating_charge c ON c.id >= v.udr_id << 12 AND c.id < (v.udr_id + 1) << 12
        WHERE v.settled_at IS NOT NULL
        GROUP BY v.udr_id HAVING sum(c.amount) <> 0""",
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
        "what is used of a grant is what charges drew from it, less what was given back",
        """SELECT bucket_id, account_id, service_id, starts_at, g.used, d.drawn
        FROM rating_bucketgrant g
        FULL JOIN (SELECT bucket_id, account_id, service_id, starts_at, sum(quantity) AS drawn FROM rating_bucketdraw
                   WHERE kind <> 'refill' GROUP BY 1, 2, 3, 4) d USING (bucket_id, account_id, service_id, starts_at)
        WHERE coalesce(g.used, 0) <> coalesce(d.drawn, 0)""",
    ),
    Rule(
        "draws_are_charged",
        "the units and the money that a charge took from buckets are its draws, row by row",
        """SELECT coalesce(c.id, d.charge_id) AS charge_id, c.bucket_quantity, c.credit, d.drawn FROM rating_charge c
        FULL JOIN (SELECT charge_id, sum(quantity) AS drawn FROM rating_bucketdraw WHERE kind <> 'refill' GROUP BY 1) d
               ON d.charge_id = c.id
        WHERE coalesce(c.bucket_quantity + c.credit, 0) <> coalesce(d.drawn, 0)
          AND (d.charge_id IS NOT NULL OR c.kind = 'charge')""",
    ),
    Rule(
        "tiers_add_up",
        "a counter has come as far as charges counted, in open periods that are in order",
        # Of rates that every version counts alike, by units, once a period; other counters are no sum of charges.
        """WITH said AS (
            SELECT v.plan_id, g.value ->> 'name' AS group_name, r.value AS rate,
                coalesce(r.value ->> 'name', r.value ->> 'usage_class') AS rate_name,
                coalesce(nullif(r.value -> 'counting', 'null'), '{}') AS counting
            FROM rating_planversion v, jsonb_array_elements(v.document -> 'groups') g,
                jsonb_array_elements(g.value -> 'rates') r
            WHERE v.status = 'active'
        ), summed AS (
            SELECT t.id AS rate_id, bool_or(counting ->> 'per' = 'account') AS is_shared
            FROM said JOIN rating_rate t
                ON t.plan_id = said.plan_id AND t."group" = said.group_name AND t.name = said.rate_name
            GROUP BY t.id
            HAVING count(DISTINCT counting) = 1
               AND bool_and(rate ->> 'model' NOT IN
                            ('percentage', 'graduated_percentage', 'basis_points', 'pass_through'))
               AND bool_and(coalesce(counting ->> 'restarts', 'period') = 'period')
               AND bool_and(coalesce(counting ->> 'per', 'service') <> 'family')
               AND bool_and(coalesce(nullif(counting -> 'by', 'null'), '[]') = '[]')
        ), counted AS (
            SELECT c.counting_period_id AS period_id, c.account_id, c.rate_id,
                CASE WHEN is_shared THEN 0 ELSE c.service_id END AS service_id,
                sum(c.rated_quantity - c.free_quantity - c.bucket_quantity) AS counted
            FROM rating_charge c JOIN summed USING (rate_id) WHERE c.tier_position IS NOT NULL GROUP BY 1, 2, 3, 4
        ), counters AS (
            SELECT k.* FROM rating_counter k JOIN summed USING (rate_id) WHERE k.key = ''
        )
        SELECT period_id, account_id, service_id, rate_id, k.position, c.counted
        FROM counters k FULL JOIN counted c USING (period_id, account_id, service_id, rate_id)
        WHERE coalesce(k.position, 0) <> coalesce(c.counted, 0)
          AND period_id IN (SELECT id FROM rating_billingperiod WHERE status = 'open' AND NOT is_unsettled)""",
    ),
    Rule(
        "counted_usage_is_charged",
        "what was counted of busy periods beforehand is their charges less reversals: of each day, feed, class, plan,"
        " rate and currency, and of each line too where that was counted",
        # Added up by line only where lines were counted. NULLs are to meet each other, as they do in GROUP BY.
        """WITH charged AS (
            SELECT c.period_id, k.has_lines, (c.date AT TIME ZONE a.time_zone)::date AS day, b.feed_id,
                c.usage_class_id, c.plan_id, c.rate_id, c.currency,
                CASE WHEN k.has_lines THEN c.service_id END AS service_id,
                CASE WHEN k.has_lines THEN c.service_identifier_id END AS service_identifier_id,
                sum(CASE c.kind WHEN 'charge' THEN 1 ELSE -1 END) AS records, sum(c.quantity) AS quantity,
                sum(c.rated_quantity) AS rated_quantity, sum(c.free_quantity) AS free_quantity,
                sum(c.bucket_quantity) AS bucket_quantity, sum(c.credit) AS credit, sum(c.amount) AS amount
            FROM rating_charge c
            JOIN rating_countedperiod k ON k.period_id = c.period_id AND c.date < k.before
            JOIN rating_billingperiod p ON p.id = c.period_id JOIN rating_account a ON a.id = p.account_id
            LEFT JOIN mediation_udrbatch b ON b.id = c.udr_id >> 17
            GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10
        ), both_ways AS (
            SELECT period_id, w.by_line, day, feed_id, usage_class_id, plan_id, rate_id, currency,
                CASE WHEN w.by_line THEN service_id END AS service_id,
                CASE WHEN w.by_line THEN service_identifier_id END AS service_identifier_id,
                records AS charges, 0 AS counted, amount AS charged_amount, 0 AS counted_amount,
                quantity, rated_quantity, free_quantity, bucket_quantity, credit
            FROM charged CROSS JOIN (VALUES (true), (false)) w (by_line) WHERE has_lines OR NOT w.by_line
            UNION ALL
            SELECT period_id, u.by_line, u.day, u.feed_id, u.usage_class_id, u.plan_id, u.rate_id, u.currency,
                u.service_id, u.service_identifier_id, 0, u.record_count, 0, u.amount,
                -u.quantity, -u.rated_quantity, -u.free_quantity, -u.bucket_quantity, -u.credit
            FROM rating_countedusage u JOIN rating_countedperiod k USING (period_id)
            WHERE k.before IS NOT NULL AND (k.has_lines OR NOT u.by_line)
        )
        SELECT period_id, by_line, day, feed_id, usage_class_id, plan_id, rate_id, currency, service_id,
            service_identifier_id, sum(charges) AS charges, sum(counted) AS counted,
            sum(charged_amount) AS charged_amount, sum(counted_amount) AS counted_amount
        FROM both_ways GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10
        HAVING sum(charges) <> sum(counted) OR sum(charged_amount) <> sum(counted_amount)
            OR (sum(quantity), sum(rated_quantity), sum(free_quantity), sum(bucket_quantity), sum(credit))
               <> (0, 0, 0, 0, 0)""",
    ),
    Rule(
        "statements_add_up",
        "the lines of usage and adjustments of a closed period are the charges that it bills",
        """SELECT p.id AS period_id, s.number, coalesce(l.amount, 0) AS lines, coalesce(c.amount, 0) AS charges
        FROM rating_billingperiod p
        LEFT JOIN rating_statement s ON s.period_id = p.id
        LEFT JOIN (SELECT statement_id, sum(amount) AS amount FROM rating_statementline
                   WHERE kind IN ('usage', 'adjustment') GROUP BY 1) l ON l.statement_id = s.id
        LEFT JOIN (SELECT period_id, sum(amount) AS amount FROM rating_charge GROUP BY 1) c ON c.period_id = p.id
        WHERE CASE WHEN p.status = 'closed' THEN s.id IS NULL OR coalesce(l.amount, 0) <> coalesce(c.amount, 0)
              ELSE s.id IS NOT NULL END""",
    ),
    Rule(
        "statements_are_totalled",
        "a statement's amount is that of its lines, and its total the rounded lines and the taxes, counted once",
        """SELECT s.number, s.amount, l.amount AS lines, s.subtotal, l.rounded, s.tax_total, t.tax, s.total
        FROM rating_statement s
        LEFT JOIN (SELECT statement_id, sum(amount) AS amount, sum(line_amount) AS rounded FROM rating_statementline
                   GROUP BY 1) l ON l.statement_id = s.id
        LEFT JOIN (SELECT statement_id, sum(amount) AS tax FROM rating_statementtax GROUP BY 1) t
               ON t.statement_id = s.id
        WHERE s.amount <> coalesce(l.amount, 0) OR s.tax_total <> coalesce(t.tax, 0)
           OR s.total <> s.subtotal + s.tax_total
           OR coalesce(l.rounded, 0) NOT IN (s.subtotal, s.total)""",
    ),
    Rule(
        "statements_are_numbered",
        "the numbers of statements have no gap",
        """SELECT number, before FROM (SELECT number, lag(number, 1, 0::bigint) OVER (ORDER BY number) AS before
                                    FROM rating_statement) numbered WHERE number <> before + 1""",
    ),
)


def differences(rule: Rule) -> Difference | None:
    """What breaks `rule`, or None where it holds."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT * FROM ({rule.query}) difference LIMIT {MAX_ROWS}")  # noqa: S608 - our own SQL
        rows = cursor.fetchall()
        columns = [column.name for column in cursor.description or ()]
    return Difference(rule, columns, rows) if rows else None
