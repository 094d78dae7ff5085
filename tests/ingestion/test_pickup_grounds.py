"""A pick-up folder of this machine lies where the environment allows it, and nothing that a link leads to is taken."""

import os
from datetime import timedelta

import pytest

from config import tasks
from ingestion import services, store
from ingestion.core.locations import Grounds, Kind, Location
from ingestion.models import Feed, PickupState, UsageImport
from tests.config.crowd import person

from .factories import NOW, event, feed_of
from .test_pickup_page import CHANGES, answers_of, look, page_of

OUTSIDE = "outside of the folders that the environment allows"


@pytest.fixture
def allowed(tmp_path, settings):
    """A folder that files may be picked up from, beside a secret that they may not."""
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "id_rsa").write_text("key\n")
    os.utime(tmp_path / "secret" / "id_rsa", (0, 0))
    (tmp_path / "in").mkdir()
    settings.PICKUP_GROUNDS = {"roots": (str(tmp_path / "in"),), "private": (), "own": ""}
    return tmp_path / "in"


def poll(settings):
    """What two looks take, as far apart as is needed."""
    for seconds in (0, 60):
        taken = services.poll_pickup_locations(
            now=NOW + timedelta(seconds=seconds), grounds=Grounds(**settings.PICKUP_GROUNDS)
        )
    return taken


def drop(folder, name="may.csv"):
    (folder / name).write_text(f"{event(name)}\n")
    os.utime(folder / name, (0, 0))


def opened(path, grounds):
    with store.opened(Location(Kind.FOLDER, str(path)), name="", environment={}, grounds=grounds) as system:
        return system.ls(str(path))


@pytest.mark.django_db
@pytest.mark.parametrize("way", ["{}/secret", "{}/in/../secret", "file://{}/secret", "{}/in/link", "/", "{}/in-too"])
def test_what_lies_outside_is_never_read_or_moved_and_the_page_says_which_setting_helps(way, allowed, settings):
    (allowed / "link").symlink_to(allowed.parent / "secret")
    feed = feed_of(pickup_location=way.format(allowed.parent))
    assert poll(settings) == []
    assert (allowed.parent / "secret" / "id_rsa").exists()
    assert not UsageImport.objects.exists()
    assert PickupState.objects.get().failures == 2
    page = page_of(feed)
    assert "It fails" in page
    assert OUTSIDE in page
    assert "SLUICE_PICKUP_ROOTS" in page
    assert OUTSIDE in look(feed).content.decode()


@pytest.mark.django_db
def test_a_folder_below_an_allowed_one_is_picked_up_from(allowed, settings):
    (allowed / "carrier").mkdir()
    drop(allowed / "carrier")
    feed_of(pickup_location=f"{allowed}/carrier")
    [taken] = poll(settings)
    assert taken.usage_import.file_name == "may.csv"
    assert (allowed / "carrier" / "done" / "may.csv").exists()


@pytest.mark.django_db
def test_what_workers_do_by_the_clock_keeps_to_the_environment(allowed):
    inside, outside = (feed_of(pickup_location=str(folder)) for folder in (allowed, allowed.parent / "secret"))
    tasks.poll_pickups()
    errors = dict(PickupState.objects.values_list("feed", "error"))
    assert errors[inside.pk] == ""
    assert OUTSIDE in errors[outside.pk]


@pytest.mark.django_db
def test_a_link_in_the_folder_is_left_there(allowed, settings):
    (allowed / "may.csv").symlink_to(allowed.parent / "secret" / "id_rsa")
    feed_of(pickup_location=str(allowed))
    assert poll(settings) == []
    assert (allowed / "may.csv").is_symlink()


@pytest.mark.django_db
def test_a_file_that_became_a_link_since_it_was_listed_is_not_read(allowed, settings, monkeypatch):
    drop(allowed)
    opens = store.open_entry

    def too_late(system, entry):
        (allowed / "may.csv").unlink()
        (allowed / "may.csv").symlink_to(allowed.parent / "secret" / "id_rsa")
        return opens(system, entry)

    monkeypatch.setattr(store, "open_entry", too_late)
    feed_of(pickup_location=str(allowed))
    [left] = poll(settings)
    assert (left.is_left, left.usage_import) == (True, None)
    assert OUTSIDE in left.refusal
    assert not UsageImport.objects.exists()


@pytest.mark.django_db
def test_a_done_folder_that_leads_outside_gets_no_file(allowed, settings):
    drop(allowed)
    (allowed / "done").symlink_to(allowed.parent / "secret")
    feed = feed_of(pickup_location=str(allowed))
    [left] = poll(settings)
    assert left.is_left
    assert os.listdir(allowed.parent / "secret") == ["id_rsa"]
    assert OUTSIDE in page_of(feed)
    (allowed / "done").unlink()
    poll(settings)
    assert (allowed / "done" / "may.csv").exists()
    assert UsageImport.objects.count() == 1


@pytest.mark.parametrize("part", ["", "payloads", "postgres", "pickup/../payloads"])
def test_what_we_keep_ourselves_is_never_picked_up_whatever_the_environment_names(part, tmp_path):
    data = tmp_path / "data"
    grounds = Grounds(("/", str(data), str(data / "payloads")), (str(data),), str(data / "pickup"))
    for folder in ("payloads", "postgres", "pickup"):
        (data / folder).mkdir(parents=True)
    with pytest.raises(store.OutOfBounds, match="Sluice keeps its own"):
        opened(data / part, grounds)
    assert opened(data / "pickup", grounds) == []
    assert opened(tmp_path, grounds) == [str(data)]


def test_without_roots_there_are_no_folders_of_this_machine(tmp_path):
    with pytest.raises(store.OutOfBounds, match="on this machine at all"):
        opened(tmp_path, Grounds())


@pytest.mark.django_db
def test_a_folder_outside_is_refused_when_the_feed_is_saved(allowed):
    feed, client = feed_of(), person(*CHANGES)
    url, answers = answers_of(feed, client)
    assert f"Folders of this machine lie in {allowed}." in client.get(url).content.decode()
    refused = client.post(url, answers | {"pickup_location": f"{allowed.parent}/secret"})
    assert OUTSIDE in refused.content.decode()
    assert client.post(url, answers | {"pickup_location": f"{allowed}/carrier"}).status_code == 302
    assert Feed.objects.get().pickup_location == f"{allowed}/carrier"


@pytest.mark.django_db
def test_a_feed_of_before_whose_folder_lies_outside_can_still_be_switched_off(allowed):
    feed, client = feed_of(pickup_location=f"{allowed.parent}/secret"), person(*CHANGES)
    url, answers = answers_of(feed, client)
    answers.pop("is_enabled")
    assert client.post(url, answers).status_code == 302
    assert not Feed.objects.get().is_enabled
