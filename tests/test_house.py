"""The house stands as it was drawn: its rooms, its floors, its tables, its style; and each of these checks can fail."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from django.conf import settings
from django.core.management import call_command

HOUSE = Path(settings.BASE_DIR)
ROOMS = ["config", "ingestion", "mediation", "rating"]
TOP_LEVEL = {"manage.py", "pyproject.toml", "README.md", "templates", "tests", *ROOMS}


def run(tool, *arguments, house=HOUSE):
    command = [sys.executable, "-m", tool, *arguments]
    return subprocess.run(command, cwd=house, capture_output=True, text=True, check=False)


LINT_IMPORTS = """
import sys
sys.path.insert(0, "")
from importlinter.cli import lint_imports
sys.exit(lint_imports(no_cache=True))
"""


def contracts(house):
    """import-linter's report on a house, from a process of its own: it imports the house it looks at."""
    return subprocess.run([sys.executable, "-c", LINT_IMPORTS], cwd=house, capture_output=True, text=True, check=False)


def test_the_top_level_holds_what_the_design_says_and_nothing_else():
    found = {entry.name for entry in HOUSE.iterdir() if not entry.name.startswith(".")}
    assert found - {"uv.lock", "__pycache__"} == TOP_LEVEL


def test_imports_point_down():
    report = contracts(HOUSE)
    assert report.returncode == 0, report.stdout


@pytest.mark.django_db
def test_migrations_say_what_the_models_say():
    call_command("makemigrations", check=True, dry_run=True, verbosity=0)


@pytest.mark.parametrize("arguments", [["check", "."], ["format", "--check", "."]])
def test_the_style_is_kept(arguments):
    report = run("ruff", *arguments)
    assert report.returncode == 0, report.stdout


def test_types_agree():
    report = run("mypy", *ROOMS)
    assert report.returncode == 0, report.stdout


@pytest.fixture
def copy(tmp_path):
    for room in ROOMS:
        shutil.copytree(HOUSE / room, tmp_path / room, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(HOUSE / "pyproject.toml", tmp_path)
    return tmp_path


BREACHES = {
    "ingestion and rating meet only in the UDR": [
        ("ingestion/services/breach.py", "import rating.models"),
        ("rating/services/breach.py", "import ingestion.models"),
        ("mediation/services/breach.py", "import ingestion.models"),
        ("mediation/services/breach.py", "import rating.models"),
        ("rating/admin/breach.py", "import config.supervisor"),
    ],
    "doors, verbs, questions, tables, thought": [
        ("mediation/services/breach.py", "import mediation.admin"),
        ("ingestion/core/breach.py", "import ingestion.models"),
        ("rating/models/breach.py", "import rating.services"),
        ("ingestion/helpers.py", ""),
    ],
    "the core knows no Django and no database": [
        (f"{room}/core/breach.py", f"import {package}")
        for room in ("ingestion", "mediation", "rating")
        for package in ("django", "psycopg")
    ],
}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("contract", "place", "line"), [(name, *breach) for name, breaches in BREACHES.items() for breach in breaches]
)
def test_each_contract_can_be_broken(copy, contract, place, line):
    (copy / place).write_text(line)
    report = contracts(copy)
    assert report.returncode != 0
    assert f"{contract} BROKEN" in report.stdout


@pytest.mark.slow
@pytest.mark.parametrize("line", ["import os\n", "x = 1;y = 2\n"])
def test_the_style_check_can_fail(copy, line):
    (copy / "rating" / "breach.py").write_text(line)
    assert run("ruff", "check", ".", house=copy).returncode != 0


@pytest.mark.slow
def test_the_type_check_can_fail(copy):
    (copy / "rating" / "breach.py").write_text('def breach() -> int:\n    return "text"\n')
    report = run("mypy", "rating/breach.py", house=copy)
    assert report.returncode != 0
    assert "Incompatible return value" in report.stdout
