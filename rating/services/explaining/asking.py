"""What is read of a charge before it is explained: its usage, its rate, and everything that shared its counter."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from functools import cached_property

import polars as pl

from rating import store
from rating.core import repricing
from rating.core.costs import Draw, NoCount, NoPrice
from rating.core.explaining import Charged, Met, met_by, needs_history
from rating.core.frames import BOUNDS, COUNTERS, GRANTS, MEMBERS, SEEN, TOTALS, USAGE, Standing, empty
from rating.core.ledger.totals import by_owner
from rating.core.ledger.usage import with_periods
from rating.core.matching import Book, choose_payers, describe_matched
from rating.core.periods import add_months
from rating.core.tariffs import LONGEST_RECORD, PricedRate
from rating.models import Bucket, Charge
from rating.store.explaining import charge_frame, charges_of_udr, charges_sharing, periods_of_family

NOTHING = Decimal(0)
ENTRY = ["udr_id", "part"]


def in_utc(moment: datetime) -> str:
    """A moment as an explanation says it: in UTC, to the second, and named so, as accounts live in many zones."""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


@dataclass(frozen=True)
class Asked:
    """A charge that is to be explained. row: CHARGES with rate_key, one row."""

    charge: Charge
    row: pl.DataFrame
    book: Book

    @cached_property
    def priced(self) -> PricedRate | None:
        """The rate in its version; None where the version is not active any more."""
        key = self.row["rate_key"].item()
        return None if key is None else self.book.prices.rates[key]

    @cached_property
    def usage(self) -> pl.DataFrame:
        """The UDR, schema CHOSEN: with the identifier that pays; no row where it is gone."""
        return choose_payers(self._usage_of(self.row, with_extensions=True), self.book.classes).rated

    @cached_property
    def known(self) -> pl.DataFrame:
        """The usage with who paid and its rate, schema KNOWN with usage_class and account_number; a row, or none."""
        known = self._known(self.row, with_extensions=True)
        names = self.book.classes.select("usage_class_id", "usage_class")
        known = known.join(names, on="usage_class_id", how="left", maintain_order="left")
        return known.with_columns(account_number=pl.lit(self.charge.account.number)).filter(
            pl.col("feed_id").is_not_null()
        )

    @cached_property
    def family_id(self) -> int:
        """The topmost account above the account, or itself."""
        return int(store.payers_by_service(self.row["service_id"])["family_id"].item())

    @cached_property
    def draws(self) -> pl.DataFrame:
        """The movements of buckets that it made, schema DRAW_ROWS."""
        return store.draws_of(self.row)

    @cached_property
    def buckets(self) -> dict[int, str]:
        """The names of the buckets that it drew on."""
        return dict(Bucket.objects.filter(pk__in=self.draws["bucket_id"].to_list()).values_list("pk", "name"))

    @property
    def has_history(self) -> bool:
        """Whether usage before it was counted again to tell what it cost."""
        return self.priced is not None and needs_history(self.priced.rate)

    def is_of_money(self, bucket_id: int) -> bool:
        """Whether the bucket holds money, by the version that priced the charge."""
        own = (each for each in self.book.prices.buckets if each.bucket_id == bucket_id)
        found = [each for each in own if each.version.version_id == self.charge.version_id]
        return any(each.bucket.of == "money" for each in found)

    def charged(self) -> Charged:
        """What the charge says."""
        units: dict[int, tuple[Decimal, Decimal]] = {}
        topped_up = NOTHING
        for move in self.draws.iter_rows(named=True):
            if self.is_of_money(move["bucket_id"]):
                topped_up += move["amount"]
                continue
            quantity, cost = units.get(move["bucket_id"], (NOTHING, NOTHING))
            drawn = move["quantity"] if move["kind"] == "draw" else NOTHING
            units[move["bucket_id"]] = (quantity + drawn, cost + move["amount"])
        row = self.row.row(0, named=True)
        return Charged(
            quantity=row["quantity"],
            rated_quantity=row["rated_quantity"],
            free_quantity=row["free_quantity"],
            bucket_quantity=row["bucket_quantity"],
            tier_position=row["tier_position"],
            credit=row["credit"],
            amount=row["amount"],
            draws=tuple(Draw(self.buckets[bucket_id], *moved) for bucket_id, moved in units.items()),
            topped_up=topped_up,
        )

    def met(self, *, as_rated: bool) -> Met | None:
        """What the charge met, with usage before it counted again; None where that cannot be told.

        as_rated: in the order in which usage was rated, else in that of its dates.
        """
        if self.priced is None:
            return None
        periods = self._months(self._sharing_ids if self.has_history else self._own_ids)
        matched = describe_matched(self._known(self._sharing), self.book).rated
        rated = self._sharing.select(*ENTRY, "rated_at")
        matched = matched.join(rated, on=ENTRY, how="left", maintain_order="left")
        entry = (self.charge.udr_id, self.charge.part)
        if matched.filter((pl.col("udr_id") == entry[0]) & (pl.col("part") == entry[1])).is_empty():
            return None
        moved = self._sharing.select(*ENTRY, "bucket_quantity", "credit").iter_rows()
        try:
            met = met_by(
                entry,
                matched,
                prices=self.book.prices,
                periods=periods.select(*BOUNDS),
                opening=self._opening,
                moved={(row[0], row[1]): row[2:] for row in moved},
                as_rated=as_rated,
            )
        except (NoCount, NoPrice):
            return None
        if not self.has_history:
            met.counter.position = self.charge.tier_position or NOTHING
            met.counter.records = 1 if self.charge.tier_position else 0
        return met

    def tier_total(self, met: Met) -> Decimal | None:
        """How much the owner has used of the class that chooses the rate's tier; None where none does."""
        if met.work.rate.tier_by is None:
            return None
        class_id = self.book.prices.class_ids.get(met.work.rate.tier_by)
        if class_id is None:
            return NOTHING
        usage = with_periods(self._described, self._months(self._own_ids).select(*BOUNDS))
        totals = by_owner(empty(TOTALS), self._standing.totals, usage, [class_id])
        return totals.get((met.work.rate.counting.per, met.period_id, met.owner, class_id), NOTHING)

    @cached_property
    def _own_ids(self) -> list[int]:
        """The period that counts the charge, and those of its family where counters are shared in it."""
        rate = self.priced.rate if self.priced else None
        if rate is None or rate.counting.per != "family":
            return [self.charge.counting_period_id]
        periods = self._months(periods_of_family(self.family_id))
        own = periods.filter(pl.col("period_id") == self.charge.counting_period_id)["month"]
        return periods.filter(pl.col("month").is_in(own.implode()))["period_id"].to_list()

    @cached_property
    def _sharing_ids(self) -> list[int]:
        """The periods whose usage may share the charge's counter."""
        rate = self.priced.rate if self.priced else None
        if rate is None or rate.counting.restarts != "never":
            return self._own_ids
        return periods_of_family(self.family_id if rate.counting.per == "family" else self.charge.account_id)

    @cached_property
    def _sharing(self) -> pl.DataFrame:
        """The charges that may share its counter and stood when it was rated, itself among them: CHARGES, rate_key."""
        if self.priced is None or not self.has_history:
            return self.row
        # The parts of a record that was split share its amount, whichever rates price them.
        rate_id = None if self._splits else self.charge.rate_id
        service_id = self.charge.service_id if self.priced.rate.counting.per == "service" else None
        at = self.charge.rated_at
        return self._with_row(charges_sharing(self._sharing_ids, rate_id=rate_id, service_id=service_id, rated_at=at))

    @property
    def _splits(self) -> bool:
        """Whether the version cuts records at the boundaries of time periods."""
        return self.priced is not None and any(
            group.at_boundary == "split" for group in self.priced.version.plan.groups
        )

    def _with_row(self, charges: pl.DataFrame) -> pl.DataFrame:
        keyed = repricing.with_rate_keys(charges, self.book.prices).filter(pl.col("rate_key").is_not_null())
        return pl.concat([self.row, keyed]).unique("id", keep="first", maintain_order=True)

    @cached_property
    def _opening(self) -> Standing:
        """Where the counter began, of rates that carry over; any other begins with nothing."""
        rate = self.priced.rate if self.priced else None
        if rate is None or not rate.aggregation.carries_over or rate.counting.restarts == "never":
            return Standing(empty(COUNTERS), empty(SEEN), empty(GRANTS), empty(TOTALS), empty(MEMBERS))
        is_before = ~pl.col("period_id").is_in(self._sharing_ids)
        stands = self._standing
        return replace(stands, counters=stands.counters.filter(is_before), seen=stands.seen.filter(is_before))

    @cached_property
    def _standing(self) -> Standing:
        periods = self._months(self._own_ids).select(*BOUNDS)
        return store.standing_of(self._described, self.book.prices, periods)

    @cached_property
    def _described(self) -> pl.DataFrame:
        """The charge's own usage, schema MATCHED."""
        return describe_matched(self._known(self.row), self.book).rated

    def _months(self, period_ids: list[int]) -> pl.DataFrame:
        """Periods with the month that each is: half a month on, so that it is that month in every zone."""
        periods = store.periods_known([*period_ids, self.charge.counting_period_id])
        return add_months(periods.with_columns(date=pl.col("starts_at").dt.offset_by("14d"))).drop("date")

    def _known(self, charges: pl.DataFrame, *, with_extensions: bool = False) -> pl.DataFrame:
        """Charged usage with who paid and its rate, schema KNOWN with cost."""
        whole = charges
        if self._splits:
            whole = self._with_row(charges_of_udr(self.charge.udr_id, rated_at=self.charge.rated_at))
            whole = pl.concat([charges, whole]).unique("id", keep="first", maintain_order=True)
        usage = self._usage_of(whole, with_extensions=with_extensions or self.book.prices.needs_extensions)
        payers = store.payers_by_service(whole["service_id"])
        months = self._months(whole["counting_period_id"].unique().to_list())
        known = repricing.known_usage(whole, usage, payers, months)
        known = known.join(charges, on=ENTRY, how="semi", maintain_order="left")
        return known.filter(pl.col("feed_id").is_not_null() & pl.col("rate_key").is_not_null())

    def _usage_of(self, charges: pl.DataFrame, *, with_extensions: bool) -> pl.DataFrame:
        if charges.is_empty():
            return empty(USAGE)
        return store.usage_of_udrs(
            charges["udr_id"].unique().to_list(),
            charges["date"].min() - LONGEST_RECORD,  # type: ignore[operator,arg-type]
            charges["date"].max(),  # type: ignore[arg-type]
            with_extensions=with_extensions,
        )


def ask(charge: Charge) -> Asked:
    """Read a charge, with its account, service, identifier, class, plan, version and rate."""
    book = store.book()
    row = repricing.with_rate_keys(charge_frame(charge.pk, charge.date), book.prices)
    return Asked(charge, row, book)


def moves_of(charge: Charge) -> pl.DataFrame:
    """The movements of buckets of a charge or a reversal, schema DRAW_ROWS."""
    return store.draws_of(charge_frame(charge.pk, charge.date))
