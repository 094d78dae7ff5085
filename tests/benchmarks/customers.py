"""In a database that holds many charges: how quick is what a customer's own page asks for a busy account?"""

import statistics
import time
from datetime import datetime, timedelta
from typing import Any

import psycopg

MUST_MS, AIM_MS = 200, 100  # the slowest but for one in twenty accounts
BUSY = 42  # accounts; a multiple of the time zones, so that whose usage one is given lives in its own
SHARE = 25  # how many others' usage each of them is given
QUESTIONS = ("day,class", "class", "day,class,service")

GIVE = """
WITH ranked AS (SELECT id, row_number() OVER (ORDER BY id) - 1 AS place FROM rating_account),
given AS (
    SELECT p.id AS period_id, q.id AS busy_period_id, b.id AS account_id
    FROM ranked a JOIN ranked b ON b.place = a.place %% %(busy)s AND a.place >= %(busy)s AND a.place < %(last)s
    JOIN rating_billingperiod p ON p.account_id = a.id
    JOIN rating_billingperiod q ON q.account_id = b.id AND q.starts_at = p.starts_at
)
UPDATE rating_charge c
SET account_id = given.account_id, period_id = given.busy_period_id, counting_period_id = given.busy_period_id
FROM given WHERE c.period_id = given.period_id
"""


def make_busy(database: psycopg.Connection) -> None:
    """Give the first accounts the charges of many others, and count them beforehand as workers do."""
    from django.utils import timezone

    from rating import services

    database.execute(GIVE, {"busy": BUSY, "last": BUSY * (SHARE + 1)})
    database.execute("VACUUM (ANALYZE) rating_charge")
    services.find_busy_periods()
    while services.count_next_period(now=timezone.now()):
        pass
    database.execute("VACUUM (ANALYZE) rating_countedusage, rating_countedperiod")


def ask_for_usage(now: datetime) -> dict[str, dict[str, float]]:
    """Milliseconds by question, of half the busy accounts (p50) and of all but one in twenty (p95), each asked once."""
    from django.contrib.auth.models import User
    from rest_framework.test import APIClient

    from rating.models import Account

    client = APIClient()
    client.force_authenticate(User.objects.create(username="customer page", is_superuser=True))
    numbers = list(Account.objects.order_by("pk").values_list("number", flat=True)[:BUSY])
    told = {}
    for span, days in (("month", 31), ("year", 365)):
        since, until = (now - timedelta(days=days)).date(), now.date()
        for by in QUESTIONS:
            addresses = [f"/api/v1/accounts/{number}/usage?from={since}&to={until}&by={by}" for number in numbers]
            told[f"a {span} by {by}"] = _shares([_took(client, address) for address in addresses])
    told["balances"] = _shares([_took(client, f"/api/v1/accounts/{number}/balances") for number in numbers])
    return told


def _took(client: Any, address: str) -> float:
    started = time.perf_counter()
    answer = client.get(address)
    taken = 1_000 * (time.perf_counter() - started)
    assert answer.status_code == 200, f"{address} answered {answer.status_code}"
    return taken


def _shares(taken: list[float]) -> dict[str, float]:
    return {"p50": statistics.median(taken), "p95": statistics.quantiles(taken, n=20)[-1]}
