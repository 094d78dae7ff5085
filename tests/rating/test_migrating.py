"""Charges, tiers, allowances and statements of the tables before plans had versions live on in those of today."""

import os
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from types import SimpleNamespace

import pytest
from django.core.management import call_command
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.db.models import F, Sum

from config.reconciling import RULES, differences
from mediation.models import UDR_ID_BITS, UdrBatch, UsageClass
from rating import services, store
from rating.core.frames import ENTRY_BITS
from rating.models import (
    Account,
    BillingPeriod,
    BucketGrant,
    Charge,
    Counter,
    PlanVersion,
    RatePlan,
    RatingException,
    Statement,
)
from rating.services import repricing

from .factories import waiting

APRIL, MAY, JUNE = (datetime(2026, month, 1, tzinfo=UTC) for month in (4, 5, 6))
NOW = datetime(2026, 6, 2, tzinfo=UTC)
OLD = [("mediation", "0008_paid_by_direction"), ("rating", "0004_used_rates_stay")]
D = Decimal


@pytest.fixture(scope="module")
def migrated(django_db_setup, django_db_blocker):
    """A database of its own, filled as rating was before, then migrated; with the sums from before."""
    usual = connection.settings_dict["NAME"]
    with django_db_blocker.unblock():
        name = f"test_sluice_old_{os.getpid()}"
        with connection._nodb_cursor() as cursor:
            cursor.execute(f'CREATE DATABASE "{name}"')
        connection.close()
        connection.settings_dict["NAME"] = name
        try:
            MigrationExecutor(connection).migrate(OLD)
            apps = MigrationExecutor(connection).loader.project_state(OLD).apps
            World(apps).fill()
            before = sums(apps)
            call_command("migrate", verbosity=0)
            yield before
        finally:
            connection.close()
            connection.settings_dict["NAME"] = usual
            with connection._nodb_cursor() as cursor:
                cursor.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


def sums(apps):
    """By account and kind: how many charges, and what they come to; and what statements say."""
    model, lines = apps.get_model("rating", "Charge"), apps.get_model("rating", "StatementLine")
    return charged(model), set(lines.objects.values_list("usage_class", "amount", "line_amount"))


def charged(model):
    rows = model.objects.values("account", "kind").annotate(of=Sum("amount"), used=Sum("bucket_quantity"))
    return {(row["account"], row["kind"]): (row["of"], row["used"]) for row in rows}


class World:
    """One plan of two currencies, used by an account of each and by those below them; April billed, May open."""

    def __init__(self, apps):
        self.apps = apps
        self.data, self.voice = (
            apps.get_model("mediation", "UsageClass").objects.create(name=name) for name in ("Data", "Voice")
        )
        self.identifier_type = apps.get_model("mediation", "IdentifierType").objects.get_or_create(name="Unknown")[0]
        self.batches = apps.get_model("mediation", "UdrBatch").objects
        self.udrs = apps.get_model("mediation", "Udr").objects

    def make(self, model, /, **fields):
        return self.apps.get_model("rating", model).objects.create(**fields)

    def fill(self):
        self.plan = self.make("RatePlan", name="Gold", is_default=True)
        self.rates = {"EUR": self.group("EUR", 1, "0.3"), "USD": self.group("USD", 2, "0.4")}
        self.unused()
        self.bucket = self.make("Bucket", plan=self.plan, name="Included", size=50)
        self.bucket.usage_classes.add(self.voice)
        euro = self.owner("E", "EUR", rate_plan=self.plan)
        dollar = self.owner("U", "USD", rate_plan=self.plan)
        self.owner("U-below", "USD", parent=dollar.account)
        self.owner("E-below", "USD", parent=euro.account)
        self.owner("default", "USD")
        april = self.period(euro, APRIL, MAY)
        may, may_in_dollars = self.period(euro, MAY, JUNE), self.period(dollar, MAY, JUNE)
        self.charge(euro, april, self.data, 10, 0, 3)
        self.charge(euro, april, self.voice, 10, None, 0, drawn=10, is_reversed=True, corrected=may)
        self.close(april)
        self.charge(euro, may, self.data, 80, 0, 24)
        self.charge(euro, may, self.data, 50, 80, 9)
        self.charge(euro, may, self.voice, 60, None, D("0.2"), drawn=50)
        self.charge(euro, may, self.voice, 5, None, D("0.1"), is_reversed=True)
        self.charge(dollar, may_in_dollars, self.data, 30, 0, 12)
        self.charge(dollar, may_in_dollars, self.voice, 20, None, 0, drawn=20)

    def group(self, currency, position, price):
        group = self.make(
            "RateGroup", plan=self.plan, position=position, name="Base", currency=currency, starts_at=APRIL
        )
        tiered = self.make("Rate", group=group, usage_class=self.data, model="graduated")
        for up_to, each in ((100, price), (None, "0.1")):
            self.make("Tier", rate=tiered, up_to=up_to, price=each)
        flat = self.make("Rate", group=group, usage_class=self.voice, price="0.02", minimum=5, increment="0.5")
        return {self.data: tiered, self.voice: flat}

    def unused(self):
        """What priced nothing: a rate without tiers, a group that is over, a plan without groups."""
        over = self.make(
            "RateGroup", plan=self.plan, position=3, name="Base", currency="EUR", starts_at=APRIL, ends_at=MAY
        )
        self.make("Rate", group=over, usage_class=self.voice, model="pass_through")
        self.make("Rate", group=over, usage_class=self.data, model="graduated")
        self.make("RatePlan", name="Empty")
        self.make("RatePlan", name="Gold (USD)")
        faulty = self.make("RatePlan", name="Faulty")
        group = self.make("RateGroup", plan=faulty, position=1, name="two\nlines", currency="EUR", starts_at=APRIL)
        self.make("Rate", group=group, usage_class=self.voice, price="0.02")

    def owner(self, number, currency, **fields):
        account = self.make("Account", number=number, name=number, currency=currency, **fields)
        service = self.make("Service", account=account, name="line", starts_at=APRIL)
        owned = self.make("ServiceIdentifier", service=service, identifier=number, starts_at=APRIL)
        return SimpleNamespace(account=account, service=service, owned=owned)

    def period(self, owner, starts_at, ends_at):
        return self.make("BillingPeriod", account=owner.account, starts_at=starts_at, ends_at=ends_at)

    def charge(
        self, owner, period, usage_class, value, position, amount, *, drawn=0, is_reversed=False, corrected=None
    ):
        """A UDR of its own batch with its charge, and what it moved; one that is reversed moved nothing in the end.

        corrected: the period that bills the reversal of a charge in a closed one; what that used up stays used up.
        """
        status = "reversed" if is_reversed else "rated"
        batch = self.batches.create(status=status, feed_id=1, import_id=1, udr_count=1, mediated_at=NOW)
        date = period.starts_at + timedelta(hours=batch.pk)
        udr = self.udrs.create(
            id=batch.pk << UDR_ID_BITS, date=date, feed_id=1, import_id=1, record_number=1,
            usage_class=usage_class, identifier_type=self.identifier_type, value=value, inbound=False,
            reverse_rating=False, udr_usage_identifier=owner.owned.identifier,
        )  # fmt: skip
        rate = self.rates[owner.account.currency][usage_class]
        said = {
            "udr_id": udr.pk, "date": udr.date, "import_id": 1, "account": owner.account, "service": owner.service,
            "service_identifier": owner.owned, "period": period, "usage_class": usage_class, "plan": self.plan,
            "rate_group": rate.group, "rate": rate, "bucket": self.bucket if drawn else None,
            "currency": owner.account.currency, "tier_position": position, "rated_at": NOW,
        }  # fmt: skip
        for place, kind, sign in ((0, "charge", 1), (1, "reversal", -1))[: 1 + is_reversed]:
            numbers = {"quantity": value, "rated_quantity": value, "bucket_quantity": drawn, "amount": amount}
            numbers = {name: sign * number for name, number in numbers.items()}
            said |= {"period": corrected or period} if kind == "reversal" else {}
            self.make("Charge", id=(udr.pk << ENTRY_BITS) + place, kind=kind, **said, **numbers)
        if corrected or not is_reversed:
            self.moved(owner, period, rate, value - drawn if position is not None else None, drawn)

    def moved(self, owner, period, rate, climbed, drawn):
        where = {"period": period, "service": owner.service}
        if climbed is not None:
            self.add("TierPosition", "quantity", climbed, rate=rate, **where)
        if drawn:
            self.add("BucketBalance", "used", drawn, bucket=self.bucket, **where)

    def add(self, name, column, number, **where):
        model = self.apps.get_model("rating", name)
        row, _ = model.objects.get_or_create(**where, defaults={column: 0})
        setattr(row, column, getattr(row, column) + number)
        row.save()

    def close(self, period):
        model = self.apps.get_model("rating", "Charge")
        for charge in model.objects.filter(period=period):
            self.make(
                "StatementLine", period=period, usage_class=charge.usage_class, currency=charge.currency,
                record_count=1, quantity=charge.quantity, rated_quantity=charge.rated_quantity,
                bucket_quantity=charge.bucket_quantity, amount=charge.amount, line_amount=charge.amount,
            )  # fmt: skip
        period.status, period.closed_at = "closed", NOW
        period.save()


@pytest.fixture
def db_of_old(migrated, django_db_blocker):
    with django_db_blocker.unblock():
        yield migrated


def test_charges_and_statement_lines_keep_their_sums(db_of_old):
    charges, lines = db_of_old
    assert charged(Charge) == charges
    statement = Statement.objects.get()
    assert set(statement.lines.values_list("usage_class", "amount", "line_amount")) == lines
    assert (statement.number, statement.currency, statement.amount, statement.total) == (1, "EUR", 3, 3)
    assert sorted(statement.lines.values_list("position", "kind", "description")) == [
        (1, "usage", "Data"),
        (2, "usage", "Voice"),
    ]


def test_every_plan_is_of_one_currency_and_has_a_version_that_says_what_it_said(db_of_old):
    plans = {plan.name: plan for plan in RatePlan.objects.all()}
    assert {name: (plan.currency, plan.is_default) for name, plan in plans.items()} == {
        "Gold": ("EUR", True),
        "Gold (USD)": ("EUR", False),
        "Gold (USD) 2": ("USD", True),
        "Empty": ("EUR", False),
        "Faulty": ("EUR", False),
    }
    for version in PlanVersion.objects.exclude(plan__name="Faulty").select_related("plan"):
        assert services.faults_of(document=version.document, plan=version.plan) == []
        assert (version.status, version.starts_at) == ("active", APRIL)
    gold = plans["Gold"].versions.get().document
    assert [group["name"] for group in gold["groups"]] == ["Base", "Base at 3"]
    assert [rate["model"] for rate in gold["groups"][1]["rates"]] == ["pass_through"]
    assert gold["buckets"] == [{"name": "Included", "size": "50", "usage_classes": ["Voice"]}]


def test_a_plan_that_said_what_no_document_may_say_becomes_a_draft_that_names_its_faults(db_of_old):
    (version,) = PlanVersion.objects.filter(plan__name="Faulty")
    assert (version.status, version.activated_at, version.starts_at) == ("draft", None, APRIL)
    assert version.note.startswith("Not active, for it has faults: /groups/0/name: ")
    assert version.document["groups"][0]["rates"] == [
        {"name": "Voice", "usage_class": "Voice", "model": "per_unit", "price": "0.02"}
    ]


def test_charges_name_the_rate_and_version_that_priced_them(db_of_old):
    for charge in Charge.objects.select_related("rate", "version", "plan", "usage_class"):
        assert charge.version.plan_id == charge.plan_id == charge.rate.plan_id
        assert (charge.plan.currency, charge.rate.name) == (charge.currency, charge.usage_class.name)
    elsewhere = Charge.objects.exclude(counting_period_id=F("period_id"))
    corrected = Charge.objects.get(period__statement__isnull=False, bucket_quantity=10)
    assert [(each.kind, each.counting_period_id) for each in elsewhere] == [("reversal", corrected.period_id)]


def test_tiers_and_allowances_stand_where_they_stood(db_of_old):
    counters = Counter.objects.order_by("position").values_list("account__number", "position")
    assert list(counters) == [("E", 10), ("U", 30), ("E", 130)]
    grants = BucketGrant.objects.order_by("used").values_list("account__number", "bucket__plan__currency", "used")
    assert list(grants) == [("E", "EUR", 10), ("U", "USD", 20), ("E", "EUR", 50)]
    assert set(BucketGrant.objects.values_list("granted", flat=True)) == {50}


def test_whoever_inherited_a_plan_is_priced_by_it_in_his_currency(db_of_old):
    plans = dict(Account.objects.values_list("number", "rate_plan__name"))
    assert plans == {"E": "Gold", "U": "Gold (USD) 2", "U-below": None, "E-below": "Gold (USD) 2", "default": None}


def test_every_rule_holds_and_putting_in_order_changes_nothing(db_of_old):
    assert {rule.name for rule in RULES if differences(rule)} <= {"counted_once"}  # these UDRs came with no import
    periods = store.periods_known(BillingPeriod.objects.values_list("pk", flat=True))
    repriced = repricing.reprice_periods(periods=periods, book=store.book(), now=NOW)
    assert repriced.before.height == Charge.objects.filter(kind="charge").count() - 2
    assert repriced.taken.is_empty()


def test_usage_goes_on_from_there(db_of_old):
    """Last of all, for it writes."""
    voice, data = UsageClass.objects.get(name="Voice"), UsageClass.objects.get(name="Data")
    said = [("U", voice, 40), ("U", data, 80), ("U-below", voice, 60), ("E-below", data, 1), ("default", data, 2)]
    waiting(*({"usage_class": each, "identifier": number, "value": value, "date": MAY} for number, each, value in said))
    assert services.rate_batches(now=NOW) == 1
    assert set(UdrBatch.objects.values_list("status", flat=True)) == {"rated", "reversed"}
    assert not RatingException.objects.exists()
    fresh = Charge.objects.order_by("-id")[: len(said)]
    assert [(charge.currency, charge.amount) for charge in reversed(fresh)] == [
        ("USD", D("0.2")),  # 30 of 50 were left
        ("USD", D("29")),  # 70 at 0.4, 10 at 0.1
        ("USD", D("0.2")),
        ("USD", D("0.4")),
        ("USD", D("0.8")),
    ]
    assert {rule.name for rule in RULES if differences(rule)} <= {"counted_once"}
