"""The running server does what the API's document says: thousands of made-up requests, good, bad and in a row."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from urllib.request import urlopen

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.utils import timezone
from knox.models import AuthToken

from config import samples
from config.describing.document import document
from config.supervisor import web_command
from ingestion import services
from ingestion.models import Feed, ImportException, UsageImport, UsageVoid
from mediation.models import UdrKey
from rating import services as rating
from rating.models import Account, Charge, PlanVersion, Repricing
from tests.config.test_up import address_of_test_database, port, wait_until  # noqa: F401
from tests.ingestion.factories import work

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True, serialized_rollback=True)]

LEAST_CASES = 2_000
EXAMPLES = 12  # of an operation in a phase, at most
WORKERS = 1  # with several, Python 3.11 now and then fails to read source, which hypothesis does
MOST_SECONDS = 600
# Checks that are not made, each with its reason.
NOT_MADE = {
    # What is allowed by its schema may still meet a feed that reads something else, a closed period, or a name that
    # nobody bears: which of them it meets is told by 4xx codes that the document names, and that is checked.
    "positive_data_acceptance",
    # A void and a file on its way can end, and be taken away, by others.
    "ensure_resource_availability",
}

# Whatever is wrong is refused by a status of its own, such as 412 and 414, and never by a failure.
SETTINGS = """
[checks]
negative_data_rejection.expected-statuses = ["4xx"]
"""


@pytest.fixture
def world():
    """Two feeds with usage, charges, exceptions, voids, a rerate and a what-if: something behind every address."""
    now = timezone.now()
    samples.load_configuration(now=now)
    month = now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    rows, events = Feed.objects.get(api_name="rows"), Feed.objects.get(api_name="events")
    bad = "2026-02-30T00:00:00,Unknown,1,2,648-688-4180,5,False,False,voice,Voice_1,"
    body = json.loads(samples.sample_rows(month))
    for content in (json.dumps(body).encode(), json.dumps({"data": [bad] * 30}).encode()):
        services.receive_usage(feed=rows, body=content, idempotency_key=None, by=None, now=now)
    services.receive_usage(
        feed=events, body=json.dumps(some_events(month)).encode(), idempotency_key=None, by=None, now=now
    )
    work(now)
    while rating.rate_batches(now=timezone.now()):
        pass
    keys = list(UdrKey.objects.filter(feed_id=events.pk).values_list("key", flat=True)[:3])
    services.ask_void(feed=events, keys=keys[:1], reason="test usage", by=None, now=now)
    while services.void_next(now=timezone.now()):
        pass
    week = timedelta(days=7)
    backfill = services.open_backfill(
        feed=rows, starts_at=now - 2 * week, ends_at=now - week, reason="a lost week", by=None, now=now
    )
    rating.propose_rerate(filters={}, reason="a new price", by=None, now=now)
    version = PlanVersion.objects.get()
    rating.ask_what_if(version=version, filters={}, by=None, now=now)
    while rating.reprice_waiting(now=timezone.now()):
        pass
    return {
        "feed": ["rows", "events", str(rows.pk)],
        "tracking_id": [str(one.tracking_id) for one in UsageImport.objects.all()],
        "backfill": [str(backfill.tracking_id)],
        "void": [str(one.tracking_id) for one in UsageVoid.objects.all()],
        "exception": list(ImportException.objects.values_list("pk", flat=True)),
        "charge": list(Charge.objects.values_list("pk", flat=True)[:20]),
        "account": list(Account.objects.values_list("number", flat=True)),
        "rerate": list(Repricing.objects.filter(kind="rerate").values_list("pk", flat=True)),
        "what-if": list(Repricing.objects.filter(kind="what_if").values_list("pk", flat=True)),
        "reference": [*map(str, UsageImport.objects.values_list("pk", flat=True))],
        "version": [version.pk],
        "key": keys,
    }


def some_events(month):
    return [
        {
            "Date": month.isoformat(),
            "UdrIdentifierTypeName": "Unknown",
            "OriginatingIdentifier": "acct-100041",
            "TerminatingIdentifier": "endpoint",
            "UdrUsageIdentifier": f"event-{number}",
            "Value": 1,
            "Inbound": False,
            "UsageClassName": "API Requests",
            "UsageClassTypeName": "Requests",
        }
        for number in range(30)
    ]


@pytest.fixture
def token():
    """Of a service user who sees and may do everything, with no limit of its own."""
    robot = User.objects.create_user(username="robot", is_superuser=True)
    return AuthToken.objects.create(user=robot)[1]


@pytest.fixture
def server(world, port, tmp_path):  # noqa: F811
    """The web server as `up` starts it; no worker, so that what is sent stays as it was recorded."""
    place = f"127.0.0.1:{port}"
    environment = os.environ | {
        "DATABASE_URL": address_of_test_database(),
        "SLUICE_LOG_LEVEL": "ERROR",
        "SLUICE_PAYLOAD_DIR": str(tmp_path / "payloads"),
    }
    log = (tmp_path / "server.log").open("w")
    command = web_command(place)
    process = subprocess.Popen(
        command, cwd=settings.BASE_DIR, env=environment, stdout=log, stderr=log, start_new_session=True
    )
    try:
        wait_until(lambda: answers(f"http://{place}/healthz"))
        yield f"http://{place}"
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(30)
        log.close()


def answers(address):
    with suppress(OSError):
        return urlopen(address).status == 200  # noqa: S310 - our own
    return False


def with_what_is_here(world):
    """The document, with what there is to find among what its parameters and bodies may name."""
    told = json.loads(json.dumps(document()))
    for path, operations in told["paths"].items():
        for operation in operations.values():
            for parameter in operation.get("parameters", ()):
                if known := world.get(kind_of(path, parameter["name"])):
                    parameter["schema"] = either(known, parameter["schema"])
    for schema in told["components"]["schemas"].values():
        for name in ("account", "version"):
            if name in schema.get("properties", ()):
                schema["properties"][name] = either(world[name], schema["properties"][name])
    return told


def kind_of(path, name):
    """What a parameter names: an id is of what the path is about."""
    if name == "tracking_id":
        return next((kind for kind in ("void", "backfill") if f"/{kind}s/" in path), name)
    if name == "id":
        return next((kind for kind in ("exception", "charge", "rerate", "what-if") if f"/{kind}s/" in path), "")
    return name


def either(known, schema):
    return {"anyOf": [{"enum": known}, schema]}


def test_the_server_does_what_the_document_says(server, world, token, tmp_path):
    (tmp_path / "schemathesis.toml").write_text(SETTINGS)
    (tmp_path / "schema.json").write_text(json.dumps(with_what_is_here(world)))
    command = [
        *(str(Path(sys.executable).with_name("schemathesis")), "--no-color", "run", str(tmp_path / "schema.json")),
        *("--url", server, "--header", f"Authorization: Token {token}", "--workers", str(WORKERS)),
        *("--checks", "all", "--exclude-checks", ",".join(sorted(NOT_MADE))),
        *("--max-examples", str(EXAMPLES), "--mode", "all", "--phases", "examples,coverage,fuzzing,stateful"),
        *("--seed", os.environ.get("SLUICE_FUZZ_SEED", "20261120"), "--continue-on-failure", "--no-shrink"),
        *("--generation-database", "none", "--request-timeout", "30", "--suppress-health-check", "all"),
    ]
    started_at = time.monotonic()
    hooks = {"SCHEMATHESIS_HOOKS": "tests.config.lines_of_json", "PYTHONPATH": str(settings.BASE_DIR)}
    run = subprocess.run(
        command,
        cwd=tmp_path,
        env=os.environ | hooks,
        capture_output=True,
        text=True,
        timeout=MOST_SECONDS,
    )
    said = f"{run.stdout}\n{run.stderr}\n{(tmp_path / 'server.log').read_text()[-5_000:]}"
    print(said, f"{time.monotonic() - started_at:.0f} s")
    assert run.returncode == 0, said
    cases = int(re.search(r"([\d,]+) generated", run.stdout)[1].replace(",", ""))
    assert cases >= LEAST_CASES, f"only {cases} cases"
