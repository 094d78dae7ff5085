"""Charged usage by filter, out of PostgreSQL: whose it is, and which of it is to be priced again."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import polars as pl
from psycopg import sql

from mediation.store import copy_out, in_array
from rating.core.frames import Schema

STANDING = "c.kind = 'charge' AND NOT EXISTS (SELECT FROM rating_charge r WHERE r.id = c.id + 1 AND r.date = c.date)"
CONDITIONS: dict[str, Callable[[Any], sql.Composed]] = {
    "account": lambda value: sql.SQL("c.account_id = {}").format(sql.Literal(int(value))),
    "plan": lambda value: sql.SQL("c.plan_id = {}").format(sql.Literal(int(value))),
    "usage_class": lambda value: sql.SQL("c.usage_class_id = {}").format(sql.Literal(int(value))),
    "import": lambda value: sql.SQL("c.import_id = {}").format(sql.Literal(int(value))),
    "from": lambda value: sql.SQL("c.date >= {}::timestamptz").format(sql.Literal(value)),
    "until": lambda value: sql.SQL("c.date < {}::timestamptz").format(sql.Literal(value)),
}
CHOSEN: Schema = {"udr_id": pl.Int64, "counting_period_id": pl.Int64}


def _where(filters: Mapping[str, Any]) -> sql.Composed:
    parts = [sql.SQL(STANDING), *(CONDITIONS[name](value) for name, value in filters.items())]
    return sql.SQL(" AND ").join(parts)


def accounts_charged(filters: Mapping[str, Any], *, repricing_id: int) -> sql.Composed:
    """The statement that lists the accounts whose standing charges fit, as accounts of a repricing."""
    return sql.SQL(
        "INSERT INTO rating_repricedaccount (repricing_id, account_id, udr_count, is_done)"
        " SELECT {}, c.account_id, count(*), false FROM rating_charge c WHERE {} GROUP BY c.account_id"
        " ORDER BY c.account_id"
    ).format(sql.Literal(repricing_id), _where(filters))


def chosen_charges(filters: Mapping[str, Any], account_ids: Sequence[int]) -> pl.DataFrame:
    """The UDRs of accounts whose standing charges fit, with the period that counts each: udr_id, counting_period_id.

    By the periods of the accounts: charges have an index by period, and none by account.
    """
    accounts = in_array("account_id", list(account_ids), "bigint")
    query = sql.SQL(
        "SELECT c.udr_id, c.counting_period_id FROM rating_charge c"
        " WHERE c.period_id IN (SELECT id FROM rating_billingperiod WHERE {}) AND {}"
    ).format(accounts, _where(filters))
    return copy_out(query, CHOSEN)
