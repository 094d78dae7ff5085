"""Where four eyes are tied in: what the setting says, what rows are worth, and what doors do with it."""

from decimal import Decimal

from django.conf import settings

from config.approving import screens
from config.approving.policy import needs_two
from config.dashboard.value_at_risk import whole_value_of_import_exceptions, whole_value_of_rating_exceptions
from mediation.admin import kit
from mediation.services import approving


def tie_in() -> None:
    """Have the services ask the setting, and the doors what to do where a second person is needed."""
    approving.POLICIES[:] = [_needs_two]
    approving.VALUES.update(
        {
            "ingestion.ImportException": whole_value_of_import_exceptions,
            "rating.RatingException": whole_value_of_rating_exceptions,
        }
    )
    approving.ASKERS[:] = [screens.asked_by_program]
    kit.NOTES[:] = [screens.notes_of]


def _needs_two(kind: str, value: Decimal | None) -> bool:
    return needs_two(settings.FOUR_EYES, kind, value)
