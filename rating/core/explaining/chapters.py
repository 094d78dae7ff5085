"""How an explanation is told: chapters of facts, each a sentence with the numbers that it is about."""

from dataclasses import dataclass
from decimal import Decimal


@dataclass(frozen=True)
class About:
    """The thing that a fact is about: what kind (account, service, import …), and its number."""

    kind: str
    number: int


@dataclass(frozen=True)
class Fact:
    """One sentence. name: which, for machines. quantity: what is left after it; amount: what it adds to the charge.

    raw: a text as it was received, shown letter for letter.
    """

    name: str
    text: str
    quantity: Decimal | None = None
    amount: Decimal | None = None
    about: About | None = None
    raw: str | None = None


@dataclass(frozen=True)
class Chapter:
    """A step on the way from the raw row to the statement line."""

    name: str
    title: str
    facts: tuple[Fact, ...]
