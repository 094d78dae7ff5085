"""What a suggestion says, as values: the document, a reason for each part, questions and what is missing."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mediation.core.suggesting.kinds import Column

# How far a proposal can be trusted: it cannot be otherwise; much speaks for it; look at it.
CONFIDENCES = ("sure", "likely", "guess")


class UnableToSuggestError(ValueError):
    """No profile can be proposed from this sample; the message says why and what to do."""


@dataclass(frozen=True)
class Reason:
    """Why a part of the document is proposed. pointer: the part's place, a JSON pointer."""

    pointer: str
    value: Any
    confidence: str
    text: str


@dataclass(frozen=True)
class Question:
    """What the sample leaves open, so that a person must say it. choices: (value at the pointer, what it means)."""

    pointer: str
    text: str
    choices: tuple[tuple[Any, str], ...]


@dataclass(frozen=True)
class Suggestion:
    """A profile document, complete but for what is missing and what the questions ask."""

    document: dict[str, Any]
    columns: "tuple[Column, ...]"
    reasons: tuple[Reason, ...]
    questions: tuple[Question, ...]
    missing: tuple[str, ...]
    record_count: int  # records of the sample that were looked at
