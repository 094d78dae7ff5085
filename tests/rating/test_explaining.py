"""Charges explained on a real PostgreSQL: who pays, why this rate, the counter, and amounts that add up."""

from datetime import timedelta
from decimal import Decimal, localcontext

import pytest

from rating import services
from rating.core.costs import EXACT
from rating.models import Charge
from rating.services.explaining import explain_charge

from .factories import (
    MAY,
    NOW,
    graduated,
    subscriber,
    used,
    waiting,
)

pytestmark = pytest.mark.django_db


def rate_all(now=NOW):
    while services.rate_batches(now=now):
        now += timedelta(minutes=1)


def explained(charge):
    return explain_charge(charge=charge, by=None)


def total(explanation):
    """What the steps of the price add up to."""
    facts = [fact for chapter in explanation.chapters if chapter.name == "price" for fact in chapter.facts]
    with localcontext(EXACT):
        return sum((fact.amount for fact in facts if fact.amount is not None), Decimal(0))


def told(explanation, name):
    return [fact.text for chapter in explanation.chapters if chapter.name == name for fact in chapter.facts]


def assert_all_add_up():
    charges = list(Charge.objects.order_by("id"))
    assert charges
    for charge in charges:
        assert total(explained(charge)) == charge.amount, charge
    return charges


def test_a_graduated_charge_is_told_from_its_identifier_to_its_statement():
    rate = graduated(minimum="60", increment="6")
    owner = subscriber(rate.group.plan)
    waiting(used(rate, owner, "61.5"), used(rate, owner, "80", date=MAY + timedelta(hours=1)))
    rate_all()
    _, charge = assert_all_add_up()
    answer = explained(charge)
    account, service = owner.service.account, owner.service
    assert told(answer, "payer")[:2] == [
        f"Class “{rate.usage_class}” is paid by the UDR usage identifier: “{owner.identifier}”.",
        f"“{owner.identifier}” belonged to service {service} from 2020-01-01 01:00:00 with no end, so also when the "
        "usage happened.",
    ]
    assert told(answer, "plan") == [
        f"The service {service} has no plan.",
        "It came with no package.",
        f"The account {account} has plan {rate.plan}.",
    ]
    assert told(answer, "counter") == [
        f"Usage of the service {service} counts together; the counter starts again with each billing period.",
        "Before this record: 66 priced.",
        "After it: 150 priced.",
    ]
    assert told(answer, "price") == [
        "Tier 1 (up to 100): 34 x 0.3 = 10.2.",
        "Tier 2 (above 100): 50 x 0.1 = 5.",
        "Charged: 15.2.",
    ]
    assert told(answer, "statement") == [
        f"The period 2026-05 is open. The draft of its statement has it in the line “{rate.row}”, tiers 1 to 2."
    ]
    assert [bar.place for bar in answer.picture.record] == [1, 2]
    assert answer.picture.tiers[0].width == "500.00"
