"""A quote's document and its usage read in one go, so that the faults of both are told at once."""

from collections.abc import Callable

from mediation.core.spec.document import Fault, FaultySpecError
from rating.core.quoting.settings import Setting
from rating.core.quoting.usage import FaultyUsageError, Record
from rating.core.quoting.world import build_world


def read_together(
    read_setting: Callable[[], Setting], read_usage: Callable[[], list[Record]]
) -> tuple[Setting, list[Record]]:
    """What both read. Raises FaultySpecError with the faults of either, and of what the usage names in the document."""
    faults: list[Fault] = []
    setting, records = None, None
    try:
        setting = read_setting()
    except FaultySpecError as faulty:
        faults += faulty.faults
    try:
        records = read_usage()
    except FaultyUsageError as faulty:
        faults += faulty.faults
        records = faulty.records
    except FaultySpecError as faulty:
        faults += faulty.faults
    if setting is None or records is None:
        raise FaultySpecError(faults)
    if faults:
        raise FaultySpecError([*faults, *_unknown(setting, records, {fault.pointer for fault in faults})])
    return setting, records


def _unknown(setting: Setting, records: list[Record], told: set[str]) -> list[Fault]:
    """What records name that is not there, but for what is missing only since it could not be read."""
    try:
        build_world(setting, records)
    except FaultySpecError as faulty:
        return [each for each in faulty.faults if not told & {each.pointer, each.pointer.rpartition("/")[0]}]
    return []
