"""NEM12 and NEM13 meter data, as a profile states them."""

from dataclasses import dataclass
from typing import Any

from mediation.core.spec.document import FaultSink

# The source fields of a record. Those behind Value stand in NEM13 alone, where an interval is that between two reads.
NAMES = (
    "NMI",
    "NMIConfiguration",
    "RegisterID",
    "NMISuffix",
    "MeterSerialNumber",
    "UOM",
    "IntervalLength",
    "IntervalDate",
    "IntervalNumber",
    "IntervalStart",
    "IntervalEnd",
    "QualityMethod",
    "ReasonCode",
    "ReasonDescription",
    "UpdateDateTime",
    "Value",
    "DirectionIndicator",
    "PreviousRegisterRead",
    "CurrentRegisterRead",
)


@dataclass(frozen=True)
class Nem:
    """Meter data in the format of the Australian market, version NEM12 or NEM13 as the file says."""

    encoding: str = "utf-8"


def parse_format(value: dict[str, Any], pointer: str, fault: FaultSink) -> Nem | None:
    """The format that a profile states under `format`; None where it has a fault, each of which is reported."""
    strangers = value.keys() - {"kind"}
    for name in strangers:
        fault(f"{pointer}/{name}", "is not known here: the format leaves nothing to choose")
    return None if strangers else Nem()


def fault_of_source(source: str) -> str | None:
    """What is wrong with a source field; None where nothing is."""
    return None if source in NAMES else f"{source!r} is no field of meter data; those are {', '.join(NAMES)}"
