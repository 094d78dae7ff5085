"""Why a charge is what it is: from the raw row to the statement line, each step in a sentence."""

from collections.abc import Callable
from dataclasses import dataclass

from django.contrib.auth.models import User

from mediation.services import require_permission
from rating.core.explaining import About, Chapter, Fact, Picture, Reckoning, picture_of, taken_back
from rating.models import Charge

from .amounts import chapters_of, reckoning_of
from .asking import Asked, ask, in_utc, moves_of
from .billed import statement_chapter, tax_chapter
from .payers import payer_of, plan_of, rate_of

# Set by the roof, which sees ingestion: the number of a UDR -> how it came from a raw row.
TRACERS: list[Callable[[int], tuple[Chapter, ...]]] = []

RELATED = (
    "account__parent",
    "account__rate_plan",
    "account__jurisdiction",
    "service__rate_plan",
    "service__package__rate_plan",
    "service__jurisdiction",
    "service_identifier",
    "period__account",
    "usage_class",
    "plan",
    "version__plan",
    "rate",
)


@dataclass(frozen=True)
class Explanation:
    """A charge or a reversal, explained. The amounts of the facts of chapter `price` add up to its amount.

    picture: the tiers of its rate with its stretch, where it has tiers.
    """

    charge: Charge
    chapters: tuple[Chapter, ...]
    reckoning: Reckoning
    picture: Picture | None


def explain_charge(*, charge: Charge, by: User | None, has_origin: bool = True) -> Explanation:
    """Explain a charge; a reversal by the charge that it takes back. Nothing is written.

    has_origin: also how its UDR came from a raw row.
    """
    require_permission(by, "rating.view_charge")
    known = Charge.objects.select_related(*RELATED)
    billed = known.get(pk=charge.pk)
    is_reversal = billed.kind == Charge.Kind.REVERSAL
    asked = ask(known.get(pk=billed.pk - 1) if is_reversal else billed)
    reckoning, met = reckoning_of(asked)
    picture = _picture(asked, reckoning)
    if is_reversal:
        reckoning = taken_back(reckoning)
    chapters = (
        *_reversal(asked, billed),
        *(chapter for trace in TRACERS if has_origin for chapter in trace(billed.udr_id)),
        payer_of(asked),
        plan_of(asked),
        rate_of(asked),
        *chapters_of(asked, moves_of(billed) if is_reversal else asked.draws, reckoning, met),
        tax_chapter(asked, billed),
        statement_chapter(asked, billed, picture),
    )
    return Explanation(billed, chapters, reckoning, picture)


def _reversal(asked: Asked, billed: Charge) -> tuple[Chapter, ...]:
    """What ties a charge to its reversal, on either's page."""
    if billed.kind == Charge.Kind.REVERSAL:
        text = f"This takes back the charge of {in_utc(asked.charge.rated_at)}, at {in_utc(billed.rated_at)}."
        return (Chapter("reversal", "A reversal", (Fact("of", text, about=About("charge", asked.charge.pk)),)),)
    taken = Charge.objects.filter(pk=billed.pk + 1, kind=Charge.Kind.REVERSAL).first()
    if taken is None:
        return ()
    text = f"This charge was taken back at {in_utc(taken.rated_at)}; its steps are told as it was charged."
    return (Chapter("reversal", "Taken back", (Fact("by", text, about=About("charge", taken.pk)),)),)


def _picture(asked: Asked, reckoning: Reckoning) -> Picture | None:
    priced = asked.priced
    if priced is None or priced.rate.tier_by is not None:
        return None
    return picture_of(priced.rate, reckoning.before.position, reckoning.after.position)
