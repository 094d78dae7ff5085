"""What the README of mediation says is so: its profiles parse, its examples make what they say, nothing is left out."""

import json
import re
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from mediation.core.codes import Code
from mediation.core.expressions import describe
from mediation.core.frames import MOMENT
from mediation.core.lookups import LOOKUP_ROWS, build_table
from mediation.core.spec import parse_spec
from mediation.core.spec.formats import KINDS
from mediation.core.structure.document import AGGREGATES
from mediation.core.transforms import AnySource, Scope, Tables, Unit
from mediation.core.transforms.fields import HEADS
from mediation.core.transforms.frames import Around
from mediation.core.transforms.parsing import NAMES, parse_transforms
from mediation.core.transforms.running import run_chain
from mediation.core.validations import CHECKS

README = (Path(__file__).parents[2] / "mediation" / "README.md").read_text()
PROFILES = [json.loads(block) for block in re.findall(r"^```json profile\n(.*?)^```", README, re.MULTILINE | re.DOTALL)]
TRANSFORMS = re.findall(r"^\| `(\w+)` \| `(\{.*?\})` \| `([^`]*)` → `([^`]*)` \|", README, re.MULTILINE)


def tables():
    rows = {"line": [1, 2], "key": ["43", "43660"]}
    frame = pl.DataFrame({name: rows.get(name, [None, None]) for name in LOOKUP_ROWS}, schema=LOOKUP_ROWS)
    zones = build_table("prefix", frame.with_columns(pl.Series("value:zone", ["near", "mobile"])))
    return Tables({"zones": zones}, {"KiB": Unit("KiB", "data", Decimal(1024))})


def made(transform, text):
    faults = []
    scope = Scope(lambda *fault: faults.append(fault), AnySource(), field="Value", date_fields=("Date",))
    chain = parse_transforms([transform], "/", scope)
    records = pl.DataFrame({"typed:Date": [None]}, schema={"typed:Date": MOMENT})
    ran = run_chain(chain, pl.Series([text]), Around(records, tables()))
    assert faults == []
    return ran.text.item()


@pytest.mark.parametrize("profile", PROFILES, ids=[profile["format"]["kind"] for profile in PROFILES])
def test_a_profile_of_the_readme_has_no_fault(profile):
    parse_spec(profile)


@pytest.mark.parametrize(("name", "example", "before", "after"), TRANSFORMS, ids=[row[0] for row in TRANSFORMS])
def test_an_example_of_a_transform_makes_what_the_readme_says(name, example, before, after):
    transform = json.loads(example)
    assert list(transform) == [name]
    assert made(transform, before) == after


def test_every_format_transform_and_beginning_has_an_example():
    assert {profile["format"]["kind"] for profile in PROFILES} == {"delimited", *KINDS}
    assert {name for name, *_ in TRANSFORMS} == set(NAMES)
    used = {name for profile in PROFILES for body in profile["fields"].values() for name in body}
    assert used >= {"source", "literal", "transforms", "unit", *HEADS}


def test_every_member_of_a_document_is_explained():
    members = {name for profile in PROFILES for name in profile} | set(
        re.findall(r"^### `(\w+)`", README, re.MULTILINE)
    )
    assert members >= {"format", "structure", "envelope", "fields", "skip", "validations", "uniqueness", "null_texts"}
    assert all(f"`{check}`" in README or f'{{"{check}"' in README for check in CHECKS)
    assert all(f"`{aggregate}`" in README for aggregate in AGGREGATES)


def test_every_exception_code_is_explained():
    explained = README.partition("## Exception codes")[2].partition("\n## ")[0]
    assert {code for code in Code if f"`{code}`" not in explained} == set()


def escaped(text):
    return text.replace("|", "\\|")


def test_the_whole_language_of_expressions_is_listed():
    lines = set(README.splitlines())
    expected = [
        f"| `{escaped(entry.form)}` | {escaped(entry.help)} | `{escaped(entry.example)}` → `{escaped(entry.yields)}` |"
        for entry in describe()
    ]
    assert [line for line in expected if line not in lines] == []
