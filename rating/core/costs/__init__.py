"""What one record costs in one counter: counted, rounded, priced, in plain decimals, and told step by step."""

from .costs import Cost, NoBase, NoPrice, NoTier, cost_of
from .counting import Counted, Counter, NoCount, Record, advance, count, priced_quantity
from .quantities import EXACT, round_away, rounded, transformed
from .steps import Draw, Step, steps

__all__ = [
    "EXACT",
    "Cost",
    "Counted",
    "Counter",
    "Draw",
    "NoBase",
    "NoCount",
    "NoPrice",
    "NoTier",
    "Record",
    "Step",
    "advance",
    "cost_of",
    "count",
    "priced_quantity",
    "round_away",
    "rounded",
    "steps",
    "transformed",
]
