"""Past usage priced again for many accounts: shown by account first, then, for a rerate, applied account by account."""

import traceback
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import polars as pl
from django.contrib.auth.models import User
from django.db import connection, transaction
from django.db.models import Case, F, Q, Value, When

from mediation import services as mediation
from mediation.core.spec import FaultySpecError
from mediation.models import UdrBatch
from mediation.services import acts, require_permission
from rating import selectors, store
from rating.core import repricing
from rating.core.matching import Book
from rating.core.plans.document import read_plan
from rating.core.tariffs import Version, price_list
from rating.models import Charge, PlanVersion, RepricedAccount, Repricing
from rating.services.exceptions import UnableToRerate
from rating.services.repricing import Repriced, apply, periods_together, reprice_periods

Status = Repricing.Status

AT_ONCE = 50_000  # UDRs of accounts that are worked on together; one account with more is worked on alone
ACCOUNTS_AT_ONCE = 5_000  # locked together; other workers take the next ones
MAX_ATTEMPTS = 3

FILTERS = ("account", "plan", "usage_class", "import", "from", "until")

NOT_RECKONED = "Commitments and tax are reckoned on the statement and are not in these figures."


class UnableToAskWhatIf(Exception):
    """The version cannot price anything yet, or there is no usage to price."""


@acts(why="reason")
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
    if _is_vain(asked):
        raise UnableToRerate("No usage that was charged fits. Widen the filter.")
    mediation.ring(name="rate", now=now)
    return asked


@acts()
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
    if _is_vain(asked):
        raise UnableToAskWhatIf(f"No usage of plan {version.plan} was charged then. Choose another time.")
    mediation.ring(name="rate", now=now)
    return asked


def left_out(*, plan_id: int | None, version_id: int | None) -> list[str]:
    """What the figures of a repricing leave out, in sentences: also which versions of its plan have commitments.

    Those are named of the version that is tried and of the active ones; none where every plan is asked for.
    """
    versions = PlanVersion.objects.filter(Q(status=PlanVersion.Status.ACTIVE) | Q(pk=version_id), plan=plan_id)
    numbers: dict[str, list[str]] = {}
    for number, said in versions.order_by("number").values_list("number", "document__commitments"):
        listed = said if isinstance(said, list) else []  # a draft may say anything there
        named = ", ".join(str(each["name"]) for each in listed if isinstance(each, dict) and "name" in each)
        if named:
            numbers.setdefault(named, []).append(str(number))
    return [NOT_RECKONED, *(_having(of, names) for names, of in numbers.items())]


def _having(numbers: Sequence[str], names: str) -> str:
    *others, last = numbers
    if others:
        return f"Versions {', '.join(others)} and {last} have commitments: {names}."
    return f"Version {last} has commitments: {names}."


def _known(filters: Mapping[str, Any]) -> dict[str, Any]:
    unknown = sorted(set(filters) - set(FILTERS))
    if unknown:
        raise UnableToRerate(f"Unknown filters: {', '.join(unknown)}. Known are {', '.join(FILTERS)}.")
    return {name: value for name, value in filters.items() if value not in (None, "")}


def _is_vain(asked: Repricing) -> bool:
    """Whether it is soon seen that no charge fits. One account is listed at once, many by the worker that begins."""
    if "account" in asked.filters:
        return not _list_accounts(asked)
    imported = asked.filters.get("import")
    if imported is not None and not UdrBatch.objects.filter(import_id=imported).exists():
        return True
    return not Charge.objects.exists()


def _list_accounts(asked: Repricing) -> int:
    with connection.cursor() as cursor:
        cursor.execute(store.accounts_charged(asked.filters, repricing_id=asked.pk))
        return cursor.rowcount


@acts()
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
    mediation.require_second_person(
        kind="void",
        act="apply_rerate",
        by=by,
        subject=("rating.Repricing", str(asked.pk)),
        arguments={"repricing": asked.pk},
        summary=f"Apply {asked}: charges are taken back and made anew. Its reason: {asked.reason}",
    )
    RepricedAccount.objects.filter(repricing=asked).update(
        is_done=False, before=None, after=None, changed_count=None, refused_count=None
    )
    mediation.ring(name="rate", now=now)


@acts()
@transaction.atomic
def retry_repricing(*, asked: Repricing, by: User | None, now: datetime) -> None:
    """Go on with a repricing that was parked as errored, with the accounts that are not done."""
    may = "rating.what_if" if asked.kind == Repricing.Kind.WHAT_IF else "rating.rerate_charge"
    require_permission(by, may)
    again = Case(When(shown_at__isnull=True, then=Value(Status.COUNTING)), default=Value(Status.WAITING))
    parked = Repricing.objects.filter(pk=asked.pk, status=Status.ERRORED)
    if not parked.update(status=again, attempts=0, error=""):
        raise UnableToRerate(f"{asked} is {asked.get_status_display()}: only what is errored can be tried again.")
    mediation.ring(name="rate", now=now)


def reprice_waiting(*, now: datetime) -> int:
    """Work on the next accounts of an unfinished repricing; returns how many, 0 where none waits for a worker.

    Each step is a transaction: the accounts are locked, priced, written and marked done, or nothing is. A step whose
    worker crashes or dies is tried three times, then its repricing is parked as errored with the trace.
    """
    asked = _claim(now)
    if asked is None:
        return 0
    try:
        by = asked.applied_by or asked.created_by
        with mediation.acting(by=by, why=asked.reason):
            count = _work(asked, now) if _is_listed(asked) else 0
        if not count:
            _left(asked)
        return count
    except Exception:
        _crashed(asked, traceback.format_exc())
        return 1
    finally:
        store.end_work(asked.pk)


@transaction.atomic
def _claim(now: datetime) -> Repricing | None:
    """The oldest unfinished repricing that no other worker applies.

    An attempt is counted before the work, as a worker that is killed tells nothing. Several may share in one repricing:
    while another session is at work on it, attempts say nothing yet.
    """
    unfinished = Repricing.objects.filter(status__in=(Status.COUNTING, Status.WAITING)).order_by("pk")
    while asked := unfinished.select_for_update(skip_locked=True).first():
        if not _is_worn(asked):
            break
        asked.error = asked.error or f"The worker died in each of {MAX_ATTEMPTS} attempts."
        asked.status = Status.ERRORED
        asked.save(update_fields=["status", "error"])
    else:
        return None
    Repricing.objects.filter(pk=asked.pk).update(attempts=F("attempts") + 1)
    if asked.status == Status.COUNTING:
        # What is only worked out locks no period, so that all workers may share in it.
        mediation.ring(name="rate", now=now)
    store.begin_work(asked.pk)
    return asked


def _is_worn(asked: Repricing) -> bool:
    return asked.attempts >= MAX_ATTEMPTS and store.is_deserted(asked.pk)


@transaction.atomic
def _left(asked: Repricing) -> None:
    """There was nothing to do, or another worker does it, whose end is not waited for: that was no attempt."""
    if _lock_free(asked):
        Repricing.objects.filter(pk=asked.pk, attempts__gt=0).update(attempts=F("attempts") - 1)


@transaction.atomic
def _crashed(asked: Repricing, trace: str) -> None:
    """Keep the trace of a crash, whose attempt was counted by its claim, and park what crashed too often."""
    crashed = Repricing.objects.select_for_update().get(pk=asked.pk)
    crashed.error = trace
    if crashed.status == asked.status and _is_worn(crashed):
        crashed.status = Status.ERRORED
    crashed.save(update_fields=["error", "status"])


@transaction.atomic
def _is_listed(asked: Repricing) -> bool:
    """List the accounts where that was left to the workers; False while another one does. Kept if the work fails."""
    if asked.status != Status.COUNTING or asked.accounts.exists():
        return True
    if not _lock_free(asked):
        return False
    if not asked.accounts.exists():  # else another worker listed them before we had the lock
        _list_accounts(asked)
    return True


def _lock_free(asked: Repricing) -> bool:
    """Lock the repricing, at the step that it was claimed at; False where another worker has the lock."""
    free = Repricing.objects.select_for_update(skip_locked=True).filter(pk=asked.pk, status=asked.status)
    return free.first() is not None


@transaction.atomic
def _work(asked: Repricing, now: datetime) -> int:
    is_applied = asked.status == Status.WAITING
    book = _book(asked)
    # One worker at a time applies: two would lock the periods of families in different orders. Nor do two share in what
    # families share, since it is worked out for a whole family at once.
    if (is_applied or book.prices.shares_in_families) and not _lock_free(asked):
        return 0
    # Two rerates that are applied at the same time would wait for each other's periods.
    if is_applied and not store.is_alone("rating_apply"):
        return 0
    accounts = _next_accounts(asked)
    if not Repricing.objects.filter(pk=asked.pk, status=asked.status).exists():
        return 0  # it came to its next step before we had the locks
    if not accounts:
        return _finish(asked, now)
    chosen = store.chosen_charges(asked.filters, accounts)
    if book.prices.shares_in_families:
        accounts += _others_of_families(asked, accounts, chosen)
        chosen = store.chosen_charges(asked.filters, accounts)
    worked_out = _reprice(chosen, book, now, is_applied=is_applied)
    if is_applied:
        apply(worked_out, now=now)
    _note(asked, accounts, worked_out, is_applied)
    Repricing.objects.filter(pk=asked.pk).update(attempts=0, error="")
    return len(accounts)


def _next_accounts(asked: Repricing) -> list[int]:
    """Lock accounts that no other worker has; those beyond what is worked on together are free again afterwards."""
    waiting = RepricedAccount.objects.filter(repricing=asked, is_done=False).order_by("pk")
    accounts: list[int] = []
    count = 0
    for account_id, udr_count in waiting.select_for_update(skip_locked=True).values_list("account_id", "udr_count")[
        :ACCOUNTS_AT_ONCE
    ]:
        count += udr_count
        if accounts and count > AT_ONCE:
            break
        accounts.append(account_id)
    return accounts


def _others_of_families(asked: Repricing, accounts: Sequence[int], chosen: pl.DataFrame) -> list[int]:
    """The accounts that wait and are of the same families."""
    beside = store.periods_beside(chosen["counting_period_id"].unique(), in_families=True)["account_id"].unique()
    waiting = RepricedAccount.objects.filter(repricing=asked, is_done=False, account__in=beside.to_list())
    return list(waiting.exclude(account__in=accounts).values_list("account_id", flat=True))


def _reprice(chosen: pl.DataFrame, book: Book, now: datetime, *, is_applied: bool) -> Repriced:
    period_ids = chosen["counting_period_id"].unique().to_list()
    return reprice_periods(
        periods=periods_together(period_ids, book=book, is_locked=is_applied),
        book=book,
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


def _note(asked: Repricing, accounts: Sequence[int], worked_out: Repriced, is_applied: bool) -> None:
    found = repricing.totals_by_account(worked_out.before, worked_out.priced.rated, worked_out.made.refused)
    listed = pl.DataFrame({"account_id": accounts}, schema={"account_id": pl.Int64})
    own = listed.join(found, on="account_id", how="left", maintain_order="left")
    others = found.join(listed, on="account_id", how="anti")
    store.note_accounts(asked.pk, own.with_columns(pl.exclude("account_id").fill_null(0)), is_applied=is_applied)
    store.note_other_accounts(asked.pk, others)


def _finish(asked: Repricing, now: datetime) -> int:
    """Nothing is left: worked out, or applied. 0 where others still work on accounts: the last of them finishes it."""
    if RepricedAccount.objects.filter(repricing=asked, is_done=False).exists():
        return 0
    ends = {"status": Status.SHOWN, "shown_at": now}
    if asked.status == Status.WAITING:
        ends = {"status": Status.APPLIED, "applied_at": now}
    totals = selectors.repriced_totals(asked)
    finished = Repricing.objects.filter(pk=asked.pk, status=asked.status)
    return finished.update(**ends, totals=totals, attempts=0, error="")
