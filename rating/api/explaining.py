"""A charge over HTTP, with every step that led to it."""

from decimal import Decimal
from typing import Any, ClassVar, cast

from django.contrib.auth.models import User
from django.db.models import QuerySet
from rest_framework.generics import RetrieveAPIView

from mediation.api import ModelPermissions
from mediation.api.describing import describe
from rating import selectors
from rating.api.charges import NAMED, ChargeSerializer
from rating.api.schemas import EXPLANATION
from rating.core.explaining import Chapter, Fact, Picture
from rating.models import Charge
from rating.services.explaining import explain_charge


class ExplainedChargeSerializer(ChargeSerializer):
    """A charge or a reversal, with its explanation: chapters in the order of the walk.

    The amounts of the facts of chapter `price` add up to the charge's amount.
    """

    also_tells: ClassVar[dict[str, Any]] = {"explanation": EXPLANATION}

    def to_representation(self, instance: Charge) -> dict[str, Any]:
        """The charge's own fields, and `explanation`."""
        explanation = explain_charge(charge=instance, by=self.context["request"].user)
        return {
            **super().to_representation(instance),
            "explanation": {
                "is_whole": explanation.reckoning.is_whole,
                "chapters": [_chapter(chapter) for chapter in explanation.chapters],
                "tiers": explanation.picture and _tiers(explanation.picture),
            },
        }


@describe("Get a charge with its explanation")
class ExplainedCharge(RetrieveAPIView[Charge]):
    """One charge, and why it is what it is."""

    queryset = Charge.objects.all()
    serializer_class = ExplainedChargeSerializer
    permission_classes = (ModelPermissions,)

    def get_queryset(self) -> QuerySet[Charge]:
        return selectors.charges_seen(cast(User, self.request.user)).select_related(*NAMED)


def _chapter(chapter: Chapter) -> dict[str, Any]:
    return {"name": chapter.name, "title": chapter.title, "facts": [_fact(fact) for fact in chapter.facts]}


def _fact(fact: Fact) -> dict[str, Any]:
    """What is not said of a fact is left out; numbers are texts of all their digits."""
    said: dict[str, Any] = {"name": fact.name, "text": fact.text}
    if fact.quantity is not None:
        said["quantity"] = _digits(fact.quantity)
    if fact.amount is not None:
        said["amount"] = _digits(fact.amount)
    if fact.raw is not None:
        said["raw"] = fact.raw
    if fact.about is not None:
        said["about"] = {"kind": fact.about.kind, "id": fact.about.number}
    return said


def _tiers(picture: Picture) -> dict[str, Any]:
    return {
        "before": _digits(picture.start),
        "after": _digits(picture.end),
        "reached": [bar.place for bar in picture.record],
    }


def _digits(number: Decimal) -> str:
    """All digits of a number, without idle zeros."""
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
