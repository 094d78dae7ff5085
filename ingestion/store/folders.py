"""Pick-up folders of this machine: those alone that the environment names, and nothing that a link outside leads to."""

import os
import posixpath
from typing import Any

from fsspec.implementations.local import LocalFileSystem

from ingestion.core.locations import Grounds

VARIABLE = "SLUICE_PICKUP_ROOTS"


class OutOfBounds(OSError):
    """A folder or file that nothing is picked up from; its text says why and which setting helps."""


def require_within(path: str, grounds: Grounds) -> str:
    """The real path of a folder or file, links resolved, that may be picked up from. Raises OutOfBounds."""
    real = os.path.realpath(path)
    if _is_in(real, grounds.private) and not _is_in(real, (grounds.own,)):
        raise OutOfBounds(
            f"{path} lies in a folder that Sluice keeps its own in, so nothing is picked up from there: use another,"
            f" which {VARIABLE} of the environment names."
        )
    if not _is_in(real, grounds.roots):
        where = f"but in {', '.join(grounds.roots)}" if grounds.roots else "at all"
        raise OutOfBounds(
            f"{path} lies, or leads, outside of the folders that the environment allows: nothing is picked up on this"
            f" machine {where}. Use a folder there, or have {VARIABLE} name another and start again."
        )
    return real


def _is_in(real: str, folders: tuple[str, ...]) -> bool:
    parents = [os.path.realpath(folder) for folder in folders if folder]
    return any(posixpath.commonpath([real, parent]) == parent for parent in parents)


class LocalFolders(LocalFileSystem):  # type: ignore[misc]
    """fsspec's, but that each path is resolved and looked at before it is used."""

    cachable = False

    def __init__(self, grounds: Grounds) -> None:
        super().__init__()
        self._grounds = grounds

    def ls(self, path: str, detail: bool = False, **options: Any) -> Any:
        return super().ls(require_within(path, self._grounds), detail=detail, **options)

    def makedirs(self, path: str, exist_ok: bool = False) -> None:
        super().makedirs(require_within(path, self._grounds), exist_ok=exist_ok)

    def mv(self, path1: str, path2: str, recursive: bool = True, **options: Any) -> None:
        super().mv(self._entry(path1), self._entry(path2), recursive, **options)

    def _entry(self, path: str) -> str:
        """A file by the real path of its folder; itself it may be anything, since it is moved as it is."""
        return posixpath.join(require_within(posixpath.dirname(path), self._grounds), posixpath.basename(path))

    def _open(self, path: str, *more: Any, **options: Any) -> Any:
        """What was opened is looked at, not what lay there before: who writes into the folder may be quick."""
        opened = super()._open(path, *more, **options)
        try:
            real = require_within(path, self._grounds)
            if not os.path.samestat(os.fstat(opened.fileno()), os.lstat(real)):
                raise OutOfBounds(f"{path} was replaced while it was opened.")
        except BaseException:
            opened.close()
            raise
        return opened
