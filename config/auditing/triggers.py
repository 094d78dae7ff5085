"""The triggers that write the audit, kept as `tables` says: looked at after each migrate, set anew if they differ."""

import hashlib
from typing import Any

from django.apps import apps
from django.db import DEFAULT_DB_ALIAS, connection, transaction
from django.db.models import Model

from config.auditing.tables import AUDITED, Audited

PREFIX = "audit_"
NAMES = {"insert": "NEW TABLE AS new_rows", "delete": "OLD TABLE AS old_rows"}
NAMES["update"] = f"{NAMES['delete']} {NAMES['insert']}"


def audited_models() -> dict[type[Model], Audited]:
    """The audited models, each with what is said of it."""
    by_label = {model._meta.label: model for model in apps.get_models(include_auto_created=True)}
    return {by_label[each.model]: each for each in AUDITED}


def audited_tables() -> frozenset[str]:
    return frozenset(model._meta.db_table for model in audited_models())


def set_triggers(**signal: Any) -> None:
    """Give every audited table the triggers that it should have, and those no longer listed none."""
    if signal.get("using", DEFAULT_DB_ALIAS) != DEFAULT_DB_ALIAS:
        return
    with transaction.atomic(), connection.cursor() as cursor:
        wanted = _wanted(_columns(cursor))
        cursor.execute(
            """
            SELECT tgrelid::regclass::text, tgname, obj_description(pg_trigger.oid, 'pg_trigger')
            FROM pg_trigger JOIN pg_proc ON pg_proc.oid = tgfoid WHERE proname = 'config_audit'
            """
        )
        found = {(table.strip('"'), name): mark for table, name, mark in cursor.fetchall()}
        for table, name in found.keys() - wanted.keys():
            cursor.execute(f'DROP TRIGGER {name} ON "{table}"')
        for (table, name), statement in wanted.items():
            mark = hashlib.sha256(statement.encode()).hexdigest()
            if found.get((table, name)) != mark:
                cursor.execute(f"{statement}; COMMENT ON TRIGGER {name} ON \"{table}\" IS '{mark}'")


def _columns(cursor: Any) -> dict[str, set[str]]:
    """The columns of each table, as they stand: in the middle of migrating to and fro, some are not there."""
    cursor.execute("SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'public'")
    columns: dict[str, set[str]] = {}
    for table, column in cursor.fetchall():
        columns.setdefault(table, set()).add(column)
    return columns


def _wanted(columns: dict[str, set[str]]) -> dict[tuple[str, str], str]:
    if "config_auditentry" not in columns:
        return {}
    return {
        (model._meta.db_table, f"{PREFIX}{operation}"): _trigger(model, said, operation)
        for model, said in audited_models().items()
        if model._meta.db_table in columns
        for operation in sorted({*said.operations, "truncate"})
    }


def _trigger(model: type[Model], said: Audited, operation: str) -> str:
    if operation == "truncate":
        rows = "FOR EACH STATEMENT"
    elif said.when:
        when = said.when.replace("{row}", "NEW" if operation == "insert" else "OLD")
        rows = f"FOR EACH ROW WHEN ({when})"
    else:
        rows = f"REFERENCING {NAMES[operation]} FOR EACH STATEMENT"
    arguments = ", ".join(f"'{each}'" for each in _arguments(model, said))
    return (
        f'CREATE OR REPLACE TRIGGER {PREFIX}{operation} AFTER {operation} ON "{model._meta.db_table}" '
        f"{rows} EXECUTE FUNCTION config_audit({arguments})"
    )


def _arguments(model: type[Model], said: Audited) -> list[str]:
    """The key's column, the silent columns, the hidden ones, the column that names the owner, and the owner's table.

    A sixth where there are any: the states that rows pass through. Three more where rows are brought from them to an
    end as a set: the column that names of what, its table, and the state.
    """
    owner: Any = model._meta.get_field(said.part_of) if said.part_of else None
    of_what: Any = model._meta.get_field(said.as_set[0]) if said.as_set else None
    return [
        said.key or str(model._meta.pk.column),
        f"{{{','.join(said.silent)}}}",
        f"{{{','.join(said.hidden)}}}",
        owner.column if owner else "",
        owner.related_model._meta.db_table if owner else "",
        *([f"{{{','.join(said.passing)}}}"] if said.passing else []),
        *([of_what.column, of_what.related_model._meta.db_table, said.as_set[1]] if of_what else []),
    ]
