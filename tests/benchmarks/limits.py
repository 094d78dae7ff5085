"""The limit: a bare COPY of the very rows that were finished into plain tables of the same columns and uniqueness.

Nothing is read, thought or checked: bytes that lie ready go through one connection into one empty table.
"""

import time
from pathlib import Path

import psycopg

BLOCK_BYTES = 1 << 20

# A table in which what mediation wrote into two stands together: each UDR, its key, its content's hash.
UDR_LIMIT = """
CREATE TABLE limit_udr (LIKE mediation_udr, key text COLLATE "C" NOT NULL, content_hash uuid NOT NULL);
ALTER TABLE limit_udr ADD PRIMARY KEY (id), ADD UNIQUE (feed_id, key)
"""
UDR_ROWS = """
SELECT u.*, k.key, k.content_hash FROM mediation_udr u JOIN mediation_udrkey k ON k.udr_id = u.id ORDER BY u.id
"""
# The order is the one in which they were written.
CHARGE_LIMIT = """
CREATE TABLE limit_charge (LIKE rating_charge);
ALTER TABLE limit_charge ADD PRIMARY KEY (id, date);
CREATE INDEX ON limit_charge (period_id)
"""
CHARGE_ROWS = "SELECT * FROM rating_charge"

LIMITS = {"limit_udr": (UDR_LIMIT, UDR_ROWS), "limit_charge": (CHARGE_LIMIT, CHARGE_ROWS)}


def prepare_rows(connection: psycopg.Connection, table: str, folder: Path) -> Path:
    """Write the finished rows for `table` to a file, as COPY reads them."""
    path = folder / table
    with path.open("wb") as file, connection.cursor() as cursor:
        # Neither the order nor the join of a million rows is to run into a small machine's limits.
        cursor.execute("SET work_mem = '256MB'")
        with cursor.copy(f"COPY ({LIMITS[table][1]}) TO STDOUT (FORMAT binary)") as copy:
            for block in copy:
                file.write(block)
    return path


def time_copy(connection: psycopg.Connection, table: str, path: Path) -> tuple[float, int]:
    """COPY a prepared file into a new, empty `table`; seconds and rows."""
    connection.execute(LIMITS[table][0])
    connection.execute("CHECKPOINT")
    # Once through the file, so that its bytes lie in memory.
    with path.open("rb") as file:
        while file.read(BLOCK_BYTES):
            pass
    started = time.perf_counter()
    with path.open("rb") as file, connection.cursor() as cursor:
        with cursor.copy(f"COPY {table} FROM STDIN (FORMAT binary)") as copy:
            while block := file.read(BLOCK_BYTES):
                copy.write(block)
        rows = cursor.rowcount
    seconds = time.perf_counter() - started
    connection.execute(f"DROP TABLE {table}")
    return seconds, rows
