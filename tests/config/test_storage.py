"""Payloads are on the disk before their name is given out."""

import os

from django.core.files.base import ContentFile
from django.core.files.storage import default_storage

from config.storage import DurableStorage


def test_a_payload_and_every_new_folder_above_it_are_synced(tmp_path, monkeypatch):
    synced = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: synced.append(os.readlink(f"/proc/self/fd/{descriptor}")))
    root = tmp_path / "payloads"
    name = DurableStorage(location=root).save("ab/cd/payload", ContentFile(b"usage"))
    paths = [root / name, root / "ab" / "cd", root / "ab", root, tmp_path]
    assert [path for path in map(str, paths) if path not in synced] == []
    assert (root / name).read_bytes() == b"usage"


def test_payloads_go_to_the_durable_storage():
    assert type(default_storage._wrapped if hasattr(default_storage, "_wrapped") else default_storage) is DurableStorage
