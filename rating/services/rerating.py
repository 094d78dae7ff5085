"""Past usage priced again for many accounts: shown by account first, then, for a rerate, applied account by account."""

import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Any

import polars as pl
from django.contrib.auth.models import User
from django.db import connection, transaction

from mediation import services as mediation
from mediation.core.spec import FaultySpecError
from mediation.services import require_permission
from rating import store
from rating.core import repricing
from rating.core.matching import Book
from rating.core.plans.document import read_plan
from rating.core.tariffs import Version, price_list
from rating.models import PlanVersion, RepricedAccount, Repricing
from rating.services.exceptions import UnableToRerate
from rating.services.repricing import Repriced, apply, reprice_periods

Status = Repricing.Status

AT_ONCE = 100_000  # UDRs of accounts that are worked on together; one account with more is worked on alone
MAX_ATTEMPTS = 3

FILTERS = ("account", "plan", "usage_class", "import", "from", "until")


class UnableToAskWhatIf(Exception):
    """The version cannot price anything yet, or there is no usage to price."""


@transaction.atomic
def propose_rerate(*, filters: Mapping[str, Any], reason: str, by: User | None, now: datetime) -> Repricing:
    """Begin to work out what rating usage again would change; nothing is changed before `apply_rerate`.

    filters: account, plan, usage_class (ids), import (id), from, until (moments of the usage, ISO 8601), each or none.
    """
    require_permission(by, "rating.rerate_charge")
    if not reason.strip():
        raise UnableToRerate("A rerate needs a reason. Say what was wrong, or what has changed.")
    asked = Repricing.objects.create(
        kind=Repricing.Kind.RERATE, filters=_known(filters), reason=reason.strip(), created_at=now, created_by=by
    )
    if not _list_accounts(asked):
        raise UnableToRerate("No usage that was charged fits. Widen the filter.")
    mediation.ring(name="rate", now=now)
    return asked


@transaction.atomic
def ask_what_if(*, version: PlanVersion, filters: Mapping[str, Any], by: User | None, now: datetime) -> Repricing:
    """Begin to work out what past usage of the version's plan would have cost by it; no charge is ever changed."""
    require_permission(by, "rating.what_if")
    try:
        read_plan(version.document)
    except FaultySpecError as faulty:
        raise UnableToAskWhatIf(f"{version} has faults: " + "; ".join(map(str, faulty.faults))) from None
    asked = Repricing.objects.create(
        kind=Repricing.Kind.WHAT_IF,
        version=version,
        filters={**_known(filters), "plan": version.plan_id},
        created_at=now,
        created_by=by,
    )
    if not _list_accounts(asked):
        raise UnableToAskWhatIf(f"No usage of plan {version.plan} was charged then. Choose another time.")
    mediation.ring(name="rate", now=now)
    return asked


def _known(filters: Mapping[str, Any]) -> dict[str, Any]:
    unknown = sorted(set(filters) - set(FILTERS))
    if unknown:
        raise UnableToRerate(f"Unknown filters: {', '.join(unknown)}. Known are {', '.join(FILTERS)}.")
    return {name: value for name, value in filters.items() if value not in (None, "")}


def _list_accounts(asked: Repricing) -> int:
    with connection.cursor() as cursor:
        cursor.execute(store.accounts_charged(asked.filters, repricing_id=asked.pk))
        return cursor.rowcount


@transaction.atomic
def apply_rerate(*, asked: Repricing, by: User | None, now: datetime) -> None:
    """Let a rerate that was worked out take effect: charges are reversed and made anew, closed periods adjusted."""
    require_permission(by, "rating.rerate_charge")
    changed = Repricing.objects.filter(pk=asked.pk, kind=Repricing.Kind.RERATE, status=Status.SHOWN).update(
        status=Status.WAITING, applied_by=by, attempts=0
    )
    if not changed:
        asked.refresh_from_db()
        raise UnableToRerate(f"{asked} is {asked.get_status_display()}: only what is worked out can be applied.")
    RepricedAccount.objects.filter(repricing=asked).update(is_done=False)
    mediation.ring(name="rate", now=now)


def reprice_waiting(*, now: datetime) -> int:
    """Work on the next accounts of an unfinished repricing; returns how many, 0 where none waits.

    Each step is a transaction: the accounts are locked, priced, written and marked done, or nothing is. A step that
    crashes is tried three times, then its repricing is parked as errored with the trace.
    """
    asked = Repricing.objects.filter(status__in=(Status.COUNTING, Status.WAITING)).order_by("pk").first()
    if asked is None:
        return 0
    Repricing.objects.filter(pk=asked.pk).update(attempts=asked.attempts + 1)
    try:
        return _work(asked, now)
    except Exception:
        parked = {"status": Status.ERRORED} if asked.attempts + 1 >= MAX_ATTEMPTS else {}
        Repricing.objects.filter(pk=asked.pk).update(error=traceback.format_exc(), **parked)
        return 1


@transaction.atomic
def _work(asked: Repricing, now: datetime) -> int:
    # One worker at a time: two would lock the periods of families in different orders.
    asked = Repricing.objects.select_for_update(skip_locked=True, of=("self",)).filter(pk=asked.pk).first() or asked
    accounts = _next_accounts(asked)
    if not accounts:
        _finish(asked, now)
        return 1
    chosen = store.chosen_charges(asked.filters, [each.account_id for each in accounts])
    worked_out = _reprice(asked, chosen, now)
    if asked.status == Status.WAITING:
        apply(worked_out, now=now)
    _note(accounts, worked_out)
    Repricing.objects.filter(pk=asked.pk).update(attempts=0, error="")
    return len(accounts)


def _next_accounts(asked: Repricing) -> list[RepricedAccount]:
    accounts: list[RepricedAccount] = []
    count = 0
    for account in RepricedAccount.objects.filter(repricing=asked, is_done=False).order_by("pk")[:AT_ONCE]:
        count += account.udr_count
        if accounts and count > AT_ONCE:
            break
        accounts.append(account)
    return accounts


def _reprice(asked: Repricing, chosen: pl.DataFrame, now: datetime) -> Repriced:
    is_applied = asked.status == Status.WAITING
    period_ids = chosen["counting_period_id"].unique().to_list()
    periods = store.lock_periods(period_ids) if is_applied else store.periods_known(period_ids)
    return reprice_periods(
        periods=periods,
        book=_book(asked),
        now=now,
        chosen=chosen["udr_id"].unique().to_list(),
        is_locked=is_applied,
    )


def _book(asked: Repricing) -> Book:
    """Prices as they stand, or as they would with the draft in place of all versions of its plan."""
    known = store.book()
    if asked.version is None:
        return known
    version = asked.version
    said = read_plan(version.document)
    names = [(group.name, rate.name) for group in (*said.groups, *said.cost_groups) for rate in group.rates]
    # What the plan does not have yet gets a number that nothing stored has.
    new_rates = {name: -place for place, name in enumerate(names, start=1)}
    new_buckets = {bucket.name: -place for place, bucket in enumerate(said.buckets, start=1)}
    imagined = Version(
        version_id=version.pk,
        plan_id=version.plan_id,
        starts_at=None,
        ends_at=None,
        plan=said,
        rate_ids={**new_rates, **store.rate_ids_of(version.plan_id)},
        bucket_ids={**new_buckets, **store.bucket_ids_of(version.plan_id)},
    )
    others = [each for each in known.prices.versions if each.plan_id != version.plan_id]
    return replace(known, prices=price_list([*others, imagined], known.prices.class_ids))


@dataclass(frozen=True)
class Totals:
    """What an account's usage came to before and after, and what of it changed."""

    before: Decimal
    after: Decimal
    changed: int
    refused: int


def _note(accounts: Sequence[RepricedAccount], worked_out: Repriced) -> None:
    sums = {
        row["account_id"]: Totals(row["before"], row["after"], row["changed"], row["refused"])
        for row in repricing.totals_by_account(
            worked_out.before, worked_out.priced.rated, worked_out.made.charged, worked_out.made.refused
        ).iter_rows(named=True)
    }
    nothing = Totals(Decimal(0), Decimal(0), 0, 0)
    for account in accounts:
        found = sums.pop(account.account_id, nothing)
        _set(account, found)
    RepricedAccount.objects.bulk_update(accounts, ["before", "after", "changed_count", "refused_count", "is_done"])
    _note_others(accounts[0].repricing_id, sums)


def _note_others(repricing_id: int, sums: Mapping[int, Totals]) -> None:
    """Accounts that the usage of others is charged to now."""
    for account_id, found in sums.items():
        row, _ = RepricedAccount.objects.get_or_create(
            repricing_id=repricing_id, account_id=account_id, defaults={"udr_count": 0, "is_done": True}
        )
        _set(row, found)
        row.save(update_fields=["before", "after", "changed_count", "refused_count", "is_done"])


def _set(account: RepricedAccount, found: Totals) -> None:
    account.before, account.after = found.before, found.after
    account.changed_count, account.refused_count, account.is_done = found.changed, found.refused, True


def _finish(asked: Repricing, now: datetime) -> None:
    if asked.status == Status.COUNTING:
        Repricing.objects.filter(pk=asked.pk).update(status=Status.SHOWN, shown_at=now, attempts=0, error="")
    else:
        Repricing.objects.filter(pk=asked.pk).update(status=Status.APPLIED, applied_at=now, attempts=0, error="")
