"""The front page put together: the panels that a person may see, over the days that were chosen."""

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any, cast

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser, User
from django.urls import reverse

from config.approving.deciding import approvals_waiting
from config.dashboard import arrived, charged, figures, notice_screens, noticing, outstanding
from config.dashboard.value_at_risk import Estimates, estimates
from config.models import FigureRun, Notice
from ingestion.models import Feed, UsageImport
from mediation.admin import filters, marks
from mediation.models import DataProfile
from mediation.services import feeds_seen
from rating.models import Account, RatePlan

SPANS = (7, 30, 90)
USUAL_SPAN = 30
MOST_NOTICES = 8
KINDS = Notice.Kind.values  # a silent feed first: what does not come is what nobody sees


def panels(user: AbstractBaseUser | AnonymousUser, *, days: int, now: datetime) -> dict[str, Any]:
    """What `user` may see of the last `days` days; a panel that is not for this person is None."""
    by = cast(User, user)
    counted = figures.freshen(now=now)
    today = now.astimezone(UTC).date()
    first = today - timedelta(days=days - 1)
    sees = by.has_perm
    known = estimates() if sees("ingestion.view_importexception") or sees("rating.view_ratingexception") else None
    names = filters.NAMINGS["feed_id"].names()
    shown = {
        "spans": [(span, f"?days={span}", span == days) for span in SPANS],
        "days": days,
        "as_of": {key: marks.moment(at) if at else None for key, at in counted.items()},
        "at_risk_headers": ["records", "value"],
        "exception_headers": ["count", "value"],
        "class_headers": ["records", "quantity", "charged"],
        "account_headers": ["records", "charged"],
        "counting": [FigureRun.Key(key).label for key, at in counted.items() if at is None],
        "approvals": _approvals(by, now),
        **_arrived(by, names, first, today),
        **_outstanding(by, known, names, now),
        **_charged(by, days, first, today),
    }
    shown["first_steps"] = _first_steps(by) if not _has_usage(shown) else None
    return shown


def span_asked(text: str | None) -> int:
    """The span that an address asks for; the usual one where it asks for none that there is."""
    return next((span for span in SPANS if text == f"{span}"), USUAL_SPAN)


def _approvals(by: User, now: datetime) -> dict[str, Any] | None:
    """How many approvals wait for this person; None where none does."""
    if not by.has_perm("config.decide_approval"):
        return None
    count = approvals_waiting(by, now).count()
    return {"count": count, "url": marks.list_url("config_approval")} if count else None


def _arrived(by: User, names: Mapping[int, str], first: date, today: date) -> dict[str, Any]:
    notices = list(noticing.notices_open(by)) if by.has_perm("config.view_notice") else None
    imports = by.has_perm("ingestion.view_usageimport")
    return {
        "outcomes": arrived.outcomes_by_day(by, first=first, last=today) if imports else None,
        "hours": arrived.outcomes_by_hour(by, day=today) if imports else None,
        "sees_imports": imports,
        "feeds": arrived.feeds(by, notices or [], first=first, last=today) if imports else None,
        "last_imports": arrived.last_imports(by) if imports else None,
        "notices": None if notices is None else _notices(notices, names),
    }


def _notices(notices: list[Notice], names: Mapping[int, str]) -> dict[str, Any]:
    """Those that nobody has acknowledged come first; the others are told by their number alone."""
    fresh = [notice for notice in notices if notice.acknowledged_at is None]
    fresh.sort(key=lambda notice: KINDS.index(notice.kind))
    accounts = Account.objects.in_bulk([each.account_id for each in fresh[:MOST_NOTICES] if each.account_id])
    return {
        "rows": [
            {
                "kind": notice.get_kind_display(),
                "subject": _subject(notice, names, accounts),
                "text": notice.text,
                "since": marks.moment(notice.opened_at),
                "url": notice_screens.address(notice),
            }
            for notice in fresh[:MOST_NOTICES]
        ],
        "more": max(len(fresh) - MOST_NOTICES, 0),
        "acknowledged": len(notices) - len(fresh),
        "url": marks.list_url("config_notice", state="open"),
        "acknowledged_url": marks.list_url("config_notice", state="acknowledged"),
    }


def _subject(notice: Notice, names: Mapping[int, str], accounts: Mapping[int, Account]) -> str:
    """The feed or the account; a notice of webhooks has neither."""
    if notice.feed_id is not None:
        return names.get(notice.feed_id, f"feed {notice.feed_id}")
    if notice.account_id is not None:
        return str(accounts.get(notice.account_id, f"account {notice.account_id}"))
    return ""


def _outstanding(by: User, known: Estimates | None, names: Mapping[int, str], now: datetime) -> dict[str, Any]:
    def seen_with(permission: str, asked: Callable[[], dict[str, Any]]) -> dict[str, Any] | None:
        return asked() if known is not None and by.has_perm(permission) else None

    known = known or Estimates({}, {})
    refused = seen_with("ingestion.view_importexception", lambda: outstanding.import_exceptions(by, known, names, now))
    uncharged = seen_with("rating.view_ratingexception", lambda: outstanding.rating_exceptions(by, known, now))
    unrated = seen_with("mediation.view_udrbatch", lambda: outstanding.unrated(by, known))
    parts = {
        "UDRs not rated yet": unrated,
        "open import exceptions": refused,
        "open rating exceptions": uncharged,
    }
    return {
        "import_exceptions": refused,
        "rating_exceptions": uncharged,
        "at_risk": outstanding.at_risk(known, parts) if refused or uncharged else None,
        "waiting": outstanding.waiting(by, now) if by.has_perm("ingestion.view_usageimport") else None,
    }


def _charged(by: User, days: int, first: date, today: date) -> dict[str, Any]:
    if not by.has_perm("rating.view_charge"):
        return {"classes": None, "accounts": None, "sees_accounts": False}
    classes = charged.by_class(by, first=first, last=today)
    # Accounts have usage of every feed: they are for those who see every feed. They are counted by month.
    since = today.replace(day=1) if days <= USUAL_SPAN else first.replace(day=1)
    whole = feeds_seen(by) is None and by.has_perm("rating.view_account")
    return {"classes": classes, "accounts": charged.by_account(since=since) if whole else None, "sees_accounts": whole}


def _has_usage(shown: dict[str, Any]) -> bool:
    return bool(shown["outcomes"] or shown["last_imports"] or not shown["sees_imports"])


def _first_steps(by: User) -> list[dict[str, Any]]:
    """What leads an empty house to its first charge, step by step, and which steps are done."""
    steps = (
        (DataProfile, "Make a Data Profile from a sample of your usage", "mediation_dataprofile"),
        (Feed, "Set up a feed that reads with it", "ingestion_feed"),
        (UsageImport, "Upload a file at the feed, or post to its address", "ingestion_feed"),
        (RatePlan, "Say what usage costs, in a rate plan", "rating_rateplan"),
        (Account, "Say who pays: accounts, services and their identifiers", "rating_account"),
    )
    return [
        {"text": text, "url": reverse(f"admin:{model}_changelist"), "is_done": rows.objects.exists()}  # type: ignore[attr-defined]
        for rows, text, model in steps
        if by.has_perm(f"{model.partition('_')[0]}.view_{model.partition('_')[2]}")
    ]
