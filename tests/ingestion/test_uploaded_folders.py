"""Where parts of uploads are kept, others may keep something too: that keeps no upload from being given up."""

from uuid import uuid4

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage

from ingestion import store


@pytest.fixture(autouse=True)
def _folder_of_its_own(settings, tmp_path):
    settings.MEDIA_ROOT = tmp_path


@pytest.mark.parametrize("foreign", ["lost+found", ".snapshots", "2026", "not-a-token"])
def test_folders_that_are_no_uploads_are_passed_over(foreign):
    token = uuid4()
    store.keep_upload_part(token, 0, b"half")
    default_storage.save(f"uploads/{foreign}/note.txt", ContentFile(b"not ours"))
    assert store.upload_tokens() == [token]


def test_a_folder_whose_name_is_a_token_in_another_spelling_is_no_upload():
    default_storage.save(f"uploads/{uuid4().hex}/0-part", ContentFile(b"not ours"))
    assert store.upload_tokens() == []
