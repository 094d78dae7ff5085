"""What the doors of rating answer, where no serializer says it: for the API's document."""

from mediation.api.describing import COUNT, DAY, DIGITS, ID, LINK, TEXT, list_of, or_null, query, record_of

NAME = {"type": "string", "minLength": 1}
ABOUT = record_of({"kind": TEXT, "id": ID}, description="The thing that the fact is about.")
FACT = record_of(
    {"name": TEXT, "text": TEXT, "quantity": DIGITS, "amount": DIGITS, "raw": TEXT, "about": ABOUT},
    optional=["quantity", "amount", "raw", "about"],
    description="A sentence with its numbers. quantity: what is left after it; amount: what it adds to the charge.",
)
EXPLANATION = record_of(
    {
        "is_whole": {"type": "boolean", "description": "Whether everything that the charge was made of is still kept."},
        "chapters": list_of(record_of({"name": TEXT, "title": TEXT, "facts": list_of(FACT)})),
        "tiers": or_null(record_of({"before": DIGITS, "after": DIGITS, "reached": list_of({"type": "integer"})})),
    }
)

SUMMARY = record_of(
    {
        "account": TEXT,
        "name": TEXT,
        "lines": list_of(
            record_of(
                {
                    "usage_class": TEXT,
                    "currency": TEXT,
                    "record_count": {"type": "integer"},
                    "quantity": DIGITS,
                    "amount": DIGITS,
                }
            )
        ),
    }
)

SUMS = dict.fromkeys(("quantity", "rated_quantity", "free_quantity", "bucket_quantity", "credit", "amount"), DIGITS)
COUNTED = {"usage_class": TEXT, "unit": TEXT, "currency": TEXT, "record_count": {"type": "integer"}}
DAYS_OF_USAGE = [
    query("from", DAY, "The first day, in the account's zone; of this month unless said."),
    query("to", DAY, "The last day, included; today unless said. At most 366 days from the first."),
    query("by", NAME, "What is told apart: some of day, class, service, identifier, plan, rate and Extensions.NAME."),
    query("page_size", {"type": "integer", "minimum": 1, "maximum": 1_000, "default": 100}, "Rows of a page."),
    query("cursor", NAME, "Where the page starts, as `next` says it."),
]
PARTED = {
    "day": DAY,
    "service_id": ID,
    "service": TEXT,
    "identifier": TEXT,
    "plan": TEXT,
    "rate_group": TEXT,
    "rate": TEXT,
    "running_quantity": DIGITS,
    "running_amount": DIGITS,
}
USAGE = record_of(
    {
        "account": TEXT,
        "name": TEXT,
        "time_zone": TEXT,
        "from": DAY,
        "to": DAY,
        "by": list_of(TEXT),
        "totals": or_null(list_of(record_of({**COUNTED, **SUMS}))),
        "next": or_null(LINK),
        "results": list_of(
            record_of({**PARTED, **COUNTED, **SUMS}, optional=[*PARTED, "usage_class", "unit"])
            | {"additionalProperties": or_null(TEXT), "description": "Extensions.NAME is told by its name."}
        ),
    },
    description="`totals` are on the first page alone.",
)

TOTAL = record_of(
    {
        "currency": TEXT,
        "account_count": COUNT,
        "before": DIGITS,
        "after": DIGITS,
        "difference": DIGITS,
        "changed": COUNT,
        "refused": COUNT,
    }
)
FILTERS = record_of(
    {"account": TEXT, "plan": TEXT, "usage_class": TEXT, "import": ID, "from": TEXT, "until": TEXT},
    optional=["account", "plan", "usage_class", "import", "from", "until"],
)
REPRICING = {
    "filters": FILTERS,
    "totals": list_of(TOTAL),
    "links": record_of({"self": LINK, "accounts": LINK, "apply": LINK}, optional=["apply"]),
}
FOLLOWED = {
    "progress": record_of({"accounts": COUNT, "accounts_done": COUNT, "udrs": COUNT, "udrs_done": COUNT}),
    "left_out": list_of(TEXT),
}
