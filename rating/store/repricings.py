"""Charged usage by filter, out of PostgreSQL: whose it is, and which of it is to be priced again."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import polars as pl
from django.db import connection
from psycopg import sql

from mediation.store import CopyMismatchError, copy_in, copy_out, in_array
from rating.core.frames import Schema
from rating.store.charges import still_standing
from rating.store.periods import is_alone

STANDING = "c.kind = 'charge' AND NOT EXISTS (SELECT FROM rating_charge r WHERE r.id = c.id + 1 AND r.date = c.date)"
CONDITIONS: dict[str, Callable[[Any], sql.Composed]] = {
    "account": lambda value: sql.SQL("c.account_id = {}").format(sql.Literal(int(value))),
    "plan": lambda value: sql.SQL("c.plan_id = {}").format(sql.Literal(int(value))),
    "usage_class": lambda value: sql.SQL("c.usage_class_id = {}").format(sql.Literal(int(value))),
    "import": lambda value: sql.SQL("c.import_id = {}").format(sql.Literal(int(value))),
    "from": lambda value: sql.SQL("c.date >= {}::timestamptz").format(sql.Literal(value)),
    "until": lambda value: sql.SQL("c.date < {}::timestamptz").format(sql.Literal(value)),
}
CHOSEN: Schema = {"udr_id": pl.Int64, "counting_period_id": pl.Int64, "id": pl.Int64, "kind": pl.String}

NOTED = """
    CREATE TEMP TABLE IF NOT EXISTS noted_account
    (account_id bigint, before numeric, after numeric, changed bigint, refused bigint) ON COMMIT DELETE ROWS
"""
# What others' usage that is charged to an account now has added to it is kept beside what its own comes to. While
# nothing is stored, its own usage lacks that; once it is applied, its own usage has it before and after.
NOTE_SHOWN = "before = n.before, after = n.after + coalesce(r.after - r.before, 0)"
NOTE_APPLIED = "before = n.before - coalesce(r.after - r.before, 0), after = n.after"
NOTE = """
    UPDATE rating_repricedaccount r SET is_done = true, {amounts},
        changed_count = n.changed + coalesce(r.changed_count, 0),
        refused_count = n.refused + coalesce(r.refused_count, 0)
    FROM noted_account n WHERE r.repricing_id = {repricing} AND r.account_id = n.account_id AND NOT r.is_done
        AND EXISTS (SELECT FROM rating_repricing a WHERE a.id = {repricing} AND {step})
"""
# Of a step that works out accounts another worker may have crashed; what we found out is right all the same.
STEP_SHOWN = "a.status IN ('counting', 'errored')"
STEP_APPLIED = "a.status = 'waiting'"
NOTE_OTHERS = """
    INSERT INTO rating_repricedaccount AS r
        (repricing_id, account_id, udr_count, is_done, before, after, changed_count, refused_count)
    SELECT {repricing}, account_id, 0, true, before, after, changed, refused FROM noted_account ORDER BY account_id
    ON CONFLICT (repricing_id, account_id) DO UPDATE SET
        before = coalesce(r.before, EXCLUDED.before),
        after = coalesce(r.after, EXCLUDED.before) + EXCLUDED.after - EXCLUDED.before,
        changed_count = coalesce(r.changed_count, 0) + EXCLUDED.changed_count,
        refused_count = coalesce(r.refused_count, 0) + EXCLUDED.refused_count
"""


def _fits(filters: Mapping[str, Any]) -> sql.Composed:
    """Charges that fit, and their reversals: they say the same of all that is asked for."""
    parts = [sql.SQL("true"), *(CONDITIONS[name](value) for name, value in filters.items())]
    return sql.SQL(" AND ").join(parts)


def accounts_charged(filters: Mapping[str, Any], *, repricing_id: int) -> sql.Composed:
    """The statement that lists the accounts whose standing charges fit, as accounts of a repricing.

    Of one account it is quick, by the numbers of its periods; without one it goes through all charges of the time.
    """
    fits = _fits(filters)
    if "account" in filters:
        numbers = _periods_of([int(filters["account"])], filters.get("from"))
        fits = sql.SQL("{} AND {}").format(in_array("period_id", numbers, "bigint"), fits)
    return sql.SQL(
        "INSERT INTO rating_repricedaccount (repricing_id, account_id, udr_count, is_done)"
        " SELECT {repricing}, c.account_id, {standing}, false FROM rating_charge c WHERE {fits}"
        " GROUP BY c.account_id HAVING {standing} > 0 ORDER BY c.account_id"
    ).format(
        repricing=sql.Literal(repricing_id),
        standing=sql.SQL("sum(CASE c.kind WHEN 'charge' THEN 1 ELSE -1 END)"),
        fits=fits,
    )


def chosen_charges(filters: Mapping[str, Any], account_ids: Sequence[int]) -> pl.DataFrame:
    """The UDRs of accounts whose standing charges fit, with the period that counts each: udr_id, counting_period_id.

    By the numbers of the accounts' periods, which are asked for first: charges have an index by period and none by
    account, and only numbers that are told let the planner see how few of all charges these are.
    """
    periods = in_array("period_id", _periods_of(account_ids, filters.get("from")), "bigint")
    query = sql.SQL("SELECT c.udr_id, c.counting_period_id, c.id, c.kind FROM rating_charge c WHERE {} AND {}").format(
        periods, _fits(filters)
    )
    return still_standing(copy_out(query, CHOSEN)).select("udr_id", "counting_period_id")


def _periods_of(account_ids: Sequence[int], since: str | None) -> list[int]:
    """The periods that may bill usage of accounts from a moment on: none bills usage of later than its own end."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT id FROM rating_billingperiod WHERE account_id = ANY(%s)"
            " AND (%s::timestamptz IS NULL OR ends_at > %s::timestamptz) ORDER BY id",
            [list(account_ids), since, since],
        )
        return [number for (number,) in cursor.fetchall()]


def closed_periods_charged(filters: Mapping[str, Any], *, repricing_id: int) -> int:
    """How many closed periods hold standing charges that fit, of those accounts of a repricing that would change."""
    query = sql.SQL(
        "SELECT count(*) FROM rating_billingperiod p WHERE p.status = 'closed' AND p.account_id IN"
        " (SELECT account_id FROM rating_repricedaccount"
        " WHERE repricing_id = {} AND (changed_count > 0 OR refused_count > 0))"
        " AND EXISTS (SELECT FROM rating_charge c WHERE c.period_id = p.id AND {} AND {})"
    ).format(sql.Literal(repricing_id), sql.SQL(STANDING), _fits(filters))
    with connection.cursor() as cursor:
        cursor.execute(query)
        return int(cursor.fetchone()[0])


def note_accounts(repricing_id: int, found: pl.DataFrame, *, is_applied: bool) -> None:
    """Note what accounts of a repricing come to, and that they are done.

    found: account_id, before, after, changed, refused. is_applied: the charges were changed, not only worked out.
    Raises CopyMismatchError where one of them is done already, or the repricing is at another step.
    """
    amounts, step = (NOTE_APPLIED, STEP_APPLIED) if is_applied else (NOTE_SHOWN, STEP_SHOWN)
    statement = sql.SQL(NOTE).format(amounts=sql.SQL(amounts), step=sql.SQL(step), repricing=sql.Literal(repricing_id))
    written = _note(statement, found)
    if written != found.height:
        raise CopyMismatchError(f"{found.height} accounts were worked out, {written} of them wait for that")


def note_other_accounts(repricing_id: int, found: pl.DataFrame) -> None:
    """Note what the usage of others adds to accounts that are charged for it now; found as above."""
    if not found.is_empty():
        _note(sql.SQL(NOTE_OTHERS).format(repricing=sql.Literal(repricing_id)), found)


def begin_work(repricing_id: int) -> None:
    """Say that this session works on a repricing, until `end_work` or its own end; who is killed says it no more."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock_shared(hashtextextended(%s, 0))", [_work_on(repricing_id)])


def end_work(repricing_id: int) -> None:
    """Take back one `begin_work`."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_unlock_shared(hashtextextended(%s, 0))", [_work_on(repricing_id)])


def is_deserted(repricing_id: int) -> bool:
    """Whether no other session works on a repricing; none will begin until the transaction ends."""
    return is_alone(_work_on(repricing_id))


def _work_on(repricing_id: int) -> str:
    return f"rating_repricing {repricing_id}"


def _note(statement: sql.Composable, found: pl.DataFrame) -> int:
    with connection.cursor() as cursor:
        cursor.execute(NOTED)
        cursor.execute("TRUNCATE noted_account")
        copy_in(found.select("account_id", "before", "after", "changed", "refused"), "noted_account")
        cursor.execute(statement)
        return int(cursor.rowcount)
