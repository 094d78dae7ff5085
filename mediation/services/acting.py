"""Who acts, how and why: kept beside the work, and told to the database with each statement that changes something.

The database's triggers write the audit. They learn who it was from settings that live as long as the transaction, sent
in front of the statement itself: no round trip more, nothing to take back after an aborted transaction, and nothing
left on a connection for whoever uses it next.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from django.contrib.auth.models import AnonymousUser, User
from django.db import connection, transaction
from psycopg.sql import Composable

HOUSE = "the house"
COMMAND_LINE = "command line"
WORKER = "worker"
WRITES = re.compile(r'\b(?:INSERT\s+INTO|UPDATE|DELETE\s+FROM|MERGE\s+INTO)\s+(?:ONLY\s+)?"?(\w+)', re.IGNORECASE)

Who = Callable[[], User | AnonymousUser | None]
P = ParamSpec("P")
R = TypeVar("R")


@dataclass
class Deed:
    """What somebody is at: who (asked only when something is written), why, who agreed, by which request and door."""

    who: Who = lambda: None
    why: str = ""
    agreed: str = ""
    request_id: Callable[[], str] = str
    source: str = COMMAND_LINE


_deed: ContextVar[Deed | None] = ContextVar("deed", default=None)


@contextmanager
def acting(*, by: User | None, why: str = "", agreed: str = "") -> Iterator[None]:
    """Have what is written inside entered as the deed of `by`, for this reason; deeds nest, the inner one counts.

    by: None is whoever acts already, or else the house. why: empty keeps the reason that was given outside.
    agreed: who agreed to it, said beside whatever reason is given inside.
    """
    around = _deed.get() or Deed()
    who = around.who if by is None else lambda: by
    before = _deed.set(replace(around, who=who, why=why or around.why, agreed=agreed or around.agreed))
    try:
        yield
    finally:
        _deed.reset(before)


@contextmanager
def coming_by(*, source: str, who: Who, request_id: Callable[[], str] = str) -> Iterator[None]:
    """A door: what is written inside came by it. `who` and `request_id` are asked only when something is written."""
    before = _deed.set(Deed(who=who, request_id=request_id, source=source))
    try:
        yield
    finally:
        _deed.reset(before)


def acts(*, why: str = "") -> Callable[[Callable[P, R]], Callable[P, R]]:
    """A service whose `by` acts; why: the name of the argument that holds the reason, where it takes one."""

    def decorate(service: Callable[P, R]) -> Callable[P, R]:
        @wraps(service)
        def serve(*args: P.args, **kwargs: P.kwargs) -> R:
            given: dict[str, Any] = kwargs
            with acting(by=given.get("by"), why=given.get(why) or ""):
                return service(*args, **kwargs)

        return serve

    return decorate


def note_reason(why: str) -> None:
    """Give the request or task at hand a reason, once it is known. Outside of any there is nothing to note it on."""
    if deed := _deed.get():
        deed.why = why


def request_at_hand() -> str:
    """The id of the web request that this is done for; empty for a worker's task or at the command line."""
    deed = _deed.get()
    return "" if deed is None or deed.source in (COMMAND_LINE, WORKER) else deed.request_id()


def settings_of_deed() -> dict[str, str]:
    """What the database is told, by the name of the setting."""
    deed = _deed.get() or Deed()
    user = deed.who()
    is_known = user is not None and user.pk is not None
    return {
        "sluice.actor": str(user.pk) if user is not None and is_known else "",
        "sluice.actor_name": user.get_username() if user is not None and is_known else HOUSE,
        "sluice.why": " ".join(filter(None, (deed.why, deed.agreed))),
        "sluice.request": deed.request_id(),
        "sluice.source": deed.source,
    }


def tell_database() -> None:
    """Say who acts, for the rest of this transaction: before a COPY, which `teller` does not see."""
    with connection.cursor() as cursor:
        cursor.execute(_telling())


def teller(tables: frozenset[str]) -> Callable[..., Any]:
    """A wrapper of a connection's statements that has those which write to `tables` say whose deed they are.

    Both go to the server as one message, and outside of a transaction they are one there.
    """

    def tell(execute: Callable[..., Any], statement: Any, params: Any, many: bool, context: dict[str, Any]) -> Any:
        text = statement.as_string(context["connection"].connection) if isinstance(statement, Composable) else statement
        if not isinstance(text, str) or tables.isdisjoint(name.lower() for name in WRITES.findall(text)):
            return execute(statement, params, many, context)
        if many:
            with transaction.atomic(using=context["connection"].alias):
                context["cursor"].cursor.execute(_telling())
                return execute(statement, params, many, context)
        said = _telling()
        result = execute(f"{said.replace('%', '%%') if params is not None else said};{text}", params, many, context)
        context["cursor"].nextset()
        return result

    return tell


def _telling() -> str:
    calls = (f"set_config('{name}', {_quoted(value)}, true)" for name, value in settings_of_deed().items())
    return f"SELECT {', '.join(calls)}"


def _quoted(text: str) -> str:
    """A text as a literal that holds whatever the server's setting for backslashes is."""
    kept = text.replace("\0", "␀").replace("'", "''").replace("\\", "\\\\")
    return f" E'{kept}'"
