"""What UDRs would cost as plans, periods and balances stand now, with nothing written and nothing locked."""

from dataclasses import replace
from datetime import datetime

import polars as pl

from mediation.store.reading_only import reading_only
from rating import store
from rating.core import charging
from rating.services.pricing import Charged, CountMismatchError
from rating.store.quoting import periods_as_they_stand


def quote_udrs(*, udrs: pl.DataFrame, now: datetime) -> Charged:
    """The charges and refusals that UDRs would come to if they were rated now. udrs: schema UDRS.

    Usage of others that comes in before them may still move tiers and buckets.
    """
    with reading_only():
        tariff = store.price_list()
        chosen = charging.walk(charging.CHOOSING, udrs, tariff)
        tariff = replace(tariff, payers=store.payers_of(chosen.rated["identifier"], now))
        matched = charging.walk(charging.MATCHING, chosen.rated, tariff)
        periods = periods_as_they_stand(matched.rated.select("account_id", "time_zone", "month").unique())
        tariff = replace(
            tariff,
            periods=periods,
            balances=store.balances_of(periods["period_id"]),
            positions=store.positions_of(periods["period_id"]),
        )
    priced = charging.walk(charging.PRICING, matched.rated, tariff)
    refused = pl.concat([chosen.refused, matched.refused, priced.refused])
    quoted = Charged(charging.charges_of(priced.rated, now), refused)
    if quoted.charged.height + quoted.refused.height != udrs.height:
        raise CountMismatchError(
            f"{udrs.height} UDRs came to {quoted.charged.height} charges and {quoted.refused.height} refusals"
        )
    return quoted
