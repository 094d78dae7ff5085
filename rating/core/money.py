"""How many decimals a currency has, and the rounding of what a statement asks for."""

from decimal import ROUND_HALF_UP, Context, Decimal

# ISO 4217: the currencies whose minor unit is not a hundredth.
MINOR_UNIT_DECIMALS = {
    **dict.fromkeys(
        [
            "BIF",
            "CLP",
            "DJF",
            "GNF",
            "ISK",
            "JPY",
            "KMF",
            "KRW",
            "PYG",
            "RWF",
            "UGX",
            "UYI",
            "VND",
            "VUV",
            "XAF",
            "XOF",
            "XPF",
        ],
        0,
    ),
    **dict.fromkeys(["BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"], 3),
    **dict.fromkeys(["CLF", "UYW"], 4),
}


def minor_unit_decimals(currency: str) -> int:
    """The decimals of the currency's minor unit; two unless ISO 4217 says otherwise."""
    return MINOR_UNIT_DECIMALS.get(currency, 2)


def round_to_minor_unit(amount: Decimal, currency: str) -> Decimal:
    """Round to the currency's minor unit, half away from zero."""
    unit = Decimal(1).scaleb(-minor_unit_decimals(currency))
    return amount.quantize(unit, context=Context(prec=60, rounding=ROUND_HALF_UP))
