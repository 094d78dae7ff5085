"""UDRs into charges and rating exceptions: read, think, write, in the caller's transaction."""

from dataclasses import dataclass, replace
from datetime import datetime

import polars as pl

from rating import store
from rating.core import charging
from rating.core.frames import Tariff


class CountMismatchError(RuntimeError):
    """UDRs went in that came out neither as charge nor as exception, or twice; the transaction must not commit."""


@dataclass(frozen=True)
class Charged:
    """What became of UDRs: every one is charged or refused. charged: CHARGES; refused: REFUSED."""

    charged: pl.DataFrame
    refused: pl.DataFrame


def charge_udrs(*, udrs: pl.DataFrame, now: datetime) -> Charged:
    """Charge UDRs that have no charge yet, and write what came of it. udrs: schema UDRS.

    Each step's frame takes the place of the one before: together they would hold a worker's memory several times.
    """
    count = udrs.height
    refused: list[pl.DataFrame] = []
    tariff = store.price_list()
    udrs = _step(charging.CHOOSING, udrs, tariff, refused)
    tariff = replace(tariff, payers=store.payers_of(udrs["identifier"], now))
    udrs = _step(charging.MATCHING, udrs, tariff, refused)
    tariff = _with_balances(replace(tariff, payers=tariff.payers.clear()), udrs)
    udrs = _step(charging.PRICING, udrs, tariff, refused)
    outcome = Charged(charging.charges_of(udrs, now), pl.concat(refused))
    del udrs
    if outcome.charged.height + outcome.refused.height != count:
        raise CountMismatchError(
            f"{count} UDRs became {outcome.charged.height} charges and {outcome.refused.height} exceptions"
        )
    _write(outcome, tariff, now)
    return outcome


def _step(
    passes: tuple[charging.Pass, ...], udrs: pl.DataFrame, tariff: Tariff, refused: list[pl.DataFrame]
) -> pl.DataFrame:
    """Walk the passes, put aside what they refuse, and hand back what goes on."""
    walked = charging.walk(passes, udrs, tariff)
    refused.append(walked.refused)
    return walked.rated


def _write(outcome: Charged, tariff: Tariff, now: datetime) -> None:
    store.copy_in_charges(outcome.charged)
    store.mark_used(outcome.charged["rate_id"].unique().to_list())
    store.put_positions(charging.positions_after(outcome.charged))
    store.put_balances(charging.balances_after(outcome.charged, tariff))
    store.put_exceptions(outcome.refused, now)


def _with_balances(tariff: Tariff, matched: pl.DataFrame) -> Tariff:
    """Lock the periods that the UDRs fall into, and only then read what was used up in them."""
    periods = store.lock_open_periods(matched.select("account_id", "time_zone", "month").unique())
    return replace(
        tariff,
        periods=periods,
        balances=store.balances_of(periods["period_id"]),
        positions=store.positions_of(periods["period_id"]),
    )
