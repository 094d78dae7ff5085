"""The verbs that a token can be limited to: a closed list, each with the permissions that it leaves its user."""

from collections.abc import Iterable
from typing import NamedTuple


class Verb(NamedTuple):
    """What a verb is called on the screen, and which permissions it stands for."""

    title: str
    permissions: frozenset[str]


VERBS = {
    "send": Verb("Send usage", frozenset({"ingestion.add_usageimport"})),
    "read_imports": Verb(
        "Read imports and exceptions",
        frozenset(
            {
                "ingestion.view_usageimport",
                "ingestion.view_importexception",
                "ingestion.view_usagevoid",
                "ingestion.view_backfill",
            }
        ),
    ),
    "correct": Verb(
        "Correct and write off exceptions",
        frozenset(
            {
                "ingestion.correct_importexception",
                "ingestion.writeoff_importexception",
                "ingestion.review_importexception",
            }
        ),
    ),
    "reprocess": Verb(
        "Reprocess imports and exceptions",
        frozenset({"ingestion.reprocess_usageimport", "ingestion.reprocess_importexception"}),
    ),
    # Amending is sending too: a token needs both verbs for it.
    "void": Verb("Void usage; with “Send usage”, amend it", frozenset({"ingestion.void_usage"})),
    # So is sending into a backfill.
    "backfill": Verb(
        "Open, close, revert and abandon backfills",
        frozenset({"ingestion.backfill_usage"}),
    ),
    "read_udrs": Verb("Read UDRs", frozenset({"mediation.view_udr"})),
    "read_charges": Verb("Read charges and usage", frozenset({"rating.view_charge", "rating.view_bucketgrant"})),
    "rerate": Verb(
        "Rerate, and ask what if",
        frozenset({"rating.view_repricing", "rating.rerate_charge", "rating.what_if"}),
    ),
    "grant": Verb("Give grants", frozenset({"rating.add_bucketgrant"})),
}


def permissions_of(verbs: Iterable[str]) -> frozenset[str]:
    """The permissions that verbs leave; one that is not in the list any more leaves none."""
    return frozenset().union(*(VERBS[name].permissions for name in verbs if name in VERBS))
