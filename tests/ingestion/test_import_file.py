"""The command that puts a file through: what it prints, and what it refuses."""

import json

import pytest
from django.core.management import CommandError, call_command

from ingestion.models import UsageImport

from .factories import event, feed_of

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("reconciled")]


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "may.csv"
    path.write_text(f"{event('a')}\n{event('b', value='x')}\n")
    return path


def test_a_file_goes_through_and_its_history_row_is_printed(path, capsys):
    call_command("import_file", feed_of().api_name, str(path), "--wait", "--json")
    row = json.loads(capsys.readouterr().out)
    assert (row["status"], row["file_name"], row["source"]) == ("completed", "may.csv", "command")
    assert (row["record_count"], row["imported_count"], row["exception_count"]) == (2, 1, 1)


def test_a_file_that_cannot_be_read_ends_with_1(tmp_path, capsys):
    empty = tmp_path / "empty.csv"
    empty.touch()
    with pytest.raises(SystemExit) as end:
        call_command("import_file", feed_of().api_name, str(empty), "--wait", "--json")
    assert end.value.code == 1
    assert "is empty" in json.loads(capsys.readouterr().out)["error"]


def test_what_is_no_file_or_no_feed_is_refused_in_words(path, tmp_path):
    feed = feed_of()
    for wrong, says in ((tmp_path, "is a folder"), (tmp_path / "gone.csv", "cannot be read: No such file")):
        with pytest.raises(CommandError, match=says):
            call_command("import_file", feed.api_name, str(wrong))
    with pytest.raises(CommandError, match=f"There is no feed 'nothing'. Feeds: {feed.api_name}"):
        call_command("import_file", "nothing", str(path))
    assert UsageImport.objects.count() == 0


def test_the_same_file_needs_insistence(path):
    feed = feed_of()
    call_command("import_file", feed.api_name, str(path), "--wait")
    with pytest.raises(CommandError, match="--again insists"):
        call_command("import_file", feed.api_name, str(path))
    call_command("import_file", feed.api_name, str(path), "--again", "--wait")
    assert list(UsageImport.objects.order_by("pk").values_list("duplicate_count", flat=True)) == [0, 1]
