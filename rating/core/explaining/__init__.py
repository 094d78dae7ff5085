"""Why a charge is what it is: the rates that were tried, the counter that it met, each step of its amount."""

from .chapters import About, Chapter, Fact
from .choosing import Search, Tried, search_of
from .picturing import Bar, Picture, picture_of
from .reckoning import Charged, Reckoning, recall, reckon, taken_back
from .replaying import Met, met_by, needs_history

__all__ = [
    "About",
    "Bar",
    "Chapter",
    "Charged",
    "Fact",
    "Met",
    "Picture",
    "Reckoning",
    "Search",
    "Tried",
    "met_by",
    "needs_history",
    "picture_of",
    "recall",
    "reckon",
    "search_of",
    "taken_back",
]
