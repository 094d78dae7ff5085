"""Four eyes: services ask here whether what they are about to do needs a second person, and stop where it does."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django.contrib.auth.models import User

# Whether an act needs a second person, by its name and what it is worth (None: nobody knows). The roof, which reads the
# setting, says so; without it everybody acts alone.
POLICIES: list[Callable[[str, Decimal | None], bool]] = []
# What the chosen rows of a model may be worth, in the currency of the charges: by the model's label.
VALUES: dict[str, Callable[[Any], Decimal | None]] = {}
# Keeps what was asked for as a request, for doors that cannot ask back: returns its number and address.
ASKERS: list[Callable[["NeedsSecondPerson"], tuple[int, str]]] = []

_in_force: ContextVar[str] = ContextVar("act_in_force", default="")


@dataclass(frozen=True)
class Asked:
    """What somebody is about to do: enough to do it later, when another person has agreed.

    act: one of `config.approving.acts`. subject: the label of a model and the key of the row that it is about, empty
    where it is about many. arguments: what the act is given, ready for JSON. summary: one sentence, for the person who
    decides. value: what it is worth, where that is known.
    """

    act: str
    subject: tuple[str, str]
    arguments: Mapping[str, Any]
    summary: str
    by: User
    value: Decimal | None = None


class NeedsSecondPerson(Exception):
    """An act that its person may not do alone; nothing of it was done."""

    def __init__(self, asked: Asked) -> None:
        super().__init__(f"{asked.summary.rstrip('.')} – that needs a second person: ask for approval.")
        self.asked = asked


def asks_for_second_person(kind: str, by: User | None) -> bool:
    """Whether `by` may need another person for an act of this kind, whatever it is worth.

    The house itself never does; nor does who carries out what another person has agreed to.
    """
    return by is not None and bool(POLICIES) and _in_force.get() != kind and POLICIES[0](kind, None)


@contextmanager
def in_force(kind: str) -> Iterator[None]:
    """While another person's approval of one act of this kind is carried out."""
    before = _in_force.set(kind)
    try:
        yield
    finally:
        _in_force.reset(before)


def value_of(rows: Any) -> Decimal | None:
    """What rows may be worth together; None where nobody knows."""
    known = VALUES.get(rows.model._meta.label)
    return known(rows) if known else None


def require_second_person(
    *,
    kind: str,
    act: str,
    by: User | None,
    subject: tuple[str, str],
    arguments: Mapping[str, Any],
    summary: str,
    value: Callable[[], Decimal | None] = lambda: None,
) -> None:
    """Raise NeedsSecondPerson where the setting asks for one and no approval is in force."""
    if by is None or not asks_for_second_person(kind, by):
        return
    worth = value()
    if POLICIES[0](kind, worth):
        raise NeedsSecondPerson(Asked(act, subject, arguments, summary, by, worth))
