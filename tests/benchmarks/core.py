"""The sixth case: the pure pricing core on one core of the machine, beside the same prices in plain Python."""

import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_UP, Context, Decimal
from typing import Any

from tests.benchmarks.ground import Ground
from tests.benchmarks.processes import CHECKOUT

AT_ONCE = 200_000  # usage that is priced together, as rating does
TURNS = 3
MUST, AIM = 1_000_000, 1_500_000
CENT_OF_A_CHARGE = Decimal(1).scaleb(-11)
EXACT = Context(prec=60)

TIERS = ((300, "0.004"), (1_500, "0.00333333333"), (None, "0.00175"))
RATES: dict[str, dict[str, Any]] = {
    "per unit": {"usage_class": "per unit", "model": "per_unit", "price": "0.01370000001", "minimum": "60"},
    "graduated": {
        "usage_class": "graduated",
        "model": "graduated",
        "tiers": [{"up_to": None if bound is None else str(bound), "price": price} for bound, price in TIERS],
    },
}

Row = tuple[int, int, datetime, Decimal]  # number, account, date, value


def measure_core(ground: Ground) -> dict[str, Any]:
    """Matched usage into charges, counters and all, in a process of its own with one thread of polars."""
    told = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.core", str(ground.records), str(ground.accounts), str(ground.seed)],
        cwd=CHECKOUT,
        env={**os.environ, "POLARS_MAX_THREADS": "1"},
        check=True,
        capture_output=True,
        text=True,
    )
    found = json.loads(told.stdout)
    core = min(max(found["turns"][name]) for name in RATES)
    plain = max(found["turns"]["plain Python, " + min(RATES, key=lambda name: max(found["turns"][name]))])
    reached = "the aim" if core >= AIM else "what it must" if core >= MUST else "nothing"
    return {
        "wall_seconds": ground.records / core,
        "records_a_second": core,
        "limit_records_a_second": plain,
        "turns": found["turns"],
        "ratio": core / plain,
        "must": f"at {MUST:,} records/s",
        "aim": f"{AIM:,} records/s",
        "reaches": reached,
        "checks": found["checks"],
    }


def rows_of(count: int, accounts: int, seed: int) -> list[Row]:
    """Usage in no order: of so many accounts over a month, with values of up to six decimals."""
    draw = random.Random(seed)
    start = datetime(2026, 5, 1, tzinfo=UTC)
    return [
        (
            number,
            draw.randrange(1, accounts + 1),
            start + timedelta(seconds=draw.randrange(30 * 86_400)),
            Decimal(draw.randrange(400_000_000)).scaleb(-6),
        )
        for number in range(1, count + 1)
    ]


# In plain Python


def plain_per_unit(rows: Sequence[Row]) -> list[Decimal]:
    """What each record costs, one after the other."""
    price, minimum = Decimal(RATES["per unit"]["price"]), Decimal(60)
    return [
        EXACT.multiply(max(value, minimum), price).quantize(CENT_OF_A_CHARGE, ROUND_HALF_UP, EXACT)
        for _, _, _, value in rows
    ]


def plain_graduated(rows: Sequence[Row]) -> list[Decimal]:
    """What each record costs in the order of dates within an account, by walking the tiers."""
    tiers = [(None if bound is None else Decimal(bound), Decimal(price)) for bound, price in TIERS]
    reached: dict[int, Decimal] = {}
    amounts = [Decimal(0)] * len(rows)
    for place in sorted(range(len(rows)), key=lambda place: (rows[place][2], rows[place][3], rows[place][0])):
        _, account, _, left = rows[place]
        position, amount = reached.get(account, Decimal(0)), Decimal(0)
        for bound, price in tiers:
            if bound is not None and position >= bound:
                continue
            part = left if bound is None else min(left, bound - position)
            amount = EXACT.add(amount, EXACT.multiply(part, price))
            position, left = position + part, left - part
            if not left:
                break
        reached[account] = position
        amounts[place] = amount.quantize(CENT_OF_A_CHARGE, ROUND_HALF_UP, EXACT)
    return amounts


PLAIN: dict[str, Callable[[Sequence[Row]], list[Decimal]]] = {
    "per unit": plain_per_unit,
    "graduated": plain_graduated,
}


# The core


def main(count: int, accounts: int, seed: int) -> None:
    """Print one JSON object: records a second of processor time, by turn, and whether both came to the same amounts."""
    rows = rows_of(count, accounts, seed)
    turns: dict[str, list[float]] = {}
    checks = {}
    for name in RATES:
        world = _World(name, rows, accounts)
        amounts: list[Decimal] = []
        for _ in range(TURNS):
            seconds, amounts = world.price()
            turns.setdefault(name, []).append(count / seconds)
        started = time.process_time()
        plain = PLAIN[name](rows)
        turns[f"plain Python, {name}"] = [count / (time.process_time() - started)]
        checks[f"{name}: every charge is that of plain decimals, to the last digit"] = amounts == plain
    print(json.dumps({"turns": turns, "checks": checks}))


class _World:
    """One rate, the usage of it as matching leaves it, in frames of AT_ONCE by date, and the billing periods."""

    def __init__(self, name: str, rows: Sequence[Row], accounts: int) -> None:
        import polars as pl

        from rating.core.frames import BOUNDS
        from rating.core.plans.document import read_plan
        from rating.core.tariffs import Version, price_list

        said = {"name": name, "currency": "EUR", "groups": [{"name": "all", "rates": [RATES[name]]}]}
        version = Version(1, 1, None, None, read_plan(said), {("all", name): 1}, {})
        self.prices = price_list([version], {name: 1})
        self.periods = pl.DataFrame(
            {
                "account_id": range(1, accounts + 1),
                "month": [date(2026, 5, 1)] * accounts,
                "period_id": range(1, accounts + 1),
                "starts_at": [datetime(2026, 5, 1, tzinfo=UTC)] * accounts,
                "ends_at": [datetime(2026, 6, 1, tzinfo=UTC)] * accounts,
            },
            schema=BOUNDS,
        )
        # In the order in which the core prices, so that frame after frame comes to the same as all at once.
        ordered = sorted(rows, key=lambda row: (row[2], row[3], row[0]))
        self.frames = [_matched(ordered[n : n + AT_ONCE]) for n in range(0, len(ordered), AT_ONCE)]

    def price(self) -> tuple[float, list[Decimal]]:
        """Seconds, and the amounts by number of the record."""
        import polars as pl

        from rating.core.frames import COUNTERS, GRANTS, MEMBERS, SEEN, TOTALS, Standing, empty
        from rating.core.ledger import price_usage

        standing = Standing(empty(COUNTERS), empty(SEEN), empty(GRANTS), empty(TOTALS), empty(MEMBERS))
        found, spent = [], 0.0
        for frame in self.frames:
            started = time.process_time()
            priced = price_usage(frame, prices=self.prices, periods=self.periods, standing=standing)
            spent += time.process_time() - started
            found.append(priced.rated.select("udr_id", "charged_amount"))
            counters = pl.concat([priced.standing.counters, standing.counters])
            keys = ["period_id", "account_id", "service_id", "rate_id", "key"]
            standing = Standing(
                counters.unique(keys, keep="first"), standing.seen, standing.grants, standing.totals, standing.members
            )
        return spent, pl.concat(found).sort("udr_id")["charged_amount"].to_list()


def _matched(rows: Sequence[Row]) -> Any:
    import polars as pl

    from rating.core.frames import MATCHED

    numbers, accounts, dates, values = zip(*rows, strict=True)
    frame = pl.DataFrame(
        {"udr_id": numbers, "account_id": accounts, "date": dates, "value": values},
        schema={name: MATCHED[name] for name in ("udr_id", "account_id", "date", "value")},
    )
    known: dict[str, Any] = {
        "part": 0,
        "feed_id": 1,
        "import_id": 1,
        "usage_class_id": 1,
        "service_identifier_id": 1,
        "plan_id": 1,
        "rate_key": 0,
        "since": datetime(2020, 1, 1, tzinfo=UTC),
        "account_currency": "EUR",
        "time_zone": "UTC",
        "month": date(2026, 5, 1),
        "counter_key": "",
    }
    return (
        frame.with_columns(
            *(pl.lit(value, dtype=MATCHED[name]).alias(name) for name, value in known.items()),
            *(
                pl.lit(None, dtype=MATCHED[name]).alias(name)
                for name in MATCHED
                if name not in {*known, *frame.columns}
            ),
        )
        .with_columns(service_id="account_id", family_id="account_id", counted=pl.col("value").cast(MATCHED["counted"]))
        .select(*MATCHED)
    )


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
