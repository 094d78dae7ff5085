"""The roles of the house, as groups of Django: a migration makes them, and each migrate gives them what is said here.

Whoever needs another mix makes a group of another name; these are put right by the next migrate.

Who manages people and their roles is a superuser: a role that could make people could be its own second person.
"""

from typing import Any

from django.apps import apps

BILLING_ADMIN = "Billing admin"
OPERATOR = "Operator"
FINANCE = "Finance"
INTEGRATOR = "Integrator"
# For an Operator who is not limited to the feeds that he was granted.
EVERY_FEED = "Every feed"


def _may(verbs: str, models: str) -> frozenset[str]:
    """Permissions as app_label.codename. verbs: parted by spaces; models: app_label.model, parted by spaces."""
    return frozenset(
        f"{app}.{verb}_{model}" for app, model in (name.split(".") for name in models.split()) for verb in verbs.split()
    )


# What came in, what became of it, and what was charged: facts, which nobody edits.
_USAGE = (
    "ingestion.usageimport ingestion.importchunk ingestion.importexception"
    " ingestion.leftoutrecord ingestion.waitingpart"
)
_MEDIATED = "mediation.udr mediation.udrbatch"
_RATED = "rating.charge rating.ratingexception"
_VOIDED = "ingestion.usagevoid ingestion.backfill mediation.voidedudr"
_INSIDE = "ingestion.idempotencykey mediation.udrkey mediation.bell rating.counter rating.bucketgrant rating.bucketdraw"
_BILLED = "rating.billingperiod rating.statement rating.statementline rating.statementtax rating.repricing"
# What people set up.
_FEEDS = "ingestion.feed"
_PROFILES = (
    "mediation.dataprofile mediation.profileversion mediation.goldensample mediation.goldensamplechange"
    " mediation.usageclass mediation.usageclasstype mediation.identifiertype mediation.usageunit"
)
_LOOKUPS = "mediation.lookuptable mediation.lookuprow"
_PLANS = "rating.rateplan rating.planversion rating.package"
_PAYERS = "rating.account rating.service rating.serviceidentifier"
_TAXES = "rating.jurisdiction rating.taxcode rating.taxpart rating.taxexemption rating.classtaxcategory"
_SET_UP = " ".join((_FEEDS, "ingestion.feedgrant", _PROFILES, _LOOKUPS, _PLANS, _PAYERS, _TAXES))

_EXCEPTIONS_CLEARED = frozenset(
    {
        *_may("correct writeoff reprocess review", "ingestion.importexception"),
        *_may("rerate writeoff review", "rating.ratingexception"),
    }
)
_USAGE_TAKEN = _may("add reprocess", "ingestion.usageimport")
_EXPORTS = _may("view add", "config.exportjob")
_WEBHOOKS = _may("view add change delete send", "config.webhookendpoint") | _may(
    "view replay", "config.webhookdelivery"
)
_WATCHED = _may("view acknowledge", "config.notice")

ROLES: dict[str, frozenset[str]] = {
    BILLING_ADMIN: frozenset(
        {
            "ingestion.every_feed",
            *_may("view", " ".join((_USAGE, _MEDIATED, _RATED, _VOIDED, _INSIDE, _BILLED))),
            "ingestion.void_usage",
            "ingestion.backfill_usage",
            *_may("view add change delete", _SET_UP),
            *_USAGE_TAKEN,
            *_EXCEPTIONS_CLEARED,
            "rating.activate_planversion",
            "rating.close_billingperiod",
            "rating.add_bucketgrant",
            "rating.rerate_charge",
            "rating.what_if",
            *_may("view add delete", "knox.authtoken"),
            *_may("view", "auth.user auth.group config.auditentry config.reconciliation"),
            *_may("view decide", "config.approval"),
            *_WEBHOOKS,
            *_WATCHED,
            *_EXPORTS,
        }
    ),
    OPERATOR: frozenset(
        {
            *_may("view", " ".join((_USAGE, _MEDIATED, _RATED, _VOIDED, _INSIDE))),
            *_may("view", " ".join((_FEEDS, _PROFILES, _LOOKUPS, _PLANS, _PAYERS))),
            *_may("add change", _LOOKUPS),
            "rating.add_serviceidentifier",
            *_USAGE_TAKEN,
            *_EXCEPTIONS_CLEARED,
            *_may("view decide", "config.approval"),
            *_WATCHED,
            *_EXPORTS,
        }
    ),
    FINANCE: frozenset(
        {
            "ingestion.every_feed",
            *_may("view", " ".join((_USAGE, _MEDIATED, _RATED, _VOIDED, _BILLED))),
            *_may("view", " ".join((_FEEDS, _PLANS, _PAYERS, _TAXES, "mediation.usageclass rating.bucketgrant"))),
            *_may("view", "config.auditentry config.reconciliation config.approval config.notice"),
            *_EXPORTS,
        }
    ),
    INTEGRATOR: frozenset(
        {
            "ingestion.add_usageimport",
            *_may("view", "ingestion.usageimport ingestion.importexception mediation.udr rating.charge"),
        }
    ),
    EVERY_FEED: frozenset({"ingestion.every_feed"}),
}


def make_groups(registry: Any) -> None:
    """Make the groups that are missing; what they may is given after a migrate. registry: of models to use."""
    for name in ROLES:
        registry.get_model("auth", "Group").objects.get_or_create(name=name)


def grant_roles(**told: Any) -> None:
    """Give each group exactly the permissions of its role, those of new models too. told: by Django, of the migrate.

    Raises LookupError where a role names a permission that no model has.
    """
    from django.contrib.auth.management import create_permissions
    from django.contrib.auth.models import Group, Permission

    for label in ("auth", "knox", "mediation", "ingestion", "rating", "config"):
        create_permissions(apps.get_app_config(label), verbosity=0)
    known = {
        f"{one.content_type.app_label}.{one.codename}": one
        for one in Permission.objects.select_related("content_type").all()
    }
    for name, permissions in ROLES.items():
        if unknown := permissions - set(known):
            raise LookupError(f"the role {name} names permissions that do not exist: {', '.join(sorted(unknown))}")
        group, _ = Group.objects.get_or_create(name=name)
        group.permissions.set([known[permission] for permission in sorted(permissions)])
