"""Settings in production: Django's own deployment check has nothing to say, and secrets stay."""

import os
import stat
import subprocess
import sys

from django.conf import settings
from django.urls import reverse

PRODUCTION = {
    "SLUICE_HTTPS": "1",
    "ALLOWED_HOSTS": "sluice.example",
    "DATABASE_URL": "postgres://nobody@127.0.0.1:1/none",
}


def run(*arguments, **environment):
    command = [sys.executable, *arguments]
    return subprocess.run(
        command, cwd=settings.BASE_DIR, env=os.environ | environment, capture_output=True, text=True, check=False
    )


def test_the_deployment_check_is_clean():
    checked = run("manage.py", "check", "--deploy", "--fail-level", "WARNING", **PRODUCTION)
    assert checked.returncode == 0, checked.stderr


def test_the_deployment_check_can_fail():
    checked = run("manage.py", "check", "--deploy", "--fail-level", "WARNING", **PRODUCTION | {"SLUICE_HTTPS": "0"})
    assert checked.returncode != 0


def test_the_secret_key_is_made_once_and_only_its_owner_reads_it(tmp_path):
    show = "from config import settings; print(settings.SECRET_KEY)"
    environment = {"SLUICE_DATA_DIR": str(tmp_path / "new"), "SECRET_KEY": ""}
    first, second = (run("-c", show, **environment).stdout.strip() for _ in range(2))
    assert len(first) > 50
    assert first == second
    assert stat.S_IMODE((tmp_path / "new" / "secret_key").stat().st_mode) == 0o600
    assert run("-c", show, **environment | {"SECRET_KEY": "told"}).stdout.strip() == "told"


def test_pages_allow_nothing_inline_and_nothing_from_elsewhere(client, db):
    policy = client.get(reverse("admin:login")).headers["Content-Security-Policy"]
    assert "default-src 'self'" in policy
    assert "unsafe" not in policy


def test_a_task_is_not_given_out_again_before_it_must_have_ended():
    queue = settings.Q_CLUSTER
    assert queue["retry"] >= queue["timeout"] * (1 + queue["queue_limit"] / queue["workers"]) + 60


def test_a_faulty_setting_of_four_eyes_stops_the_start_and_says_what_is_wrong():
    started = run("-c", "from config import settings", SLUICE_FOUR_EYES="write_off:100,close")
    assert started.returncode != 0
    assert "SLUICE_FOUR_EYES: 'close' is none of activate_profile" in started.stderr


def test_pickup_folders_are_those_that_the_environment_names_or_one_in_the_data_folder(tmp_path):
    show = "from config import settings; print(*settings.PICKUP_GROUNDS['roots'])"
    environment = {"SLUICE_DATA_DIR": str(tmp_path)}
    assert run("-c", show, **environment).stdout.strip() == f"{tmp_path}/pickup"
    assert run("-c", show, **environment, SLUICE_PICKUP_ROOTS="/srv/a, /srv/b").stdout.strip() == "/srv/a /srv/b"
    assert run("-c", show, **environment, SLUICE_PICKUP_ROOTS="").stdout.strip() == ""
    faulty = run("-c", show, **environment, SLUICE_PICKUP_ROOTS="usage")
    assert "SLUICE_PICKUP_ROOTS: write folders from the root, unlike usage." in faulty.stderr


def test_a_faulty_network_of_proxies_stops_the_start_and_says_what_is_wrong():
    started = run("-c", "from config import settings", SLUICE_PROXIES="10.0.0.1/24")
    assert started.returncode != 0
    assert "SLUICE_PROXIES: 10.0.0.1/24 has host bits set" in started.stderr
