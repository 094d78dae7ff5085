"""Fresh databases on the server of DATABASE_URL, or on the embedded one, each dropped when it is done with."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import psycopg
from psycopg import sql

from config.database import embedded


def url_of(name: str) -> str:
    """The address of database `name`, in the form of DATABASE_URL; it names the server even if that is embedded."""
    if given := os.environ.get("DATABASE_URL"):
        return urlsplit(given)._replace(path=f"/{name}").geturl()
    # From here on the embedded server lives as long as this process: those who get the address do not hold it.
    embedded.ensure_running()
    # A socket's folder cannot stand where a host name does.
    place = urlencode({"host": str(embedded.socket_dir()), "port": 5432})
    return f"postgres://{embedded.SUPERUSER}:@/{name}?{place}"


def connect(url: str) -> psycopg.Connection:
    """A connection of its own, each statement a transaction."""
    return psycopg.connect(url, autocommit=True, options="-c TimeZone=UTC")


@contextmanager
def fresh_database(purpose: str, template: str | None = None) -> Iterator[str]:
    """Make a database, a copy of `template` if that is named, and drop it in the end; yields its name."""
    name = f"sluice_{purpose}_{os.getpid()}"
    with connect(url_of("postgres")) as server:
        drop_left_databases(server, purpose)
        server.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(
                sql.Identifier(name), sql.Identifier(template or "template1")
            )
        )
    try:
        yield name
    finally:
        with connect(url_of("postgres")) as server:
            drop(server, name)


def drop(server: psycopg.Connection, name: str) -> None:
    server.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


def drop_left_databases(server: psycopg.Connection, purpose: str) -> None:
    """Drop the databases of runs that were killed: the number in the name is no living process."""
    for (name,) in server.execute("SELECT datname FROM pg_database").fetchall():
        owner = re.fullmatch(rf"sluice_{purpose}_(\d+)", name)
        if owner and not Path(f"/proc/{owner[1]}").exists():
            drop(server, name)
