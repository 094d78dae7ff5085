"""What a pick-up location may look like."""

import pytest

from ingestion.core.locations import FaultyLocationError, Kind, Location, is_finished, location_of


def test_a_folder_is_written_from_the_root():
    assert location_of("/srv/usage/") == location_of("file:///srv/usage") == Location(Kind.FOLDER, "/srv/usage")


def test_a_folder_of_an_sftp_server_has_a_host_and_perhaps_a_user_and_a_port():
    expected = Location(Kind.SFTP, "/outgoing/usage 1", "host.example", 2222, "carrier")
    assert location_of("sftp://carrier@host.example:2222/outgoing/usage%201/") == expected
    assert location_of("sftp://host.example/out") == Location(Kind.SFTP, "/out", "host.example", 22, "")


def test_a_place_in_a_bucket_begins_with_the_bucket():
    assert location_of("s3://usage/outgoing/") == Location(Kind.S3, "usage/outgoing")
    assert location_of("s3://usage") == Location(Kind.S3, "usage")


@pytest.mark.parametrize("text", ["sftp://carrier:secret@host.example/out", "s3://KEY:secret@usage/out"])
def test_a_password_in_an_address_is_refused(text):
    with pytest.raises(FaultyLocationError, match="environment") as refusal:
        location_of(text)
    assert "secret" not in str(refusal.value)


@pytest.mark.parametrize(
    "text",
    [
        *("usage", "ftp://host.example/out", "sftp://host.example", "sftp:///out", "sftp://host:99999/out"),
        *("s3://", "s3://usage:9000/out", "s3://usage/out?versionId=1", "memory://x", "file://host/out"),
    ],
)
def test_whatever_else_is_refused_with_examples(text):
    with pytest.raises(FaultyLocationError, match=r"sftp://user@host|\?"):
        location_of(text)


def test_files_that_are_being_written_are_known_by_their_names():
    names = [".may.csv", "may.csv.part", "may.csv.TMP", "may.csv.filepart", "may.csv"]
    assert [name for name in names if is_finished(name)] == ["may.csv"]
