"""How far counters and buckets have come, in and out of PostgreSQL."""

from collections.abc import Iterable, Sequence

import polars as pl
from django.db import connection
from psycopg import sql

from mediation.store import CopyMismatchError, copy_in, copy_out, in_array
from rating.core.frames import COUNTERS, GRANTS, MEMBERS, SEEN, TOTALS, Schema, Standing, empty
from rating.core.tariffs import PricedRate, PriceList
from rating.store.periods import periods_not_met

COUNTER_KEYS = ("period_id", "account_id", "service_id", "rate_id", "key")
GRANT_KEYS = ("account_id", "bucket_id", "service_id", "starts_at")

# The plan of every service of the accounts' families, by the precedence of plans.
MEMBERS_QUERY = """
    WITH RECURSIVE above (account_id, at_id, parent_id, plan_id, depth) AS (
        SELECT id, id, parent_id, rate_plan_id, 0 FROM rating_account
        UNION ALL
        SELECT above.account_id, a.id, a.parent_id, a.rate_plan_id, depth + 1
        FROM above JOIN rating_account a ON a.id = above.parent_id WHERE depth < 100
    ), placed AS (
        SELECT account_id, (array_agg(at_id ORDER BY depth DESC))[1] AS family_id,
            (array_agg(plan_id ORDER BY depth) FILTER (WHERE plan_id IS NOT NULL))[1] AS plan_id
        FROM above GROUP BY account_id
    ), planned AS (
        SELECT s.account_id, p.family_id, coalesce(s.rate_plan_id, k.rate_plan_id, p.plan_id, d.id) AS plan_id
        FROM rating_service s
        JOIN placed p ON p.account_id = s.account_id
        JOIN rating_account a ON a.id = s.account_id
        LEFT JOIN rating_package k ON k.id = s.package_id
        LEFT JOIN rating_rateplan d ON d.is_default AND d.currency = a.currency
        WHERE p.family_id IN (SELECT family_id FROM placed WHERE {accounts})
          AND s.starts_at < {latest} AND (s.ends_at IS NULL OR s.ends_at > {earliest})
    )
    SELECT account_id, plan_id, 'account', count(*) FROM planned WHERE plan_id IS NOT NULL GROUP BY 1, 2
    UNION ALL
    SELECT family_id, plan_id, 'family', count(*) FROM planned WHERE plan_id IS NOT NULL GROUP BY 1, 2
"""


def standing_of(
    matched: pl.DataFrame, prices: PriceList, periods: pl.DataFrame, *, also: Iterable[int] = ()
) -> Standing:
    """What the usage finds used up before it. matched: MATCHED; periods: BOUNDS of what it is counted in.

    also: keys of more rates whose counters are asked for: those that charged the usage before.
    """
    met = [prices.rates[key] for key in sorted({*matched["rate_key"].unique(), *also})]
    counters, seen = _counters(met, prices, matched, periods)
    return Standing(
        counters=counters,
        seen=seen,
        grants=_grants(met, prices, matched, periods),
        totals=_totals(met, prices, matched, periods),
        members=_members(met, prices, matched, periods),
    )


def _owners(matched: pl.DataFrame) -> list[int]:
    return pl.concat([matched["account_id"], matched["family_id"]]).unique().to_list()


def _counters(
    met: Sequence[PricedRate], prices: PriceList, matched: pl.DataFrame, periods: pl.DataFrame
) -> tuple[pl.DataFrame, pl.DataFrame]:
    counting = [each for each in met if prices.keeps_counter(each)]
    if not counting:
        return empty(COUNTERS), empty(SEEN)
    rates = in_array("rate_id", sorted({each.rate_id for each in counting}), "bigint")
    where = sql.SQL("{} AND {}").format(rates, in_array("period_id", periods["period_id"].unique().to_list(), "bigint"))
    if any(each.rate.counting.restarts == "never" or each.rate.aggregation.carries_over for each in counting):
        met_or_charged = pl.concat([pl.Series(_owners(matched), dtype=pl.Int64), periods["account_id"]])
        owners = in_array("account_id", met_or_charged.unique().to_list(), "bigint")
        where = sql.SQL("{} AND {} AND (period_id = 0 OR {})").format(rates, owners, _until(periods))
    counters = _rows("rating_counter", COUNTERS, where)
    if not any(each.rate.aggregation.function == "unique_count" for each in counting):
        return counters, empty(SEEN)
    return counters, _rows("rating_seenmember", SEEN, where)


def _until(periods: pl.DataFrame) -> sql.Composed:
    """The periods of these accounts up to the latest of them: what carries over comes from the last one before."""
    accounts = in_array("account_id", periods["account_id"].unique().to_list(), "bigint")
    return sql.SQL("period_id IN (SELECT id FROM rating_billingperiod WHERE {} AND starts_at <= {})").format(
        accounts, sql.Literal(periods["starts_at"].max())
    )


def _grants(met: Sequence[PricedRate], prices: PriceList, matched: pl.DataFrame, periods: pl.DataFrame) -> pl.DataFrame:
    buckets = [prices.buckets[key] for key in {key for each in met for key in each.bucket_keys}]
    if not buckets:
        return empty(GRANTS)
    rolling = sorted({each.bucket_id for each in buckets if each.bucket.rollover})
    earliest = pl.concat([periods["starts_at"], matched["date"]]).min()
    where = sql.SQL("{} AND {} AND (ends_at IS NULL OR ends_at > {} OR {})").format(
        in_array("account_id", _owners(matched), "bigint"),
        in_array("bucket_id", sorted({each.bucket_id for each in buckets}), "bigint"),
        sql.Literal(earliest),
        in_array("bucket_id", rolling, "bigint"),
    )
    return _rows("rating_bucketgrant", GRANTS, where)


def _totals(met: Sequence[PricedRate], prices: PriceList, matched: pl.DataFrame, periods: pl.DataFrame) -> pl.DataFrame:
    followed = prices.followed_class_ids
    if not followed or not any(each.rate.tier_by or each.bucket_keys for each in met):
        return empty(TOTALS)
    numbers = periods["period_id"].unique().to_list()
    own = _used(numbers, followed)
    if not prices.shares_in_families:
        return own
    # What accounts that are not met used of their family's, as one row of the topmost account's.
    others = periods_not_met(matched["family_id"], numbers)
    used = _used(others["period_id"].to_list(), followed).join(others, on="period_id")
    by_family = used.group_by("family_period_id", "family_id", "usage_class_id").agg(pl.col("quantity").sum())
    rest = by_family.select(
        period_id="family_period_id",
        account_id="family_id",
        service_id=pl.lit(0, pl.Int64),
        usage_class_id="usage_class_id",
        quantity=pl.col("quantity").cast(TOTALS["quantity"]),
    )
    return pl.concat([own, rest])


def _used(numbers: Sequence[int], class_ids: Iterable[int]) -> pl.DataFrame:
    """What services used of classes in periods, schema TOTALS, by the charges that are counted there."""
    query = sql.SQL(
        "SELECT counting_period_id, account_id, service_id, usage_class_id, sum(quantity) FROM rating_charge"
        " WHERE ({} OR (counting_period_id <> period_id AND {})) AND {} GROUP BY 1, 2, 3, 4"
    ).format(
        sql.SQL("(counting_period_id = period_id AND {})").format(in_array("period_id", numbers, "bigint")),
        in_array("counting_period_id", numbers, "bigint"),
        in_array("usage_class_id", sorted(class_ids), "bigint"),
    )
    return copy_out(query, TOTALS)


def _members(
    met: Sequence[PricedRate], prices: PriceList, matched: pl.DataFrame, periods: pl.DataFrame
) -> pl.DataFrame:
    if not any(prices.buckets[key].bucket.grows for each in met for key in each.bucket_keys):
        return empty(MEMBERS)
    query = sql.SQL(MEMBERS_QUERY).format(
        accounts=in_array("account_id", matched["account_id"].unique().to_list(), "bigint"),
        earliest=sql.Literal(periods["starts_at"].min()),
        latest=sql.Literal(periods["ends_at"].max()),
    )
    return copy_out(query, MEMBERS)


def _rows(table: str, schema: Schema, where: sql.Composable) -> pl.DataFrame:
    columns = sql.SQL(", ").join(map(sql.Identifier, schema))
    return copy_out(sql.SQL("SELECT {} FROM {} WHERE {}").format(columns, sql.Identifier(table), where), schema)


def put_standing(changed: Standing) -> None:
    """Write counters, members and grants over what stands."""
    _put("rating_counter", changed.counters.select(*COUNTERS), COUNTER_KEYS)
    _put("rating_seenmember", changed.seen.select(*SEEN), (*COUNTER_KEYS, "member"))
    _put("rating_bucketgrant", changed.grants.select(*GRANTS), GRANT_KEYS)


def grants_of(account_ids: pl.Series) -> pl.DataFrame:
    """Every grant of accounts, schema GRANTS."""
    return _rows("rating_bucketgrant", GRANTS, in_array("account_id", account_ids.unique().to_list(), "bigint"))


def replace_standing(
    *,
    period_ids: Sequence[int],
    dropped: pl.DataFrame,
    dropped_counters: pl.DataFrame,
    reduced: pl.DataFrame,
    reduced_counters: pl.DataFrame,
    changed: Standing,
) -> None:
    """Write what periods count after they were priced again, in place of what they counted.

    dropped: GRANT_KEYS of grants that go; dropped_counters: account_id, rate_id of counters without a period that go;
    reduced, reduced_counters: GRANTS and COUNTERS as they were before; changed: as pricing leaves it.
    """
    forget_counters(period_ids)
    for table in ("rating_counter", "rating_seenmember"):
        _drop(
            table,
            dropped_counters.with_columns(period_id=pl.lit(0, pl.Int64)),
            ("period_id", *dropped_counters.columns),
        )
    _drop("rating_bucketgrant", dropped, GRANT_KEYS)
    _put("rating_bucketgrant", reduced.select(*GRANTS), GRANT_KEYS)
    _put("rating_counter", reduced_counters.select(*COUNTERS), COUNTER_KEYS)
    put_standing(changed)


def forget_counters(period_ids: Iterable[int]) -> None:
    """Drop what periods have counted; their usage is about to be counted again from nothing."""
    numbers = list(period_ids)
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM rating_counter WHERE period_id = ANY(%s)", [numbers])
        cursor.execute("DELETE FROM rating_seenmember WHERE period_id = ANY(%s)", [numbers])


def take_off_counters(moved: pl.DataFrame) -> None:
    """Subtract what taken-back charges had counted. moved: COUNTER_KEYS, level, position, records, credit."""
    _take_off("rating_counter", moved, COUNTER_KEYS, ("level", "position", "records", "credit"))


def take_off_grants(moved: pl.DataFrame) -> None:
    """Subtract what taken-back charges had drawn. moved: GRANT_KEYS, used."""
    _take_off("rating_bucketgrant", moved, GRANT_KEYS, ("used",))


def take_off_refills(moved: pl.DataFrame) -> None:
    """Take back what taken-back charges had refilled, as far as nobody has drawn it since. moved: GRANT_KEYS, granted,
    refills. Where somebody has, the grant is put right when its period is put in order."""
    if moved.is_empty():
        return
    with connection.cursor() as cursor:
        copied = _copy_aside("rating_bucketgrant", moved.select(*GRANT_KEYS, "granted", "refills"))
        cursor.execute(
            sql.SQL(
                "UPDATE rating_bucketgrant t SET granted = t.granted - n.granted, refills = t.refills - n.refills"
                " FROM {} n WHERE {} AND t.granted - n.granted >= t.used AND t.refills >= n.refills"
            ).format(copied, _same(GRANT_KEYS))
        )


def _same(keys: Sequence[str]) -> sql.Composed:
    return sql.SQL(" AND ").join(sql.SQL("t.{0} = n.{0}").format(sql.Identifier(key)) for key in keys)


def _put(table: str, rows: pl.DataFrame, keys: Sequence[str]) -> None:
    if rows.is_empty():
        return
    values = [name for name in rows.columns if name not in keys]
    written = sql.SQL(", ").join(sql.SQL("{0} = EXCLUDED.{0}").format(sql.Identifier(name)) for name in values)
    action = sql.SQL("DO UPDATE SET {}").format(written) if values else sql.SQL("DO NOTHING")
    names = sql.SQL(", ").join(map(sql.Identifier, rows.columns))
    with connection.cursor() as cursor:
        copied = _copy_aside(table, rows)
        cursor.execute(
            sql.SQL("INSERT INTO {} ({names}) SELECT {names} FROM {} ON CONFLICT ({}) {}").format(
                sql.Identifier(table), copied, sql.SQL(", ").join(map(sql.Identifier, keys)), action, names=names
            )
        )
        if values:
            _require_count(cursor.rowcount, rows.height, table)


def _take_off(table: str, rows: pl.DataFrame, keys: Sequence[str], values: Sequence[str]) -> None:
    if rows.is_empty():
        return
    same = _same(keys)
    less = sql.SQL(", ").join(sql.SQL("{0} = t.{0} - n.{0}").format(sql.Identifier(name)) for name in values)
    with connection.cursor() as cursor:
        copied = _copy_aside(table, rows.select(*keys, *values))
        cursor.execute(
            sql.SQL("UPDATE {} t SET {} FROM {} n WHERE {}").format(sql.Identifier(table), less, copied, same)
        )
        _require_count(cursor.rowcount, rows.height, table)


def _drop(table: str, rows: pl.DataFrame, keys: Sequence[str]) -> None:
    if rows.is_empty():
        return
    same = _same(keys)
    with connection.cursor() as cursor:
        copied = _copy_aside(table, rows.select(*keys))
        cursor.execute(sql.SQL("DELETE FROM {} t USING {} n WHERE {}").format(sql.Identifier(table), copied, same))


def _copy_aside(table: str, rows: pl.DataFrame) -> sql.Identifier:
    """The rows in a temporary table with the columns of `table`."""
    name = f"new_{table}"
    with connection.cursor() as cursor:
        cursor.execute(
            sql.SQL("CREATE TEMP TABLE IF NOT EXISTS {} ON COMMIT DELETE ROWS AS SELECT * FROM {} LIMIT 0").format(
                sql.Identifier(name), sql.Identifier(table)
            )
        )
        cursor.execute(sql.SQL("TRUNCATE {}").format(sql.Identifier(name)))
        copy_in(rows, name)
    return sql.Identifier(name)


def _require_count(written: int, sent: int, table: str) -> None:
    if written != sent:
        raise CopyMismatchError(f"{table}: {sent} rows were meant, {written} were written")
