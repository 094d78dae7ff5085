"""Four eyes: with the setting nobody does it alone, nobody approves their own, and it is done once."""

import json
from datetime import timedelta
from decimal import Decimal

import pytest
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext

from config.approving.acts import ACTS
from config.approving.deciding import (
    LIFETIME,
    UnableToDecide,
    approvals_waiting,
    approve,
    ask_for_approval,
    refuse,
    withdraw,
)
from config.approving.policy import KINDS, needs_two, read_policy
from config.models import Approval, AuditEntry, ChargeEstimate
from ingestion import services as ingestion
from ingestion.models import Backfill, Feed, ImportException, UsageImport, UsageVoid
from mediation import services as mediation
from mediation.models import ProfileVersion, UdrKey
from mediation.services.approving import NeedsSecondPerson
from mediation.services.transferring import import_profile
from rating import services as rating
from rating.models import BillingPeriod, PlanVersion, RatingException, Repricing
from tests.ingestion import factories as usage
from tests.mediation.profiles import document
from tests.rating.factories import NOW, RateFactory, UsageClassFactory, subscriber, used, waiting

pytestmark = pytest.mark.django_db
DECIDE = "config.decide_approval"
LATER = NOW + timedelta(hours=1)


@pytest.fixture
def four_eyes(settings):
    """Every kind of act needs two."""
    settings.FOUR_EYES = dict.fromkeys(KINDS)


def rate_all():
    while rating.rate_batches(now=NOW):
        pass


class Case:
    """An act: what may do it, doing it, what is changed by it, and what makes what was asked for stale."""

    permission = kind = act = ""
    also = ()
    is_entered = True  # whether the audit tells of it beside the approval

    @property
    def permissions(self):
        return (self.permission, *self.also)

    def setup(self):
        raise NotImplementedError

    def do(self, by):
        raise NotImplementedError

    def is_done(self):
        raise NotImplementedError

    def disturb(self):
        raise NotImplementedError


class ActivateProfile(Case):
    permission, kind, act = "mediation.change_profileversion", "activate_profile", "activate_profile"

    def setup(self):
        profile = usage.feed_of().profile
        self.draft = mediation.create_draft(profile=profile, spec=document(), note="", by=None)

    def do(self, by):
        mediation.activate_version(version=ProfileVersion.objects.get(pk=self.draft.pk), by=by, now=NOW)

    def is_done(self):
        return ProfileVersion.objects.get(pk=self.draft.pk).status == "active"

    def disturb(self):
        ProfileVersion.objects.filter(pk=self.draft.pk).update(spec=document(uniqueness=["UdrUsageIdentifier"]))


class ActivatePlan(Case):
    permission, kind, act = "rating.activate_planversion", "activate_plan", "activate_plan"

    def setup(self):
        plan = RateFactory().plan
        said = plan.versions.get().document
        self.draft = rating.create_draft(plan=plan, document=said, note="", by=None, now=NOW)

    def do(self, by):
        version = PlanVersion.objects.get(pk=self.draft.pk)
        rating.activate_version(version=version, starts_at=NOW, by=by, now=NOW)

    def is_done(self):
        return PlanVersion.objects.get(pk=self.draft.pk).status == "active"

    def disturb(self):
        PlanVersion.objects.filter(pk=self.draft.pk).update(document={"name": "another"})


class WriteOffImportExceptions(Case):
    permission, kind, act = "ingestion.writeoff_importexception", "write_off", "write_off_import_exceptions"

    def setup(self):
        usage.posted(usage.feed_of(), usage.event("a", "x"), usage.event("b", "x"))
        usage.work()

    def do(self, by):
        every = ImportException.objects.all()
        ingestion.write_off_exceptions(exceptions=every, reason="test data", by=by, now=NOW)

    def is_done(self):
        return set(ImportException.objects.values_list("status", flat=True)) == {"written_off"}

    def disturb(self):
        ImportException.objects.filter(pk=ImportException.objects.first().pk).update(status="resolved")


class WriteOffRatingExceptions(Case):
    permission, kind, act = "rating.writeoff_ratingexception", "write_off", "write_off_rating_exceptions"

    def setup(self):
        waiting({"usage_class": UsageClassFactory(), "identifier": "nobody", "value": 10})
        rate_all()
        assert RatingException.objects.count() == 1

    def do(self, by):
        every = RatingException.objects.all()
        rating.write_off_rating_exceptions(exceptions=every, reason="test data", by=by, now=NOW)

    def is_done(self):
        return RatingException.objects.get().status == "written_off"

    def disturb(self):
        RatingException.objects.update(status="resolved")


class ClosePeriods(Case):
    permission, kind, act = "rating.close_billingperiod", "close_period", "close_periods"

    def setup(self):
        rate = RateFactory()
        waiting(used(rate, subscriber(rate.plan)))
        rate_all()

    def do(self, by):
        rating.ask_to_close(periods=BillingPeriod.objects.all(), by=by, now=NOW)

    def is_done(self):
        return BillingPeriod.objects.get().close_asked_at is not None

    def disturb(self):
        rating.close_period(period=BillingPeriod.objects.get(), by=None, now=NOW)


class CloseOnePeriod(ClosePeriods):
    def do(self, by):
        rating.close_period(period=BillingPeriod.objects.get(), by=by, now=NOW)

    def is_done(self):
        period = BillingPeriod.objects.get()
        return period.close_asked_at is not None or period.status == "closed"


class ApplyRerate(Case):
    permission, kind, act = "rating.rerate_charge", "void", "apply_rerate"

    def setup(self):
        rate = RateFactory()
        waiting(used(rate, subscriber(rate.plan)))
        rate_all()
        rating.propose_rerate(filters={}, reason="a wrong price", by=None, now=NOW)
        while rating.reprice_waiting(now=NOW):
            pass

    def do(self, by):
        rating.apply_rerate(asked=Repricing.objects.get(), by=by, now=NOW)

    def is_done(self):
        return Repricing.objects.get().status == "waiting"

    def disturb(self):
        Repricing.objects.update(totals=[])


class ReprocessImports(Case):
    permission, kind, act = "ingestion.reprocess_usageimport", "void", "reprocess_imports"

    def setup(self):
        usage.posted(usage.feed_of(), usage.event("a"))
        usage.work()
        rate_all()

    def do(self, by):
        ingestion.reprocess_imports(imports=UsageImport.objects.all(), by=by, now=NOW)

    def is_done(self):
        return UsageImport.objects.get().attempt == 2

    def disturb(self):
        UsageImport.objects.update(attempt=7)


class VoidUsage(Case):
    permission, kind, act = "ingestion.void_usage", "void", "void_usage"

    def setup(self):
        self.feed = usage.feed_of()
        usage.posted(self.feed, usage.event("a"))
        usage.work()

    def do(self, by):
        ingestion.ask_void(feed=self.feed, keys=["a"], reason="a test", by=by, now=NOW)

    def is_done(self):
        return UsageVoid.objects.exists()

    def disturb(self):
        UdrKey.objects.all().delete()


class AmendUsage(VoidUsage):
    act, also = "amend_usage", ("ingestion.add_usageimport",)
    is_entered = False  # usage is no change of anything; its import says who sent it

    def do(self, by):
        body = json.dumps({"data": [usage.event("a", value="7")]}).encode()
        options = {"idempotency_key": None, "amend_reason": "a test", "now": NOW}
        ingestion.receive_usage(feed=self.feed, body=body, by=by, **options)

    def is_done(self):
        return UsageImport.objects.filter(amend_reason="a test").exists()

    def disturb(self):
        Feed.objects.update(is_enabled=False)


class CloseBackfill(Case):
    permission, kind, act = "ingestion.backfill_usage", "void", "close_backfill"

    def setup(self):
        feed = usage.feed_of()
        window = {"starts_at": NOW - timedelta(days=9), "ends_at": NOW, "reason": "a test"}
        self.backfill = ingestion.open_backfill(feed=feed, by=None, now=NOW, **window)

    def do(self, by):
        ingestion.ask_close(backfill=self.backfill, by=by, now=NOW)

    def is_done(self):
        return Backfill.objects.filter(status="closing").exists()

    def disturb(self):
        Backfill.objects.update(status="abandoned")


class RevertBackfill(CloseBackfill):
    act = "revert_backfill"

    def setup(self):
        super().setup()
        ingestion.ask_close(backfill=self.backfill, by=None, now=NOW)
        ingestion.backfill_next(now=NOW)

    def do(self, by):
        ingestion.ask_revert(backfill=self.backfill, by=by, now=NOW)

    def is_done(self):
        return Backfill.objects.filter(status="reverting").exists()


class AmendUsageByLines(AmendUsage):
    def do(self, by):
        options = {"idempotency_key": None, "amend_reason": "a test", "now": NOW}
        ingestion.receive_usage(
            feed=self.feed, body=usage.event("a", value="7").encode(), shape="csv", by=by, **options
        )


CASES = [
    ActivateProfile,
    ActivatePlan,
    WriteOffImportExceptions,
    WriteOffRatingExceptions,
    ClosePeriods,
    CloseOnePeriod,
    ApplyRerate,
    ReprocessImports,
    VoidUsage,
    AmendUsage,
    CloseBackfill,
    RevertBackfill,
    AmendUsageByLines,
]


@pytest.fixture(params=CASES, ids=[case.__name__ for case in CASES])
def case(request):
    ready = request.param()
    ready.setup()
    return ready


def asked_for(case, by):
    with pytest.raises(NeedsSecondPerson) as stopped, transaction.atomic():
        case.do(by)
    assert not case.is_done()
    return ask_for_approval(asked=stopped.value.asked, why="month end", now=NOW)


def two_who_may(case):
    return usage.user_with(*case.permissions), usage.user_with(*case.permissions, DECIDE)


def test_every_act_has_its_case():
    elsewhere = {"mediate_records_again"}  # has as many ways as deeds: `test_four_eyes_gaps`
    assert {case.act for case in CASES} == set(ACTS) - elsewhere
    assert {case.kind for case in CASES} == set(KINDS)


def test_without_the_setting_one_person_is_enough(case):
    case.do(usage.user_with(*case.permissions))
    assert case.is_done()


def test_the_house_itself_needs_nobody(case, four_eyes):
    case.do(None)
    assert case.is_done()


def test_what_one_asks_for_another_approves_and_it_is_done_once(case, four_eyes):
    first, second = two_who_may(case)
    approval = asked_for(case, first)
    approve(approval=approval, by=second, now=LATER)
    assert case.is_done()
    approval.refresh_from_db()
    assert (approval.status, approval.asked_by, approval.decided_by) == ("approved", first, second)
    told = AuditEntry.objects.filter(actor_id=first.pk, why__contains=f"Approved by {second.username}")
    assert told.exclude(table_name="config_approval").exists() == case.is_entered
    with pytest.raises(UnableToDecide, match="approved already"):
        approve(approval=approval, by=second, now=LATER)


def test_nobody_approves_their_own(case, four_eyes):
    first = usage.user_with(*case.permissions, DECIDE)
    approval = asked_for(case, first)
    with pytest.raises(UnableToDecide, match="Nobody approves their own"):
        approve(approval=approval, by=first, now=LATER)
    with pytest.raises(UnableToDecide, match="Nobody approves their own"):
        refuse(approval=approval, by=first, why="no", now=LATER)
    assert not case.is_done()


def test_who_decides_must_be_allowed_to_do_it_and_to_decide(case, four_eyes):
    approval = asked_for(case, usage.user_with(*case.permissions))
    for by in (usage.user_with(DECIDE), usage.user_with(*case.permissions)):
        with pytest.raises(PermissionDenied):
            approve(approval=approval, by=by, now=LATER)
    assert not case.is_done()


def test_what_changed_since_has_to_be_asked_for_anew(case, four_eyes):
    first, second = two_who_may(case)
    approval = asked_for(case, first)
    case.disturb()
    with pytest.raises(UnableToDecide, match="has changed"):
        approve(approval=approval, by=second, now=LATER)
    assert Approval.objects.get().status == "waiting"


def test_who_asked_must_still_be_allowed_to(case, four_eyes):
    first, second = two_who_may(case)
    approval = asked_for(case, first)
    first.user_permissions.clear()
    with pytest.raises(UnableToDecide, match="may not do it any more"):
        approve(approval=approval, by=second, now=LATER)
    assert not case.is_done()


@pytest.fixture
def asked(four_eyes):
    """A write-off that was asked for: the approval, who asked, and who may decide."""
    case = WriteOffImportExceptions()
    case.setup()
    first, second = two_who_may(case)
    return asked_for(case, first), first, second


def test_a_refusal_says_why_and_leaves_everything_as_it_was(asked):
    approval, _, second = asked
    with pytest.raises(UnableToDecide, match="Say why"):
        refuse(approval=approval, by=second, why=" ", now=LATER)
    refuse(approval=approval, by=second, why="correct them", now=LATER)
    assert Approval.objects.get().decision == "correct them"
    assert ImportException.objects.filter(status="open").count() == 2


def test_only_who_asked_withdraws(asked):
    approval, first, second = asked
    with pytest.raises(UnableToDecide, match="who alone can withdraw"):
        withdraw(approval=approval, by=second, now=LATER)
    withdraw(approval=approval, by=first, now=LATER)
    with pytest.raises(UnableToDecide, match="withdrawn already"):
        approve(approval=approval, by=second, now=LATER)


def test_an_approval_expires(asked):
    approval, _, second = asked
    assert list(approvals_waiting(second, LATER)) == [approval]
    late = NOW + LIFETIME
    assert not approvals_waiting(second, late)
    with pytest.raises(UnableToDecide, match="expired already"):
        approve(approval=approval, by=second, now=late)
    assert Approval.objects.get().status == "expired"


def test_what_waits_is_asked_for_once(asked):
    approval, _, second = asked
    with pytest.raises(NeedsSecondPerson) as stopped:
        WriteOffImportExceptions().do(second)
    assert ask_for_approval(asked=stopped.value.asked, why="me too", now=LATER) == approval
    anew = ask_for_approval(asked=stopped.value.asked, why="me too", now=NOW + LIFETIME)
    assert anew.asked_by == second


def test_who_asked_is_not_told_to_decide_and_a_stranger_s_feed_is_not_told_of(asked):
    _, first, second = asked
    assert not approvals_waiting(first, LATER)
    stranger = usage.user_with("ingestion.writeoff_importexception", DECIDE, feeds=[])
    assert not approvals_waiting(stranger, LATER)
    assert approvals_waiting(second, LATER).count() == 1
    with pytest.raises(PermissionDenied):
        approve(approval=Approval.objects.get(), by=stranger, now=LATER)


@pytest.mark.parametrize(
    "values",
    [
        {"decided_by": "asked_by_id", "status": "'approved'"},
        {"decided_by": "NULL", "status": "'approved'"},
    ],
)
def test_the_database_knows_that_nobody_approves_their_own(asked, values):
    with pytest.raises(IntegrityError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            f"UPDATE config_approval SET decided_by_id = {values['decided_by']}, "
            f"status = {values['status']}, decided_at = now()"
        )


@pytest.mark.parametrize("change", ["status = 'waiting'", "decision = 'never mind'", "outcome = ''"])
def test_the_database_keeps_what_was_decided(asked, change):
    approval, _, second = asked
    approve(approval=approval, by=second, now=LATER)
    for statement in (f"UPDATE config_approval SET {change}", "DELETE FROM config_approval"):
        with pytest.raises(IntegrityError), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(statement)


def test_below_the_value_one_person_is_enough(settings):
    settings.FOUR_EYES = read_policy("write_off:100")
    case = WriteOffImportExceptions()
    case.setup()
    clerk = usage.user_with(*case.permissions)
    with pytest.raises(NeedsSecondPerson) as unknown, transaction.atomic():
        case.do(clerk)
    assert unknown.value.asked.value is None
    feed = UsageImport.objects.get().feed_id
    known = ChargeEstimate.objects.create(feed_id=feed, currency="EUR", record_count=1, quantity=1, amount=60)
    with pytest.raises(NeedsSecondPerson) as above, transaction.atomic():
        case.do(clerk)
    assert above.value.asked.value == Decimal(120)
    ChargeEstimate.objects.filter(pk=known.pk).update(amount=50)
    case.do(clerk)
    assert case.is_done()


def test_without_the_setting_nothing_more_is_asked_of_the_database():
    case = WriteOffImportExceptions()
    case.setup()
    clerk = usage.user_with(*case.permissions)
    clerk.has_perm(case.permission)
    with CaptureQueriesContext(connection) as asked:
        case.do(clerk)
    assert not [query for query in asked if "config_" in query["sql"]]


def test_the_setting_is_read_with_every_fault_at_once():
    assert read_policy("") == {}
    assert read_policy(" activate_plan , write_off:100.50 ") == {"activate_plan": None, "write_off": Decimal("100.50")}
    with pytest.raises(ValueError, match="'activate'") as faulty:
        read_policy("activate,void:5,write_off:much,write_off:-1,write_off:NaN,close_period,close_period")
    for fault in ("void takes no value", "'much' is no value", "'-1' is no value", "'NaN' is no value", "twice"):
        assert fault in str(faulty.value)


def test_a_value_nobody_knows_counts_as_above():
    policy = read_policy("write_off:100,void")
    assert [needs_two(policy, "write_off", value) for value in (None, Decimal(100), Decimal("100.01"))] == [
        True,
        False,
        True,
    ]
    assert needs_two(policy, "void", Decimal(0))
    assert not needs_two(policy, "close_period", None)


def test_an_imported_profile_stays_a_draft_where_activating_needs_two(four_eyes):
    somebody = User.objects.create_superuser("admin")
    said = {"name": "fresh", "spec": document(), "usage_classes": []}
    version = import_profile(document=said, by=somebody, now=NOW, activate=True)
    assert version.status == "draft"


@pytest.mark.django_db(transaction=True, serialized_rollback=True)
def test_two_who_approve_at_once_do_it_once(settings):
    settings.FOUR_EYES = dict.fromkeys(KINDS)
    case = WriteOffImportExceptions()
    case.setup()
    first, second = two_who_may(case)
    approval = asked_for(case, first)
    errors = usage.in_threads(lambda: approve(approval=approval, by=second, now=LATER), 3)
    assert [str(error) for error in errors] == ["It is approved already, so there is nothing to decide."] * 2
    assert case.is_done()
    assert AuditEntry.objects.filter(table_name="ingestion_importexception").count() == 2
