"""What pricing reads of usage whose rate is known: what is counted of it, its counter, its zone, its matrix price."""

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

import polars as pl

from mediation.core.expressions import decimal_kind, fields_of
from mediation.core.expressions.column_numbers import read_numbers
from mediation.core.numbers import AMOUNT, PRICE
from rating.core.frames import LEVEL, MATCHED, REFUSED, Rated, empty
from rating.core.plans.fields import extension_of
from rating.core.tariffs import PricedBucket, PricedRate

from .book import Book
from .questions import ZONE_COLUMNS
from .reading import holds, list_of, text_of, with_extensions
from .refusing import refuse
from .zones import find_zones, prefixes_of

# What an extension may be counted as: digits of a quantity, decimals of a level.
COUNTED_KIND = decimal_kind(27, 12)

Asked = TypeVar("Asked")


def describe_matched(known: pl.DataFrame, book: Book) -> Rated:
    """Add what the rate of each row asks of its usage, schema MATCHED: zone, matrix price, what is counted, the member
    of unique counts, the counter, and the buckets whose condition does not hold.

    known: schema KNOWN, with usage_class, account_number and cost where they are known already. Refuses usage without
    what its rate takes: an amount in the account's currency, a number to count, a value that the matrix prices.
    """
    rates = [book.prices.rates[key] for key in known["rate_key"].unique().sort().to_list()]
    usage = _with_defaults(known, book)
    usage = with_extensions(usage, _fields_read(rates, book.prices.buckets))
    usage = usage.with_columns(_zones(usage, rates).alias("zone"))
    usage = usage.with_columns(_matrix_prices(usage, rates).alias("matrix_price"))
    usage = usage.with_columns(
        counted=_by_rates(rates, lambda rate: rate.rate.aggregation.of if _is_added(rate) else "Value", _number),
        member=_by_rates(
            rates, lambda rate: None if _is_added(rate) else rate.rate.aggregation.of, text_of, nothing=pl.String
        ),
        counter_key=_by_rates(rates, lambda rate: rate.rate.counting.by, list_of),
    )
    usage = usage.with_columns(_barred(usage, rates, book.prices.buckets).alias("barred"))
    described = _refuse_incomplete(usage, rates)
    columns = (pl.col(name).cast(kind) for name, kind in MATCHED.items())
    return Rated(described.rated.select(columns), described.refused)


def _with_defaults(known: pl.DataFrame, book: Book) -> pl.DataFrame:
    if "usage_class" not in known.columns:
        names = book.classes.select("usage_class_id", "usage_class")
        known = known.join(names, on="usage_class_id", how="left", maintain_order="left")
    return known if "cost" in known.columns else known.with_columns(cost=pl.lit(None, AMOUNT))


def _fields_read(rates: Iterable[PricedRate], buckets: Sequence[PricedBucket]) -> set[str]:
    fields: set[str] = set()
    for rate in rates:
        fields.update(rate.rate.counting.by, rate.rate.fields, (rate.rate.aggregation.of,))
        conditions = (buckets[key].bucket.condition for key in rate.bucket_keys)
        fields.update(field for each in conditions if each is not None for field in fields_of(each))
    return fields


def _is_added(rate: PricedRate) -> bool:
    """Whether the field that the rate counts is a number; unique counts take members."""
    return rate.rate.aggregation.function != "unique_count"


def _by_rates(
    rates: Sequence[PricedRate],
    asked: Callable[[PricedRate], Asked],
    column: Callable[..., pl.Expr],
    nothing: type[pl.DataType] | None = None,
) -> pl.Expr:
    """For each row the `column` of what its rate asks for; where all rates ask the same, that alone."""
    keys: dict[Asked, list[int]] = {}
    for rate in rates:
        keys.setdefault(asked(rate), []).append(rate.key)
    columns = {each: pl.lit(None, nothing) if each is None else column(each) for each in keys}
    if len(keys) <= 1:
        return next(iter(columns.values()), pl.lit(None, nothing))
    return pl.coalesce(pl.when(pl.col("rate_key").is_in(own)).then(columns[each]) for each, own in keys.items())


def _number(field: str) -> pl.Expr:
    """A field as LEVEL; an extension is read in the house's grammar and null where it is no number."""
    if extension_of(field) is not None:
        return read_numbers(text_of(field), COUNTED_KIND).cast(LEVEL)
    return pl.col({"Value": "value", "Amount": "amount"}[field]).cast(LEVEL)


def _zones(usage: pl.DataFrame, rates: Sequence[PricedRate]) -> pl.Series:
    """The zone of each row by the identifier that its rate's group names; null where the plan has no zones."""
    zoned = [rate for rate in rates if rate.version.plan.zones]
    if not zoned:
        return pl.repeat(None, usage.height, dtype=pl.String, eager=True)
    numbers = {zone_by: pl.col(column) for zone_by, (column, _) in ZONE_COLUMNS.items()}
    identifier = _by_rates(rates, lambda rate: rate.group.zone_by, numbers.__getitem__)
    versions = pl.DataFrame(
        [(rate.key, rate.version.version_id) for rate in zoned],
        schema={"rate_key": pl.Int64, "version_id": pl.Int64},
        orient="row",
    )
    asked = usage.select("rate_key", identifier=identifier)
    asked = asked.join(versions, on="rate_key", how="left", maintain_order="left")
    used = {rate.version.version_id: rate.version for rate in zoned}
    return find_zones(asked, prefixes_of(list(used.values())))


def _matrix_prices(usage: pl.DataFrame, rates: Sequence[PricedRate]) -> pl.Series:
    """The price of each row's values in the matrix of its rate, or the matrix's default; null where neither is."""
    matrices = [rate for rate in rates if rate.rate.model == "matrix"]
    if not matrices:
        return pl.repeat(None, usage.height, dtype=PRICE, eager=True)
    listed = [
        (rate.key, *each.values, *[None] * (2 - len(each.values)), each.price)
        for rate in matrices
        for each in rate.rate.prices
    ]
    keys = {"rate_key": pl.Int64, "first": pl.String, "second": pl.String}
    prices = pl.DataFrame(listed, schema={**keys, "price": PRICE}, orient="row")
    defaults = pl.DataFrame(
        [(rate.key, rate.rate.default_price) for rate in matrices],
        schema={"rate_key": pl.Int64, "default_price": PRICE},
        orient="row",
    )
    asked = usage.select("rate_key", first=_matrix_value(matrices, 0), second=_matrix_value(matrices, 1))
    found = asked.join(prices, on=list(keys), how="left", nulls_equal=True, maintain_order="left")
    found = found.join(defaults, on="rate_key", how="left", maintain_order="left")
    return found.select(pl.coalesce("price", "default_price")).to_series()


def _matrix_value(matrices: Sequence[PricedRate], place: int) -> pl.Expr:
    asked = _by_rates(
        matrices,
        lambda rate: rate.rate.fields[place] if place < len(rate.rate.fields) else None,
        text_of,
        nothing=pl.String,
    )
    return pl.when(pl.col("rate_key").is_in([rate.key for rate in matrices])).then(asked)


def _barred(usage: pl.DataFrame, rates: Sequence[PricedRate], buckets: Sequence[PricedBucket]) -> pl.Series:
    """The keys of the buckets that serve each row's rate but whose condition does not hold; null for none."""
    rows = usage.select("rate_key").with_row_index("row")
    nothing = pl.repeat(None, usage.height, dtype=MATCHED["barred"], eager=True)
    served = [
        (buckets[key].bucket.condition, rate.key, key)
        for rate in rates
        for key in rate.bucket_keys
        if buckets[key].bucket.condition is not None
    ]
    found = []
    for condition in dict.fromkeys(each for each, _, _ in served if each is not None):
        pairs = pl.DataFrame(
            [(rate_key, key) for each, rate_key, key in served if each == condition],
            schema={"rate_key": pl.Int64, "barred": pl.Int64},
            orient="row",
        )
        is_served = rows["rate_key"].is_in(pairs["rate_key"].unique().implode())
        is_barred = ~holds(usage.filter(is_served), condition)
        found.append(rows.filter(is_served).filter(is_barred).join(pairs, on="rate_key"))
    if not found:
        return nothing
    lists = pl.concat(found).sort("row", "barred").group_by("row", maintain_order=True).agg("barred")
    return rows.join(lists, on="row", how="left", maintain_order="left")["barred"]


def takes_amount(rate: PricedRate) -> bool:
    """Whether the rate's price or count is made of the record's own amount."""
    if rate.rate.aggregation.of == "Amount" and _is_added(rate):
        return True
    return rate.rate.of == "amount" and rate.rate.model in (
        "percentage",
        "graduated_percentage",
        "basis_points",
        "pass_through",
    )


def _refuse_incomplete(usage: pl.DataFrame, rates: Sequence[PricedRate]) -> Rated:
    """Refuse rows without what their rate takes."""
    keys: dict[str, list[int]] = {"amount": [], "number": [], "member": [], "matrix": []}
    for rate in rates:
        aggregation = rate.rate.aggregation
        if takes_amount(rate):
            keys["amount"].append(rate.key)
        if _is_added(rate) and extension_of(aggregation.of) is not None:
            keys["number"].append(rate.key)
        if not _is_added(rate):
            keys["member"].append(rate.key)
        if rate.rate.model == "matrix":
            keys["matrix"].append(rate.key)
    refused = empty(REFUSED)
    told = {rate.key: _words(rate) for rate in rates}
    for need, cause, lacks, message in LACKS:
        if not keys[need]:
            continue
        hit = usage.select((pl.col("rate_key").is_in(keys[need]) & lacks).fill_null(False)).to_series()
        if hit.any():
            told_of = usage.filter(hit).with_columns(
                rate=pl.col("rate_key").replace_strict({key: words[0] for key, words in told.items()}),
                field=pl.col("rate_key").replace_strict({key: words[1] for key, words in told.items()}),
                values=_values(usage.filter(hit), [rate for rate in rates if rate.key in keys[need]], need),
            )
            refused = pl.concat([refused, refuse(told_of, cause, message)])
            usage = usage.filter(~hit)
    return Rated(usage, refused)


def _words(rate: PricedRate) -> tuple[str, str]:
    """The rate, and the field that it counts or those of its matrix, as an exception names them."""
    fields = rate.rate.fields if rate.rate.model == "matrix" else (rate.rate.aggregation.of,)
    return f"“{rate.group.name} / {rate.rate.name}” of plan “{rate.version.plan.name}”", " and ".join(fields)


def _values(usage: pl.DataFrame, rates: Sequence[PricedRate], need: str) -> pl.Series:
    """What the rows hold in the fields that their rates look at, as a message shows it."""

    def shown(fields: tuple[str, ...]) -> pl.Expr:
        texts = (pl.concat_str(pl.lit("“"), text_of(each), pl.lit("”")).fill_null("nothing") for each in fields)
        return pl.concat_str(*texts, separator=" and ")

    asked = _by_rates(rates, lambda rate: rate.rate.fields if need == "matrix" else (rate.rate.aggregation.of,), shown)
    return usage.with_columns(asked.alias("values"))["values"]


LACKS = (
    (
        "amount",
        "no_rate",
        pl.col("amount").is_null(),
        pl.format(
            "Rate {} is taken of the record's amount, but the record has none. Map the amount in the Data Profile and "
            "reprocess the import, or price the class otherwise and rerate.",
            "rate",
        ),
    ),
    (
        "amount",
        "no_rate_group",
        ~pl.col("currency").eq_missing(pl.col("account_currency")),
        pl.format(
            "The record's amount is in {}, but its account is billed in {}. Move the service to an account of that "
            "currency, or correct the currency at its source.",
            pl.col("currency").fill_null("no currency"),
            "account_currency",
        ),
    ),
    (
        "number",
        "no_rate",
        pl.col("counted").is_null(),
        pl.format(
            "Rate {} counts {}, which is {}: no number of at most 15 digits before its point. Correct it at its "
            "source, or count another field and rerate.",
            "rate",
            "field",
            "values",
        ),
    ),
    (
        "member",
        "no_rate",
        pl.col("member").is_null(),
        pl.format(
            "Rate {} counts the different values of {}, but the record has none. Correct it at its source, or count "
            "another field and rerate.",
            "rate",
            "field",
        ),
    ),
    (
        "matrix",
        "no_rate",
        pl.col("matrix_price").is_null(),
        pl.format(
            "The matrix of rate {} has no price where {} is {}, and no default price. Add one of them, then rerate.",
            "rate",
            "field",
            "values",
        ),
    ),
)
