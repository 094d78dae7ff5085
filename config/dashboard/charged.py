"""What was charged: by day and class, by class with its quantity, and the accounts that were charged most."""

from collections.abc import Iterator
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from django.contrib.auth.models import User
from django.db.models import QuerySet, Sum

from config.dashboard.charts import Column, Series, bar, stacked_columns
from config.dashboard.figures import between, midnight
from config.dashboard.showing import NO_BAR, Bar, Table, largest, money
from config.models import AccountFigure, ChargeFigure
from mediation.admin import marks
from mediation.models import UsageClass
from mediation.services import feeds_seen
from rating.models import Account

MOST_CLASSES, MOST_ACCOUNTS, MOST_CURRENCIES = 8, 10, 4
SERIES = 4  # classes with a colour of their own; the rest is grey
UNITS = {UsageClass.Unit.COUNT: "", UsageClass.Unit.TIME: " s", UsageClass.Unit.DATA: " B"}
NOTHING = Decimal(0)


def by_class(by: User, *, first: date, last: date) -> dict[str, Any]:
    """Usage and charges by class, largest first, for each currency, that of most records first; and by day."""
    figures = _figures(by).filter(day__gte=first, day__lte=last)
    sums = figures.filter(usage_class_id__isnull=False).values("currency", "usage_class_id").order_by()
    rows: list[Any] = list(sums.annotate(records=Sum("record_count"), used=Sum("quantity"), total=Sum("amount")))
    records: dict[str, int] = {}
    for row in rows:
        records[row["currency"]] = records.get(row["currency"], 0) + row["records"]
    currencies = sorted(records, key=lambda currency: (-records[currency], currency))[:MOST_CURRENCIES]
    shown = {currency: _largest(rows, currency) for currency in currencies}
    named = {pk for first_, _ in shown.values() for pk in (row["usage_class_id"] for row in first_)}
    classes = UsageClass.objects.in_bulk(named)
    return {
        "currencies": [_told(currency, *shown[currency], classes) for currency in currencies],
        "more_currencies": len(records) - len(currencies),
        "days": _days(figures, currencies[0], shown[currencies[0]][0], classes, first, last) if currencies else None,
    }


def _figures(by: User) -> QuerySet[ChargeFigure]:
    """By class the sums of all feeds for who sees them all; for others the parts of the feeds that they see."""
    feeds = feeds_seen(by)
    return ChargeFigure.objects.filter(**({"feed_id__isnull": True} if feeds is None else {"feed_id__in": feeds}))


def _largest(rows: list[Any], currency: str) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    mine = [row for row in rows if row["currency"] == currency]
    return largest(sorted(mine, key=lambda row: (-row["total"], row["usage_class_id"])), MOST_CLASSES)


def _told(
    currency: str, first: list[dict[str, Any]], others: list[dict[str, Any]], classes: dict[int, UsageClass]
) -> dict[str, Any]:
    rest = sum((row["total"] for row in others), NOTHING)
    most = max(row["total"] for row in first)
    bars = [
        Bar(
            _name(classes, row["usage_class_id"]),
            marks.list_url("rating_charge", usage_class__id__exact=row["usage_class_id"]),
            bar(row["total"], most),
            (marks.number(row["records"]), _quantity(classes, row), money(row["total"], currency)),
        )
        for row in first
    ]
    if others:
        count = marks.number(sum(row["records"] for row in others))
        url = marks.list_url("rating_charge")
        bars.append(Bar(f"{len(others):,} others", url, NO_BAR, (count, marks.NOTHING, money(rest, currency))))
    total = rest + sum((row["total"] for row in first), NOTHING)
    return {"currency": currency, "bars": bars, "total": money(total, currency)}


def _name(classes: dict[int, UsageClass], pk: int) -> str:
    return classes[pk].name if pk in classes else f"class {pk}"


def _quantity(classes: dict[int, UsageClass], row: dict[str, Any]) -> str:
    known = classes.get(row["usage_class_id"])
    return marks.exact(row["used"]) + (UNITS[UsageClass.Unit(known.unit)] if known else "")


def _days(
    figures: QuerySet[ChargeFigure],
    currency: str,
    classes_shown: list[dict[str, Any]],
    classes: dict[int, UsageClass],
    first: date,
    last: date,
) -> dict[str, Any]:
    """The charges of each day in the main currency: the largest classes, and all others together."""
    mine = figures.filter(currency=currency)
    totals = dict(mine.filter(usage_class_id__isnull=True).values_list("day").order_by().annotate(total=Sum("amount")))
    parts = [row["usage_class_id"] for row in classes_shown[:SERIES]]
    of_parts = mine.filter(usage_class_id__in=parts).values_list("day", "usage_class_id").order_by()
    amounts = {(day, pk): total for day, pk, total in of_parts.annotate(total=Sum("amount"))}
    columns = []
    for day in _each_day(first, last):
        values = [amounts.get((day, pk), NOTHING) for pk in parts]
        values.append(totals.get(day, NOTHING) - sum(values, NOTHING))
        rated = between("rated_at", midnight(day), midnight(day + timedelta(days=1)))
        urls = (marks.list_url("rating_charge", **rated),) * len(values)
        columns.append(
            Column(f"{day}", tuple(values), tuple(money(Decimal(value), currency) for value in values), urls)
        )
    series = [Series(_name(classes, pk), f"series-{number}") for number, pk in enumerate(parts, 1)]
    series.append(Series("all others", "series-others"))
    sums = [sum((Decimal(column.values[number]) for column in columns), NOTHING) for number in range(len(series))]
    title = f"Charges by day they were rated, {first} to {last}, {currency}"
    said = f"{money(sum(sums, NOTHING), currency)} in all; the table beneath has the days."
    return {
        "picture": stacked_columns(columns, series, name="charges-days", title=title, description=said),
        "most": money(max(column.total for column in columns), currency),
        "first": columns[0].label,
        "last": columns[-1].label,
        "legend": [(one.tone, one.name) for one, total in zip(series, sums, strict=True) if total],
        "table": Table(
            title,
            ["", *(one.name for one in series)],
            [(column.label, column.urls[0], list(column.texts)) for column in columns if any(column.values)],
            ["in all", *(money(total, currency) for total in sums)],
        ),
    }


def _each_day(first: date, last: date) -> Iterator[date]:
    return (first + timedelta(days=number) for number in range((last - first).days + 1))


def by_account(*, since: date) -> dict[str, Any] | None:
    """The accounts that were charged most from a month on, in the currency of most records; None where none was."""
    # What all accounts were charged is what all feeds came to: a few rows, where the months have one for each account.
    whole = ChargeFigure.objects.filter(day__gte=since, feed_id__isnull=True, usage_class_id__isnull=True)
    currencies = whole.values_list("currency").order_by()
    main = currencies.annotate(n=Sum("record_count"), total=Sum("amount")).order_by("-n", "currency").first()
    if main is None:
        return None
    currency, _, total = main
    sums = AccountFigure.objects.filter(month__gte=since, currency=currency).values("account_id").order_by()
    top = list(
        sums.annotate(n=Sum("record_count"), total=Sum("amount")).order_by("-total", "account_id")[:MOST_ACCOUNTS]
    )
    accounts = Account.objects.in_bulk([row["account_id"] for row in top])
    rest = total - sum((row["total"] for row in top), NOTHING)
    most = max((row["total"] for row in top), default=NOTHING)
    return {
        "since": since,
        "currency": currency,
        "bars": [
            Bar(
                str(accounts.get(row["account_id"], f"account {row['account_id']}")),
                marks.list_url("rating_charge", period__account=row["account_id"]),
                bar(row["total"], most),
                (marks.number(row["n"]), money(row["total"], currency)),
            )
            for row in top
        ],
        "others": money(rest, currency) if rest else "",
        "total": money(total, currency),
    }
