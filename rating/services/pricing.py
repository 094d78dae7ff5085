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
    """Charge UDRs that have no charge yet, and write what came of it. udrs: schema UDRS."""
    tariff = store.price_list()
    chosen = charging.walk(charging.CHOOSING, udrs, tariff)
    tariff = replace(tariff, payers=store.payers_of(chosen.rated["identifier"], now))
    matched = charging.walk(charging.MATCHING, chosen.rated, tariff)
    tariff = _with_balances(tariff, matched.rated)
    priced = charging.walk(charging.PRICING, matched.rated, tariff)
    charges = charging.charges_of(priced.rated, now)
    refused = pl.concat([chosen.refused, matched.refused, priced.refused])
    if charges.height + refused.height != udrs.height:
        raise CountMismatchError(f"{udrs.height} UDRs became {charges.height} charges and {refused.height} exceptions")
    store.copy_in_charges(charges)
    store.put_positions(charging.positions_after(charges))
    store.put_balances(charging.balances_after(charges, tariff))
    store.put_exceptions(refused, now)
    return Charged(charges, refused)


def _with_balances(tariff: Tariff, matched: pl.DataFrame) -> Tariff:
    """Lock the periods that the UDRs fall into, and only then read what was used up in them."""
    periods = store.lock_open_periods(matched.select("account_id", "time_zone", "month").unique())
    return replace(
        tariff,
        periods=periods,
        balances=store.balances_of(periods["period_id"]),
        positions=store.positions_of(periods["period_id"]),
    )
