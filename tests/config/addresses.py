"""Every address of the admin and the API, and how to open it on the crowd's first row of everything."""

from collections.abc import Iterator
from copy import copy
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from django.contrib import admin
from django.contrib.auth.models import User
from django.db import transaction
from django.test import Client
from django.urls import get_resolver
from knox.models import AuthToken

from config.models import SavedFilter
from ingestion.admin import groups as import_groups
from ingestion.models import Backfill, Feed, ImportException, UsageImport, UsageVoid
from rating.admin import groups as rating_groups
from rating.models import Account, Charge, RatingException, Repricing

# Django's own, which leave every other address below a list to its detail page, and a page of JavaScript's words.
PASSED_OVER = ("<path:object_id>/", "(?P<url>.*)$")

APP_LABEL = next(str(one.pattern) for one in admin.site.get_urls() if getattr(one, "name", "") == "app_list")
APP_LABEL = APP_LABEL.strip("^/$")
# What an address needs to be asked.
ASKED = {
    "api:usage-summary": lambda: f"?account={Account.objects.earliest('pk').number}",
    "admin:autocomplete": lambda: "?app_label=ingestion&model_name=feed&field_name=profile",
    "admin:filters": lambda: "?page=ingestion_usageimport_changelist",
    "admin:filter_save": lambda: "?page=ingestion_usageimport_changelist&query=status__exact%3Dfailed",
}


def _asked(name: str) -> str:
    """The query that an address needs: those about a group of exceptions name one."""
    if name in ASKED:
        return ASKED[name]()
    if name == "admin:fix_records" or "importexception_group_" in f"{name}_":
        refused = ImportException.objects.earliest("pk")
        return f"?{urlsplit(import_groups.group_url(import_groups.group_of(refused))).query}"
    if name == "admin:fix_usage" or "ratingexception_group_" in f"{name}_":
        uncharged = RatingException.objects.earliest("pk")
        return f"?{urlsplit(rating_groups.group_url(rating_groups.group_of(uncharged))).query}"
    return ""


@dataclass(frozen=True)
class Address:
    """A name as `reverse` takes it, the path as the resolver has it, and the names of its parts that vary."""

    name: str
    path: str
    parts: tuple[str, ...]


def addresses() -> list[Address]:
    """Every address that leads to a view, below what roots them."""
    return sorted(_walk(get_resolver().url_patterns, (), ""), key=lambda one: one.name)


def _walk(patterns: Any, spaces: tuple[str, ...], before: str) -> Iterator[Address]:
    for one in patterns:
        path = before + str(one.pattern)
        if hasattr(one, "url_patterns"):
            yield from _walk(one.url_patterns, (*spaces, *([one.namespace] if one.namespace else [])), path)
        elif str(one.pattern) not in PASSED_OVER:
            name = ":".join((*spaces, one.name)) if one.name else f"/{path}"
            yield Address(name, path, tuple(one.pattern.regex.groupindex) or _parts(path))


def _parts(path: str) -> tuple[str, ...]:
    return tuple(piece.partition(">")[0].rpartition(":")[2] for piece in path.split("<")[1:])


def fill(address: Address) -> str:
    """The path with the crowd's first rows in the place of what varies."""
    path = address.path.replace(APP_LABEL, "ingestion")
    for piece in path.split("<")[1:]:
        part = piece.partition(">")[0]
        path = path.replace(f"<{part}>", str(_value(address.name, part.rpartition(":")[2])), 1)
    return f"/{path.replace('^', '').replace('$', '')}{_asked(address.name)}"


def _value(name: str, part: str) -> Any:
    known: dict[str, Any] = {
        "feed": lambda: Feed.objects.earliest("pk").api_name,
        "tracking_id": lambda: _tracked(name).objects.earliest("pk").tracking_id,
        "import_id": lambda: UsageImport.objects.earliest("pk").pk,
        "account": lambda: Account.objects.earliest("pk").number,
        "reference": lambda: UsageImport.objects.earliest("pk").pk,
        "number": lambda: 1,
        "name": lambda: "june-1.csv",
        "verb": lambda: "write-off",
        "app_label": lambda: "ingestion",
    }
    if name == "admin:view_on_site":
        return 1
    if name.startswith("api:what-if"):
        return Repricing.objects.filter(kind="what_if").earliest("pk").pk
    return known[part]() if part in known else _model(name)._default_manager.order_by("pk").first().pk


def _tracked(name: str) -> Any:
    return UsageVoid if "void" in name else Backfill if "backfill" in name else UsageImport


def _model(name: str) -> Any:
    """The model whose row a name is about."""
    label = name.partition(":")[2]
    for model in admin.site._registry:
        if label.startswith(f"{model._meta.app_label}_{model._meta.model_name}_"):
            return model
    others = {
        "filter_delete": SavedFilter,
        "exception": ImportException,
        "charge": Charge,
        "rerate": Repricing,
    }
    found = [model for word, model in others.items() if word in label]
    assert found, f"{name} is about a thing that this test does not know: name its model here"
    return found[0]


def may(client: Client, path: str, method: str) -> bool:
    """Whether an address lets somebody in by GET or POST; whatever that did is taken back."""
    cookies = copy(client.cookies)  # signing out takes the session's away
    with transaction.atomic():
        answer = client.generic(method, path, content_type="application/x-www-form-urlencoded")
        transaction.set_rollback(True)
    client.cookies = cookies
    if answer.status_code in (301, 302):
        return not answer["Location"].startswith(("/admin/login", "/admin/?")) and answer["Location"] != "/admin/"
    return answer.status_code not in (401, 403, 404, 405)


def browser_of(user: User) -> Client:
    """A client signed in as `user` at both doors: by session, and by token."""
    client = Client(headers={"Authorization": f"Token {AuthToken.objects.create(user=user)[1]}"})
    client.force_login(user)
    return client
