"""Who owned identifiers and when, with all that decides the plan."""

from datetime import datetime

import polars as pl
from psycopg import sql

from mediation.store import copy_out, in_array
from rating.core.frames import MOMENT, Schema
from rating.core.matching import PAYERS

# Accounts above are looked up for the accounts met only; the depth bounds a circle, which the admin refuses.
PAYERS_QUERY = """
    WITH RECURSIVE met AS MATERIALIZED (
        SELECT i.identifier, i.id AS service_identifier_id, i.starts_at, i.ends_at, s.id AS service_id,
            s.starts_at AS service_starts_at, s.ends_at AS service_ends_at, s.rate_plan_id AS service_plan_id,
            k.rate_plan_id AS package_plan_id, a.id AS account_id, a.number AS account_number,
            a.currency AS account_currency, a.time_zone, a.parent_id, a.rate_plan_id AS account_plan_id,
            coalesce(a.closed_at <= {now}, false) AS is_final_billed
        FROM rating_serviceidentifier i
        JOIN rating_service s ON s.id = i.service_id
        JOIN rating_account a ON a.id = s.account_id
        LEFT JOIN rating_package k ON k.id = s.package_id
        WHERE {identifiers}
    ), above (account_id, at_id, parent_id, plan_id, depth) AS (
        SELECT DISTINCT account_id, account_id, parent_id, NULL::bigint, 0 FROM met WHERE parent_id IS NOT NULL
        UNION ALL
        SELECT above.account_id, a.id, a.parent_id, a.rate_plan_id, depth + 1
        FROM above JOIN rating_account a ON a.id = above.parent_id
        WHERE depth < 100
    ), nearest AS (
        SELECT DISTINCT ON (account_id) account_id, plan_id FROM above WHERE plan_id IS NOT NULL
        ORDER BY account_id, depth
    ), topmost AS (
        SELECT DISTINCT ON (account_id) account_id, at_id FROM above ORDER BY account_id, depth DESC
    )
    SELECT {columns}
    FROM (
        SELECT met.*, nearest.plan_id AS parent_plan_id, coalesce(topmost.at_id, met.account_id) AS family_id
        FROM met LEFT JOIN nearest USING (account_id) LEFT JOIN topmost USING (account_id)
    ) payer
"""


SERVICE: Schema = {"service_id": pl.Int64, "family_id": pl.Int64, "since": MOMENT, "time_zone": pl.String}

BY_SERVICE_QUERY = """
    WITH RECURSIVE met AS MATERIALIZED (
        SELECT s.id AS service_id, s.starts_at, a.time_zone, a.id AS account_id, a.parent_id
        FROM rating_service s JOIN rating_account a ON a.id = s.account_id WHERE {services}
    ), above (account_id, at_id, parent_id, depth) AS (
        SELECT DISTINCT account_id, account_id, parent_id, 0 FROM met WHERE parent_id IS NOT NULL
        UNION ALL
        SELECT above.account_id, a.id, a.parent_id, depth + 1
        FROM above JOIN rating_account a ON a.id = above.parent_id
        WHERE depth < 100
    ), topmost AS (
        SELECT DISTINCT ON (account_id) account_id, at_id FROM above ORDER BY account_id, depth DESC
    )
    SELECT service_id, coalesce(at_id, met.account_id), starts_at, time_zone
    FROM met LEFT JOIN topmost USING (account_id)
"""


def payers_by_service(service_ids: pl.Series) -> pl.DataFrame:
    """What is asked of a service that paid before: service_id, family_id, since, time_zone."""
    met = sql.SQL("s.id = ANY({}::bigint[])").format(sql.Literal(service_ids.unique().to_list()))
    return copy_out(sql.SQL(BY_SERVICE_QUERY).format(services=met), SERVICE)


def payers_of(identifiers: pl.Series, now: datetime) -> pl.DataFrame:
    """Who owned these identifiers and when, with what decides the plan, schema PAYERS."""
    met = in_array("identifier", identifiers.drop_nulls().unique().to_list(), "text")
    columns = sql.SQL(", ").join(map(sql.Identifier, PAYERS))
    query = sql.SQL(PAYERS_QUERY).format(now=sql.Literal(now), identifiers=met, columns=columns)
    return copy_out(query, PAYERS)
