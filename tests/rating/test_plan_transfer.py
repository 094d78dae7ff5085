"""Plan documents as text: read to the last digit, written in reading order, moved by the command line."""

import io
import json
from decimal import Decimal

import pytest
from django.core.management import CommandError, call_command
from hypothesis import given, settings
from hypothesis import strategies as st

from mediation.core.spec import FaultySpecError
from rating.core.plans.document import read_plan
from rating.core.plans.ordering import in_reading_order
from rating.core.plans.writing import write_plan
from rating.models import PlanVersion, RatePlan
from rating.services.transferring import MAX_BYTES, document_text, parse_document

from .factories import RateFactory, UsageClassFactory, document
from .whole_plans import plans

DOCUMENT = {
    "name": "Calls",
    "currency": "EUR",
    "groups": [{"name": "Standard", "rates": [{"usage_class": "voice", "model": "per_unit", "price": "0.05"}]}],
}


@settings(max_examples=20, deadline=None)
@given(plans(), st.randoms())
def test_a_document_says_the_same_in_any_order_of_its_members(plan, random):
    def shuffled(value):
        if isinstance(value, dict):
            names = random.sample(list(value), len(value))
            return {name: shuffled(value[name]) for name in names}
        return [shuffled(one) for one in value] if isinstance(value, list) else value

    written = write_plan(plan)
    ordered = in_reading_order(shuffled(written))
    assert json.dumps(ordered) == json.dumps(in_reading_order(written))
    assert read_plan(parse_document(document_text(ordered))) == plan


def test_members_are_read_in_their_order_and_strangers_last():
    ordered = in_reading_order(
        {"zz": 1, "groups": [{"rates": [], "name": "A", "b": 2}], "name": "x", "description": ""}
    )
    assert list(ordered) == ["name", "description", "groups", "zz"]
    assert list(ordered["groups"][0]) == ["name", "rates", "b"]


@pytest.mark.parametrize("strange", [None, 1, "text", [1], {"groups": {"rates": 1}}, {"groups": [1, None]}])
def test_whatever_is_no_plan_is_left_as_it_is(strange):
    assert in_reading_order(strange) == strange


@given(st.decimals(allow_nan=False, allow_infinity=False, places=11, max_value=10**15, min_value=-(10**15)))
@settings(max_examples=30)
def test_decimals_are_kept_to_the_last_digit(number):
    parsed = parse_document(f'{{"price": {number:f}}}')["price"]
    assert Decimal(parsed) == number
    assert not isinstance(parsed, float)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "no JSON"),
        ('{"a": Infinity}', "no JSON number"),
        ('{"a": 1, "a": 1}', "“a” is there twice"),
        ('{"a": "\\ud800"}', "no JSON that can be kept"),
        ('{"a\\u0000": 1}', "NUL"),
        ("[" * 200_000, "no JSON"),
        ("9" * 5_000, "no JSON"),
        (b"\xff\xfe\xff", "no JSON"),
        (" " * (MAX_BYTES + 1), "larger than"),
    ],
)
def test_what_the_database_cannot_keep_is_refused(text, why):
    with pytest.raises(FaultySpecError, match=why):
        parse_document(text)


def run(command, *arguments, **options):
    out, err = io.StringIO(), io.StringIO()
    call_command(command, *arguments, stdout=out, stderr=err, **options)
    return out.getvalue(), err.getvalue()


def refused(path, **options):
    out, err = io.StringIO(), io.StringIO()
    with pytest.raises(SystemExit) as ended:
        call_command("import_plan", str(path), stdout=out, stderr=err, **options)
    assert ended.value.code == 1
    return out.getvalue(), err.getvalue()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "plan.json"


@pytest.mark.django_db
def test_a_document_becomes_a_draft_by_the_command_line(path):
    UsageClassFactory(name="voice")
    path.write_text("\ufeff" + json.dumps(DOCUMENT), encoding="utf-8")
    assert "Calls, version 1 is a draft" in run("import_plan", str(path))[0]
    told = json.loads(run("import_plan", str(path), json=True)[0])
    assert told == {"plan": "Calls", "version": 2, "id": PlanVersion.objects.last().pk, "status": "draft"}


@pytest.mark.django_db
def test_every_fault_is_told_and_nothing_is_taken(path):
    path.write_text(json.dumps({**DOCUMENT, "currency": "x", "more": 1}))
    _, err = refused(path)
    assert len(err.splitlines()) == 3  # there is no usage class either
    told = json.loads(refused(path, json=True)[0])
    assert {fault["pointer"] for fault in told["faults"]} == {"/currency", "/more", "/groups/0/rates/0/usage_class"}
    assert "cannot be read" in refused(path.with_name("none.json"))[1]
    assert not RatePlan.objects.exists()


@pytest.mark.django_db
def test_an_exported_version_is_taken_again_as_it_was(path):
    rate = RateFactory()
    RateFactory(group=rate.group)
    text = run("export_plan", rate.plan.name)[0]
    assert json.loads(text) == document(rate.plan)
    path.write_text(text)
    run("import_plan", str(path))
    assert rate.plan.versions.get(number=3).document == document(rate.plan)
    first = json.loads(run("export_plan", rate.plan.name, number=1)[0])
    assert len(first["groups"][0]["rates"]) == 1


@pytest.mark.django_db
def test_an_export_of_what_is_not_there_names_what_is():
    rate = RateFactory()
    with pytest.raises(CommandError, match=f"Plans: {rate.plan.name}"):
        run("export_plan", "none")
    with pytest.raises(CommandError, match=r"no version 9. Versions: 1"):
        run("export_plan", rate.plan.name, number=9)
