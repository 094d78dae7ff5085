"""Fills every table of rating that the admin shows: a UDR charged by hand, as rating itself would charge it."""

from datetime import UTC, datetime
from decimal import Decimal

from mediation.models import Udr, UdrBatch
from rating.core.frames import ENTRY_BITS
from rating.models import (
    Account,
    BillingPeriod,
    Bucket,
    BucketDraw,
    BucketGrant,
    Charge,
    ClassTaxCategory,
    CountedPeriod,
    CountedUsage,
    Counter,
    ExceptionRerate,
    Jurisdiction,
    Package,
    PlanVersion,
    Rate,
    RatePlan,
    RatingException,
    RepricedAccount,
    Repricing,
    SeenMember,
    Service,
    ServiceIdentifier,
    Statement,
    StatementLine,
    StatementTax,
    TaxCode,
    TaxExemption,
    TaxPart,
)
from rating.store.counted_usage import SUMS

APRIL = datetime(2026, 4, 1, tzinfo=UTC)
MAY = datetime(2026, 5, 1, tzinfo=UTC)
JUNE = datetime(2026, 6, 1, tzinfo=UTC)


def rate(number: int) -> Charge:
    """The UDR of this number is charged in May: 10 of its 94 units from a bucket, 84 at 0.01; April is billed."""
    udr = Udr.objects.select_related("usage_class").get(udr_usage_identifier=f"4361{number}")
    version, price, bucket = sell(number, udr.usage_class.name)
    owned = subscribe(number, udr, version.plan)
    service, account = owned.service, owned.service.account
    period = BillingPeriod.objects.create(account=account, starts_at=MAY, ends_at=JUNE)
    bill(number, account, udr, price)
    charge = Charge.objects.create(
        id=udr.pk << ENTRY_BITS,
        udr_id=udr.pk,
        date=udr.date,
        kind="charge",
        import_id=udr.import_id,
        account=account,
        service=service,
        service_identifier=owned,
        period=period,
        counting_period_id=period.pk,
        usage_class_id=udr.usage_class_id,
        plan=version.plan,
        version=version,
        rate=price,
        quantity=94,
        rated_quantity=94,
        bucket_quantity=10,
        tier_position=0,
        amount=Decimal("0.84"),
        currency="EUR",
        rated_at=MAY,
    )
    count(charge, bucket)
    refuse(udr)
    reprice(number, charge)
    return charge


def sell(number: int, usage_class: str) -> tuple[PlanVersion, Rate, Bucket]:
    """An active version of a plan, with a package of it, and the numbers of its rate and its bucket."""
    plan = RatePlan.objects.create(name=f"Plan {number}", currency="EUR")
    Package.objects.create(name=f"Package {number}", rate_plan=plan)
    tiers = [{"up_to": "100", "price": "0.01"}, {"up_to": None, "price": "0.005"}]
    priced = {"name": usage_class, "usage_class": usage_class, "model": "graduated", "tiers": tiers}
    document = {
        "name": plan.name,
        "currency": "EUR",
        "groups": [{"name": "Euro", "rates": [priced]}],
        "buckets": [{"name": "Included", "size": "10", "usage_classes": [usage_class]}],
    }
    version = PlanVersion.objects.create(
        plan=plan,
        number=1,
        document=document,
        status="active",
        starts_at=APRIL,
        created_at=APRIL,
        activated_at=APRIL,
    )
    price = Rate.objects.create(plan=plan, group="Euro", name=usage_class)
    return version, price, Bucket.objects.create(plan=plan, name="Included")


def subscribe(number: int, udr: Udr, plan: RatePlan) -> ServiceIdentifier:
    """An account with a service that owns the UDR's identifier; taxed, but for one category."""
    place = Jurisdiction.objects.create(name=f"Land {number}")
    code = TaxCode.objects.create(jurisdiction=place, category=f"category-{number}", name="VAT", starts_at=APRIL)
    TaxPart.objects.create(code=code, name="VAT", percent=20)
    ClassTaxCategory.objects.create(usage_class_id=udr.usage_class_id, category=code.category)
    account = Account.objects.create(
        number=f"A{number}", name=f"Account {number}", currency="EUR", rate_plan=plan, jurisdiction=place
    )
    TaxExemption.objects.create(account=account, category="books", certificate=f"X{number}", starts_at=APRIL)
    service = Service.objects.create(account=account, name=f"Line {number}", starts_at=APRIL)
    return ServiceIdentifier.objects.create(service=service, identifier=str(udr.udr_usage_identifier), starts_at=APRIL)


def bill(number: int, account: Account, udr: Udr, price: Rate) -> Statement:
    """The statement of April: one line, taxed."""
    period = BillingPeriod.objects.create(account=account, starts_at=APRIL, ends_at=MAY, status="closed", closed_at=MAY)
    statement = Statement.objects.create(
        period=period,
        number=number,
        issued_at=MAY,
        currency="EUR",
        amount=Decimal("0.5"),
        subtotal=Decimal("0.5"),
        tax_total=Decimal("0.1"),
        total=Decimal("0.6"),
    )
    StatementLine.objects.create(
        statement=statement,
        position=1,
        kind="usage",
        description=f"class-{number}, Euro",
        plan_id=price.plan_id,
        usage_class_id=udr.usage_class_id,
        rate=price,
        tier=1,
        tier_above=0,
        tier_up_to=100,
        jurisdiction=f"Land {number}",
        tax_category=f"category-{number}",
        record_count=1,
        quantity=50,
        rated_quantity=50,
        bucket_quantity=0,
        amount=Decimal("0.5"),
        line_amount=Decimal("0.5"),
    )
    StatementTax.objects.create(
        statement=statement,
        position=1,
        line=1,
        jurisdiction=f"Land {number}",
        category=f"category-{number}",
        code="VAT",
        name="VAT",
        percent=20,
        base=Decimal("0.5"),
        amount=Decimal("0.1"),
    )
    return statement


def count(charge: Charge, bucket: Bucket) -> None:
    """What the charge used up: 84 units of its tiers, and the bucket."""
    owner = {"account": charge.account, "service_id": charge.service_id}
    counter = {**owner, "period_id": charge.period_id, "rate": charge.rate, "key": ""}
    Counter.objects.create(**counter, level=94, held=0, position=84, records=1, at=charge.date, credit=0)
    SeenMember.objects.create(**counter, member="home")
    counted = {name: getattr(charge, name) for name in ("usage_class", "plan", "rate", "currency", *SUMS)}
    CountedPeriod.objects.create(period_id=charge.period_id, before=JUNE, counted_at=JUNE)
    CountedUsage.objects.create(
        **counted, period_id=charge.period_id, by_line=False, day=charge.date.date(), feed_id=1, record_count=1
    )
    grant = {**owner, "bucket": bucket, "starts_at": MAY}
    BucketGrant.objects.create(**grant, ends_at=JUNE, granted=10, carried=0, refills=0, used=10)
    BucketDraw.objects.create(
        charge_id=charge.pk, place=0, date=charge.date, kind="draw", **grant, quantity=10, amount=0, left=0
    )


def refuse(udr: Udr) -> RatingException:
    UdrBatch.objects.filter(import_id=udr.import_id).update(uncharged_count=1)
    group = {
        "feed_id": udr.feed_id,
        "cause": "no_rate_plan",
        "usage_class_id": udr.usage_class_id,
        "subject": "No plan.",
    }
    ExceptionRerate.objects.create(
        status="completed", feed_id=udr.feed_id, group=group, exception_count=3, tried_count=3, created_at=MAY
    )
    return RatingException.objects.create(
        udr_id=udr.pk,
        udr_date=udr.date,
        feed_id=udr.feed_id,
        import_id=udr.import_id,
        usage_class_id=udr.usage_class_id,
        cause="no_rate_plan",
        message="No rate plan.",
        value=94,
        identifier=udr.udr_usage_identifier,
        created_at=MAY,
        last_tried_at=MAY,
    )


def reprice(number: int, charge: Charge) -> Repricing:
    """A rerate that was worked out: the charge would cost a half more."""
    filters = {"account": charge.account_id, "plan": charge.plan_id, "from": MAY.isoformat()}
    asked = Repricing.objects.create(
        kind="rerate", status="shown", filters=filters, reason=f"reason {number}", created_at=MAY, shown_at=MAY
    )
    amounts = {"before": charge.amount, "after": Decimal("1.26"), "changed_count": 1, "refused_count": 0}
    what_if = {"kind": "what_if", "status": "shown", "filters": {}, "version": charge.version}
    Repricing.objects.create(**what_if, reason="why not", created_at=MAY, shown_at=MAY)
    RepricedAccount.objects.create(repricing=asked, account=charge.account, udr_count=1, is_done=True, **amounts)
    return asked
