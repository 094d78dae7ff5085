"""Profiles that ship with Sluice, each a document as `export_profile` writes it, in a file beside this one."""

from functools import cache
from pathlib import Path
from typing import Any

from mediation.services.transferring import UnableToImportProfile, parse_document

FOLDER = Path(__file__).parent


@cache
def ready_made_profiles() -> dict[str, dict[str, Any]]:
    """Every shipped profile by its short name, such as `focus`."""
    return {path.stem.replace("_", "-"): parse_document(path.read_bytes()) for path in sorted(FOLDER.glob("*.json"))}


def ready_made_profile(name: str) -> dict[str, Any]:
    """The shipped profile of that short name. Raises LookupError that names those there are."""
    try:
        return ready_made_profiles()[name]
    except KeyError:
        known = ", ".join(ready_made_profiles())
        raise LookupError(f"There is no ready-made profile {name!r}. Those there are: {known}.") from None


__all__ = ["UnableToImportProfile", "ready_made_profile", "ready_made_profiles"]
