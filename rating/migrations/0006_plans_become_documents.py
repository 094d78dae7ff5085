"""What the tables of groups, rates, tiers and buckets say becomes a version's document; balances become grants."""

from collections import defaultdict
from itertools import count

from django.db import migrations
from django.utils import timezone

from mediation.core.spec import FaultySpecError
from rating.core.plans.document import read_plan

# A reversal counts where its charge did; what a closed period had used up of its tiers and buckets stayed used up.
BACKFILL = """
UPDATE rating_charge c SET counting_period_id = period_id, version_id = v.id, plan_id = r.plan_id
FROM rating_rate r LEFT JOIN rating_planversion v ON v.plan_id = r.plan_id AND v.number = 1
WHERE r.id = c.rate_id;
UPDATE rating_charge r SET counting_period_id = c.period_id FROM rating_charge c
WHERE r.kind = 'reversal' AND c.id = r.id - 1 AND c.date = r.date AND c.period_id <> r.period_id;
INSERT INTO rating_counter (period_id, account_id, service_id, rate_id, key, level, held, position, records, at, credit)
SELECT t.period_id, p.account_id, t.service_id, t.rate_id, '', t.quantity, 0, t.quantity, 0, NULL, 0
FROM rating_tierposition t JOIN rating_billingperiod p ON p.id = t.period_id;
INSERT INTO rating_bucketgrant
    (bucket_id, account_id, service_id, starts_at, ends_at, granted, carried, refills, used)
SELECT b.bucket_id, p.account_id, b.service_id, p.starts_at, p.ends_at, greatest(k.size, b.used), 0, 0, b.used
FROM rating_bucketbalance b JOIN rating_billingperiod p ON p.id = b.period_id JOIN rating_bucket k ON k.id = b.bucket_id;
INSERT INTO rating_bucketdraw
    (charge_id, place, date, kind, bucket_id, account_id, service_id, starts_at, quantity, amount, "left")
SELECT c.id, 0, c.date, CASE WHEN c.kind = 'charge' THEN 'draw' ELSE 'give_back' END, c.bucket_id, c.account_id,
    c.service_id, p.starts_at, c.bucket_quantity, 0,
    greatest(k.size - sum(c.bucket_quantity) OVER (
        PARTITION BY c.period_id, c.service_id, c.bucket_id ORDER BY c.rated_at, c.date, c.id), 0)
FROM rating_charge c JOIN rating_billingperiod p ON p.id = c.period_id JOIN rating_bucket k ON k.id = c.bucket_id
WHERE c.bucket_quantity <> 0 AND c.counting_period_id = c.period_id;
INSERT INTO rating_statement (period_id, number, issued_at, currency, amount, subtotal, tax_total, total)
SELECT p.id, row_number() OVER (ORDER BY p.closed_at, p.id), p.closed_at, a.currency, coalesce(l.amount, 0),
    coalesce(l.subtotal, 0), 0, coalesce(l.subtotal, 0)
FROM rating_billingperiod p JOIN rating_account a ON a.id = p.account_id
LEFT JOIN (SELECT period_id, sum(amount) AS amount, sum(line_amount) AS subtotal FROM rating_statementline GROUP BY 1) l
    ON l.period_id = p.id
WHERE p.status = 'closed';
UPDATE rating_statementline l SET statement_id = s.id, description = c.name, position = l.id - f.first + 1
FROM rating_statement s, mediation_usageclass c, (SELECT period_id, min(id) AS first FROM rating_statementline GROUP BY 1) f
WHERE s.period_id = l.period_id AND c.id = l.usage_class_id AND f.period_id = l.period_id;
"""


def text(number):
    return format(number.normalize() if number else number, "f")


def moment(at):
    return at.isoformat().replace("+00:00", "Z") if at else None


def rate_document(rate, tiers):
    said = {"name": rate.name, "usage_class": rate.usage_class.name, "model": rate.model}
    if rate.price is not None:
        said["price"] = text(rate.price)
    if rate.minimum:
        said["minimum"] = text(rate.minimum)
    if rate.increment is not None:
        said["increment"] = text(rate.increment)
    if rate.model == "graduated":
        ordered = sorted(tiers, key=lambda tier: (tier.up_to is None, tier.up_to or 0))
        said["tiers"] = [
            {"up_to": None if tier.up_to is None else text(tier.up_to), "price": text(tier.price)} for tier in ordered
        ]
        if ordered and ordered[-1].up_to is not None:
            said["bounded"] = True
    return said


def group_document(group, name, rates):
    said = {"name": name, "rates": rates}
    if group.ends_at:
        said["ends_at"] = moment(group.ends_at)
    said["starts_at"] = moment(group.starts_at)
    if group.amount_precision != 11:
        said["amount_precision"] = group.amount_precision
    return said


def plans_of_currencies(apps, plan, groups):
    """The plan for its first currency, and a copy for each other one, taking its accounts and services along."""
    RatePlan = apps.get_model("rating", "RatePlan")
    currencies = list(dict.fromkeys(group.currency for group in groups)) or ["EUR"]
    plan.currency = currencies[0]
    plan.save(update_fields=["currency"])
    plans = {currencies[0]: plan}
    for currency in currencies[1:]:
        copy = RatePlan.objects.create(
            name=free_name(RatePlan, plan.name, currency), description=plan.description, currency=currency,
            is_default=plan.is_default,
        )
        plans[currency] = copy
        apps.get_model("rating", "Account").objects.filter(rate_plan=plan, currency=currency).update(rate_plan=copy)
        apps.get_model("rating", "Service").objects.filter(rate_plan=plan, account__currency=currency).update(
            rate_plan=copy
        )
    return plans


def free_name(plans, name, currency):
    """“Gold (USD)”, or “Gold (USD) 2” and so on where plans are called that already."""
    for number in count(1):
        free = f"{name[:180]} ({currency})" + (f" {number}" if number > 1 else "")
        if not plans.objects.filter(name=free).exists():
            return free


def inheriting(apps):
    """Accounts without a plan: (account, the account above it that has one)."""
    accounts = apps.get_model("rating", "Account").objects.only("parent_id", "rate_plan_id", "currency").in_bulk()
    for account in accounts.values():
        above, seen = account, set()
        while above.rate_plan_id is None and above.parent_id and above.pk not in seen:
            seen.add(above.pk)
            above = accounts[above.parent_id]
        if above is not account and above.rate_plan_id is not None:
            yield account, above


def keep_inherited(inherited, plans):
    """Who inherited a plan from an account of another currency gets the plan that this has become in its own."""
    of_plan = {plan.pk for plan in plans.values()}
    for account, above in inherited:
        above.refresh_from_db(fields=["rate_plan"])
        if above.rate_plan_id in of_plan and account.currency != above.currency and account.currency in plans:
            account.rate_plan = plans[account.currency]
            account.save(update_fields=["rate_plan"])


def write_documents(apps, schema_editor):
    RatePlan, Rate = apps.get_model("rating", "RatePlan"), apps.get_model("rating", "Rate")
    inherited = list(inheriting(apps))
    for plan in list(RatePlan.objects.order_by("pk")):
        groups = list(plan.groups.order_by("position"))
        plans = plans_of_currencies(apps, plan, groups)
        keep_inherited(inherited, plans)
        written = defaultdict(list)
        for group in groups:
            own = plans[group.currency]
            taken = {each["name"] for each in written[own.pk]}
            name = group.name if group.name not in taken else f"{group.name[:180]} at {group.position}"
            rates = []
            for rate in Rate.objects.filter(old_group=group).select_related("usage_class"):
                rate.plan, rate.group, rate.name = own, name, rate.usage_class.name
                rate.save(update_fields=["plan", "group", "name"])
                tiers = list(rate.tiers.all())
                # A graduated rate without tiers priced nothing: its usage was refused, and still is.
                if rate.model != "graduated" or tiers:
                    rates.append(rate_document(rate, tiers))
            if rates:
                written[own.pk].append(group_document(group, name, rates))
        for currency, own in plans.items():
            write_version(apps, plan, own, currency, written[own.pk], [g for g in groups if plans[g.currency] == own])


def write_version(apps, plan, own, currency, groups, old_groups):
    buckets = []
    for bucket in plan.buckets.order_by("pk"):
        if own.pk != plan.pk:
            copy = apps.get_model("rating", "Bucket").objects.create(plan=own, name=bucket.name, size=bucket.size)
            # What its accounts have drawn goes along, or they would be given the allowance of the month again.
            balances = apps.get_model("rating", "BucketBalance").objects.filter(bucket_id=bucket.pk)
            balances.filter(period__account__currency=currency).update(bucket_id=copy.pk)
            apps.get_model("rating", "Charge").objects.filter(bucket_id=bucket.pk, currency=currency).update(
                bucket_id=copy.pk
            )
        served = sorted(bucket.usage_classes.values_list("name", flat=True))
        priced = {rate["usage_class"] for group in groups for rate in group["rates"]}
        served = [name for name in served if name in priced]
        if served:
            buckets.append({"name": bucket.name, "size": text(bucket.size), "usage_classes": served})
    if not groups:
        return
    document = {"name": own.name, "currency": currency, "groups": groups}
    if buckets:
        document["buckets"] = buckets
    faults = faults_of(apps, document)
    note = f"Not active, for it has faults: {faults}" if faults else "As it stood before plans had versions."
    apps.get_model("rating", "PlanVersion").objects.create(
        plan=own, number=1, document=document, note=note if len(note) <= 200 else f"{note[:199]}…",
        status="draft" if faults else "active", starts_at=min(group.starts_at for group in old_groups),
        created_at=timezone.now(), activated_at=None if faults else timezone.now(),
    )


def faults_of(apps, document):
    """What keeps a document from pricing usage, in words; empty where nothing does.

    The old tables held what a document may not say. Workers read every active version, so one with faults would stop
    them all; as a draft it is mended and activated by hand, and its usage is refused until then.
    """
    classes = set(apps.get_model("mediation", "UsageClass").objects.values_list("name", flat=True))
    try:
        read_plan(document, usage_classes=classes)
    except FaultySpecError as faulty:
        return "; ".join(str(fault) for fault in faulty.faults)
    return ""


class Migration(migrations.Migration):
    dependencies = [("rating", "0005_plan_versions_counters_taxes")]

    operations = [
        migrations.RunPython(write_documents, migrations.RunPython.noop),
        migrations.RunSQL(BACKFILL, migrations.RunSQL.noop),
        # A rate of a group without plan cannot be: groups always had one. Rates that no document took along were unused.
        migrations.RunSQL("DELETE FROM rating_tier WHERE rate_id IN (SELECT id FROM rating_rate WHERE plan_id IS NULL)"),
        migrations.RunSQL("DELETE FROM rating_rate WHERE plan_id IS NULL"),
    ]
