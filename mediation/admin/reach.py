"""Whose eyes a page of the admin is for: no link is shown that its reader may not follow."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import cache

from django.contrib import admin
from django.http import HttpRequest
from django.urls import Resolver404, resolve


@dataclass(frozen=True)
class _Reader:
    """Who asked for the page, and what was found out of the lists that he may see, by app and model."""

    request: HttpRequest
    sees: dict[str, bool] = field(default_factory=dict)


_reader: ContextVar[_Reader | None] = ContextVar("reader", default=None)


@contextmanager
def read_by(request: HttpRequest) -> Iterator[None]:
    """What is made inside is read by who asks; outside of any request links are shown to nobody, so all of them."""
    before = _reader.set(_Reader(request))
    try:
        yield
    finally:
        _reader.reset(before)


@cache
def _screens() -> dict[str, admin.ModelAdmin]:
    registered = admin.site._registry.items()
    return {f"{model._meta.app_label}_{model._meta.model_name}": screen for model, screen in registered}


def may_see(model: str) -> bool:
    """Whether the reader may see rows of a model, named as in ingestion_importexception."""
    reader, screen = _reader.get(), _screens().get(model)
    if reader is None or screen is None:
        return True
    if model not in reader.sees:
        reader.sees[model] = screen.has_view_permission(reader.request)
    return reader.sees[model]


def may_follow(address: str) -> bool:
    """Whether the reader may open an address that belongs to the rows of a model; others are not looked at."""
    try:
        name = resolve(address.partition("?")[0]).url_name or ""
    except Resolver404:
        return True
    models = [model for model in _screens() if name.startswith(f"{model}_")]
    return not models or may_see(max(models, key=len))
