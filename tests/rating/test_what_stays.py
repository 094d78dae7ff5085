"""A version that prices usage and a statement that was issued stay as they are, whoever wants to change them."""

import pytest
from django.db import IntegrityError, connection, transaction
from django.db.models import ProtectedError

from rating import services
from rating.models import BillingPeriod, PlanVersion, RatePlan, Statement, StatementLine, StatementTax

from .factories import LONG_AGO, NOW, RateFactory, RatePlanFactory, document, subscriber, used, waiting

pytestmark = pytest.mark.django_db


@pytest.fixture
def version():
    return RateFactory(price="0.10").plan.versions.get()


def changed(said):
    """The document with another price."""
    (group,) = said["groups"]
    return {**said, "groups": [{**group, "rates": [{**group["rates"][0], "price": "0.20"}]}]}


def sql(query):
    def run(row):
        with connection.cursor() as cursor:
            cursor.execute(query, [row.pk])

    return run


@pytest.mark.parametrize(
    "change",
    [
        lambda version: PlanVersion.objects.filter(pk=version.pk).update(document=changed(version.document)),
        lambda version: PlanVersion.objects.filter(pk=version.pk).update(starts_at=NOW),
        lambda version: PlanVersion.objects.filter(pk=version.pk).update(status="draft", activated_at=None),
        lambda version: PlanVersion.objects.filter(pk=version.pk).update(note="cheaper"),
        lambda version: version.delete(),
        sql("DELETE FROM rating_planversion WHERE id = %s"),
    ],
)
def test_an_active_version_does_not_change(version, change):
    before = PlanVersion.objects.values().get()
    with pytest.raises(IntegrityError, match="is active"), transaction.atomic():
        change(version)
    assert PlanVersion.objects.values().get() == before


def test_a_draft_changes_until_it_is_activated(version):
    said = changed(version.document)
    draft = services.create_draft(plan=version.plan, document=version.document, note="", by=None, now=NOW)
    services.update_draft(version=draft, document=said, note="dearer", by=None)
    services.activate_version(version=draft, starts_at=NOW, by=None, now=NOW)
    with pytest.raises(services.UnableToActivatePlan, match="is active and never changes"):
        services.update_draft(version=draft, document=version.document, note="", by=None)
    draft.refresh_from_db()
    assert (draft.document, draft.note, draft.status) == (said, "dearer", "active")


def test_a_draft_may_be_deleted(version):
    draft = services.create_draft(plan=version.plan, document={}, note="", by=None, now=NOW)
    draft.delete()
    assert PlanVersion.objects.get() == version


def test_a_plan_with_versions_stays(version):
    with pytest.raises(ProtectedError):
        version.plan.delete()
    assert RatePlan.objects.get() == version.plan


def test_two_versions_of_a_plan_cannot_start_at_one_moment(version):
    draft = services.create_draft(plan=version.plan, document=version.document, note="", by=None, now=NOW)
    with pytest.raises(services.UnableToActivatePlan, match="version 1 starts at"):
        services.activate_version(version=draft, starts_at=version.starts_at, by=None, now=NOW)
    with pytest.raises(IntegrityError, match="plan_version_starts_once"), transaction.atomic():
        PlanVersion.objects.filter(pk=draft.pk).update(status="active", starts_at=version.starts_at, activated_at=NOW)


def test_an_active_version_needs_a_start(version):
    draft = services.create_draft(plan=version.plan, document={}, note="", by=None, now=NOW)
    with pytest.raises(IntegrityError, match="active_plan_version_starts"), transaction.atomic():
        PlanVersion.objects.filter(pk=draft.pk).update(status="active", activated_at=NOW)


@pytest.mark.parametrize(
    ("wrong", "pointer"),
    [
        ({"price": None}, "/price"),
        ({"price": "-1"}, "/price"),
        ({"model": "graduated", "price": None}, "/tiers"),
        ({"increment": "0"}, "/increment"),
        ({"minimum": "-1"}, "/minimum"),
    ],
)
def test_a_version_that_prices_nothing_is_not_activated(wrong, pointer):
    with pytest.raises(services.UnableToActivatePlan) as refusal:
        RateFactory(**wrong)
    assert {fault.pointer for fault in refusal.value.faults} == {f"/groups/0/rates/0{pointer}"}
    assert not PlanVersion.objects.filter(status="active").exists()


def test_every_fault_of_a_version_is_told_at_once(version):
    plan = RatePlanFactory(currency="USD")
    said = document(version.plan)
    draft = services.create_draft(plan=plan, document={**said, "groups": [], "color": 1}, note="", by=None, now=NOW)
    with pytest.raises(services.UnableToActivatePlan) as refusal:
        services.activate_version(version=draft, starts_at=LONG_AGO, by=None, now=NOW)
    assert len(refusal.value.faults) > 1


@pytest.fixture
def statement(version):
    rate = RateFactory()
    owner = subscriber(rate.plan)
    waiting(used(rate, owner, 3))
    services.rate_batches(now=NOW)
    return services.close_period(period=BillingPeriod.objects.get(), by=None, now=NOW)


@pytest.mark.parametrize(
    "change",
    [
        lambda statement: Statement.objects.filter(pk=statement.pk).update(total=0),
        lambda statement: StatementLine.objects.update(amount=0),
        lambda statement: StatementLine.objects.all().delete(),
        sql("DELETE FROM rating_statement WHERE id = %s"),
    ],
)
def test_an_issued_statement_does_not_change(statement, change):
    with pytest.raises(IntegrityError, match="was issued and stays"), transaction.atomic():
        change(statement)
    assert StatementLine.objects.get().amount == Statement.objects.get().amount != 0


def test_the_taxes_of_a_statement_do_not_change(statement):
    tax = {"jurisdiction": "Land", "category": "telecom", "code": "VAT", "name": "VAT", "percent": 20, "base": 1}
    StatementTax.objects.create(statement=statement, position=1, line=1, amount=0, **tax)
    with pytest.raises(IntegrityError, match="was issued and stays"), transaction.atomic():
        StatementTax.objects.update(amount=1)


@pytest.mark.parametrize(
    "change",
    [
        lambda period: BillingPeriod.objects.filter(pk=period.pk).update(status="open", closed_at=None),
        lambda period: BillingPeriod.objects.filter(pk=period.pk).update(ends_at=NOW),
        sql("DELETE FROM rating_billingperiod WHERE id = %s"),
    ],
)
def test_a_closed_period_stays_closed(statement, change):
    period = statement.period
    with pytest.raises(IntegrityError, match="was closed and stays"), transaction.atomic():
        change(period)
    assert BillingPeriod.objects.get(pk=period.pk).status == "closed"
