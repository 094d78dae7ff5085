"""Mending records: rules for many at once, corrections laid over what is read, and where a value stands in its text."""

from ingestion.core.fixing.laying import Corrected, fold, lay_over
from ingestion.core.fixing.placing import in_order, span_of
from ingestion.core.fixing.rules import (
    APPLIED,
    Compute,
    FaultyRuleError,
    MapValue,
    Rule,
    RuleFault,
    SetField,
    Substitute,
    apply_rule,
    parse_rule,
)

__all__ = [
    "APPLIED",
    "Compute",
    "Corrected",
    "FaultyRuleError",
    "MapValue",
    "Rule",
    "RuleFault",
    "SetField",
    "Substitute",
    "apply_rule",
    "fold",
    "in_order",
    "lay_over",
    "parse_rule",
    "span_of",
]
