"""Storage for payloads: a saved file is on the disk before its name is given out."""

import os
from pathlib import Path
from typing import Any

from django.core.files.storage import FileSystemStorage


class DurableStorage(FileSystemStorage):
    """Files in MEDIA_ROOT, synced together with the folders that name them."""

    def _save(self, name: str, content: Any) -> str:
        saved: str = super()._save(name, content)  # type: ignore[misc]
        path = Path(self.path(saved))
        sync(path)
        # New folders are entries of the folders above, so the way up to the root counts too.
        above = Path(self.location).parent
        for folder in path.parents:
            sync(folder)
            if folder == above:
                break
        return saved


def sync(path: Path) -> None:
    """fsync a file or a folder."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
