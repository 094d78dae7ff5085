"""What every test finds: a database of this run's own, quick passwords, and payloads that go to a temporary folder."""

import json
import os
import re
from pathlib import Path
from unittest.mock import patch

import pytest
from django.apps import apps
from django.conf import settings
from django.db import connection
from django.db.models.signals import post_migrate
from django.test.utils import override_settings

from config.auditing.triggers import audited_tables
from mediation.services import bells

DATABASE_FIXTURES = {"db", "transactional_db", "django_db_setup", "admin_client", "admin_user", "live_server"}


def pytest_addoption(parser):
    parser.addoption("--database-only", action="store_true", help="only the tests that use a database")


def pytest_xdist_auto_num_workers(config):
    """The whole suite runs on every core; a few tests are done before a second process has made its database."""
    is_whole = config.args == config.getini("testpaths") and not config.option.keyword
    return os.cpu_count() if is_whole and config.option.markexpr == "not slow" else 0


def pytest_collection_modifyitems(config, items):
    """Leave out, where that is asked for, what one server cannot do otherwise than another."""
    if not config.getoption("--database-only"):
        return
    using = [
        item
        for item in items
        if item.get_closest_marker("django_db") or DATABASE_FIXTURES & set(getattr(item, "fixturenames", ()))
    ]
    config.hook.pytest_deselected(items=[item for item in items if item not in set(using)])
    items[:] = using


@pytest.fixture(scope="session")
def django_db_modify_db_settings(django_db_blocker):
    """Name the test database after this process, so that two runs at once do not drop each other's."""
    settings.DATABASES["default"]["TEST"]["NAME"] = f"test_sluice_{os.getpid()}"
    with django_db_blocker.unblock():
        drop_left_databases()


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup, django_db_blocker):
    """Let tests empty the tables: what keeps the audit whole, and enters emptied tables in it, would stop that."""
    with django_db_blocker.unblock(), connection.cursor() as cursor:
        cursor.execute("ALTER TABLE config_auditentry DISABLE TRIGGER keep_audit_whole")
        for table in sorted(audited_tables()):
            cursor.execute(f'ALTER TABLE "{table}" DISABLE TRIGGER audit_truncate')
    # Emptied tables stay so until a test restores them: groups that came by themselves would stand in its way.
    post_migrate.disconnect(sender=apps.get_app_config("config"), dispatch_uid="roles")
    # What a test restores from: entries of the audit, as migrating made them, could not be written again.
    if not hasattr(connection, "_test_serialized_contents"):
        return
    rows = json.loads(connection._test_serialized_contents)
    connection._test_serialized_contents = json.dumps([row for row in rows if row["model"] != "config.auditentry"])


def drop_left_databases():
    """Drop the databases of runs that were killed."""
    with connection._nodb_cursor() as cursor:
        cursor.execute(r"SELECT datname FROM pg_database WHERE datname ~ '^test_sluice_(old_)?\d+$'")
        for (name,) in cursor.fetchall():
            if not Path(f"/proc/{re.sub(r'.*_', '', name)}").exists():
                cursor.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


@pytest.fixture(scope="session", autouse=True)
def quick_and_apart(tmp_path_factory):
    # Tests call what a worker does; whether more comes they know.
    with (
        patch.object(bells, "LINGER_SECONDS", 0.0),
        override_settings(
            PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],
            MEDIA_ROOT=str(tmp_path_factory.mktemp("payloads")),
            WHITENOISE_USE_FINDERS=False,  # it would look up each static file for every client
        ),
    ):
        yield
