"""Mending exceptions: what was read of a record, what a correction would make of it, rules for whole groups, undo.

a group of exceptions ─► parse_rule ─► preview_rule        rules, previewing    a sample mediated, nothing written
a rule with a reason ─► ask_correction ─► correct_next_portion                  asking, portions
regret ─► undo_correction: in place; once it is rated, its imports without it   undoing
one record ─► read_of ─► preview_correction                                     previewing
"""

from ingestion.services.fixing.asking import UnableToFix, ask_correction, try_correction_again
from ingestion.services.fixing.portions import correct_next_portion
from ingestion.services.fixing.previewing import (
    CorrectionPreview,
    Reading,
    RulePreview,
    Sampled,
    UnableToPreviewRule,
    preview_correction,
    preview_rule,
    read_of,
)
from ingestion.services.fixing.rules import parse_rule, sources_of_feed
from ingestion.services.fixing.undoing import (
    UnableToUndo,
    Undoing,
    UndoingMoved,
    can_undo,
    undo_correction,
    undo_next_correction,
    undoing_of,
)

__all__ = [
    "CorrectionPreview",
    "Reading",
    "RulePreview",
    "Sampled",
    "UnableToFix",
    "UnableToPreviewRule",
    "UnableToUndo",
    "Undoing",
    "UndoingMoved",
    "ask_correction",
    "can_undo",
    "correct_next_portion",
    "parse_rule",
    "preview_correction",
    "preview_rule",
    "read_of",
    "sources_of_feed",
    "try_correction_again",
    "undo_correction",
    "undo_next_correction",
    "undoing_of",
]
