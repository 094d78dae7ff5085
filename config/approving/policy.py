"""The setting SLUICE_FOUR_EYES: which acts need a second person, and from which value on."""

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation

# The kinds of acts, and whether a value may stand behind them: below it one person is enough.
KINDS = {
    "activate_profile": False,
    "activate_plan": False,
    "write_off": True,
    "close_period": False,
    "void": False,
}


def read_policy(text: str) -> dict[str, Decimal | None]:
    """Kinds parted by commas, such as `activate_plan,write_off:100`; the number is the value above which.

    Raises ValueError with everything that is wrong.
    """
    policy: dict[str, Decimal | None] = {}
    faults = []
    for part in filter(None, (each.strip() for each in text.split(","))):
        kind, colon, limit = (each.strip() for each in part.partition(":"))
        if kind not in KINDS:
            faults.append(f"{kind!r} is none of {', '.join(KINDS)}")
        elif kind in policy:
            faults.append(f"{kind} stands there twice")
        elif colon and not KINDS[kind]:
            faults.append(f"{kind} takes no value, so nothing stands behind it")
        elif colon and _limit(limit) is None:
            faults.append(f"{limit!r} is no value for {kind}: a number from 0 on, such as {kind}:100")
        else:
            policy[kind] = _limit(limit) if colon else None
    if faults:
        raise ValueError(f"SLUICE_FOUR_EYES: {'; '.join(faults)}.")
    return policy


def _limit(text: str) -> Decimal | None:
    try:
        limit = Decimal(text)
    except InvalidOperation:
        return None
    return limit if limit.is_finite() and limit >= 0 else None


def needs_two(policy: Mapping[str, Decimal | None], kind: str, value: Decimal | None) -> bool:
    """Whether an act of this kind and value needs a second person; a value that nobody knows counts as above."""
    if kind not in policy:
        return False
    limit = policy[kind]
    return limit is None or value is None or value > limit
