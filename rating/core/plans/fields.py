"""The fields of a UDR that a rate plan may name, their kinds, and the columns of USAGE that hold them."""

from collections.abc import Iterator, Mapping

from mediation.core.expressions import BOOLEAN, MOMENT, TEXT, Kind, decimal_kind

EXTENSION_PREFIX = "Extensions."
ZONE = "Zone"  # what matching finds; a matrix may price by it

# Each field that is there on every UDR, with what it holds.
FIELD_KINDS: dict[str, Kind] = {
    "Date": MOMENT,
    "Value": decimal_kind(21, 6),
    "Amount": decimal_kind(32, 11),
    "Currency": TEXT,
    "OriginatingIdentifier": TEXT,
    "TerminatingIdentifier": TEXT,
    "UdrUsageIdentifier": TEXT,
    "UsageClassName": TEXT,
    "Inbound": BOOLEAN,
    "ReverseRating": BOOLEAN,
}

# usage_class (the class's name) and zone are none of USAGE's own columns: matching adds them.
FIELD_COLUMNS: dict[str, str] = {
    "Date": "date",
    "Value": "value",
    "Amount": "amount",
    "Currency": "currency",
    "OriginatingIdentifier": "originating_identifier",
    "TerminatingIdentifier": "terminating_identifier",
    "UdrUsageIdentifier": "udr_usage_identifier",
    "UsageClassName": "usage_class",
    "Inbound": "inbound",
    "ReverseRating": "reverse_rating",
    ZONE: "zone",
}


class _ConditionFields(Mapping[str, Kind]):
    """The fields above, and every extension, whose names are not known beforehand; an extension is a text."""

    def __getitem__(self, name: str) -> Kind:
        if extension_of(name) is not None:
            return TEXT
        return FIELD_KINDS[name]

    def __contains__(self, name: object) -> bool:
        return name in FIELD_KINDS or (isinstance(name, str) and extension_of(name) is not None)

    def __iter__(self) -> Iterator[str]:
        return iter(FIELD_KINDS)

    def __len__(self) -> int:
        return len(FIELD_KINDS)


CONDITION_FIELDS: Mapping[str, Kind] = _ConditionFields()  # what conditions may name; give it to `parse`


def extension_of(field: str) -> str | None:
    """The name of the extension that `Extensions.<name>` asks for, dots and quotes and all; None for other fields."""
    name = field.removeprefix(EXTENSION_PREFIX)
    return name if name and field.startswith(EXTENSION_PREFIX) else None


def column_of(field: str) -> str:
    """The column that holds a field; an extension is unpacked from `extensions` into a column of its full name."""
    return FIELD_COLUMNS.get(field, field)


def is_counted(field: str) -> bool:
    """Whether an aggregation can add the field up: a number, or an extension, which may hold one."""
    return field in ("Value", "Amount") or extension_of(field) is not None


def is_named(field: str, *, with_zone: bool = False) -> bool:
    """Whether a plan may name the field, in a matrix (`with_zone`) or elsewhere."""
    return field in CONDITION_FIELDS or (with_zone and field == ZONE)
