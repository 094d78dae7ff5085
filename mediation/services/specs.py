"""The specs of profile versions, parsed once in a process."""

import json
from functools import lru_cache

from mediation.core.spec import ProfileSpec, parse_spec
from mediation.models import ProfileVersion

MAX_SPECS = 100


def spec_of(version: ProfileVersion) -> ProfileSpec:
    """What a version's document states. Raises FaultySpecError.

    A rich profile takes 4 ms to parse, and every chunk asks several times. Specs are kept by the document's text
    rather than the version's id, so that a draft that changed is never taken for what it was.
    """
    return _parsed(json.dumps(version.spec))


@lru_cache(maxsize=MAX_SPECS)
def _parsed(text: str) -> ProfileSpec:
    return parse_spec(json.loads(text))
