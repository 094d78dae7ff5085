"""Rules as a feed's records can take them: over the source fields that its active profile version reads."""

from typing import Any

from ingestion.core import fixing
from ingestion.core.fixing import FaultyRuleError, Rule, RuleFault
from ingestion.models import Feed
from mediation import selectors as mediation_selectors
from mediation import services as mediation
from mediation.core.expressions import TEXT
from mediation.core.spec import FaultySpecError
from mediation.models import ProfileVersion


def parse_rule(*, rule: Any, feed: Feed) -> Rule:
    """The rule that a document states, for the exceptions of a feed. Raises FaultyRuleError with all faults at once."""
    version = mediation_selectors.active_version(feed.profile_id)
    if version is None:
        raise FaultyRuleError([RuleFault("", f"cannot be applied: the Data Profile of {feed} has no active version")])
    return rule_for(rule, version)


def rule_for(rule: Any, version: ProfileVersion) -> Rule:
    """The same, for what `version` reads."""
    try:
        sources = mediation.spec_of(version).sources
    except FaultySpecError as error:
        raise FaultyRuleError([RuleFault("", f"cannot be applied: {version} has faults: {error}")]) from None
    if mediation.window_of(version=version) is not None:
        message = f"cannot be applied: rows of {version} make records together. Correct them one by one"
        raise FaultyRuleError([RuleFault("", message)])
    return fixing.parse_rule(rule, sources=dict.fromkeys(sources, TEXT))


def sources_of_feed(*, feed: Feed) -> list[str]:
    """The source fields that the feed's active profile version reads, in its order; empty where none can be told."""
    version = mediation_selectors.active_version(feed.profile_id)
    try:
        return mediation.spec_of(version).sources if version is not None else []
    except FaultySpecError:  # of a version that a later release reads more strictly
        return []
