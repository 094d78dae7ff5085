"""Which column feeds which UDR field, by its name and by what it holds; and what no column could be found for."""

import re
import unicodedata
from collections.abc import Sequence
from typing import Any

from mediation.core.spec import FIELD_ALIASES, FIELD_KINDS, IDENTIFIER_FIELDS
from mediation.core.suggesting.kinds import Column
from mediation.core.suggesting.proposals import Question, Reason
from mediation.core.suggesting.synonyms import SYNONYMS

# For each UDR field: the kinds of column that it takes, and how much each word of a column's name speaks for it.
WORDS: dict[str, tuple[tuple[str, ...], dict[str, int]]] = {
    "Date": (
        ("date",),
        {"timestamp": 6, "datetime": 6, "calldate": 6, "date": 5, "start": 5, "starting": 5, "started": 5, "begin": 4}
        | {"time": 4, "occurred": 5, "ts": 4, "created": 3, "period": 1, "charge": 1, "usage": 2, "event": 1, "call": 1}
        | {"end": -4, "ended": -4, "stop": -3, "answer": -2, "billing": -2, "bill": -3, "invoice": -3, "updated": -3},
    ),
    "Value": (
        ("number",),
        {"value": 5, "quantity": 6, "qty": 6, "duration": 6, "billsec": 8, "bytes": 6, "octets": 6, "volume": 5}
        | {"count": 5, "usage": 3, "units": 4, "consumed": 3, "consumption": 5, "seconds": 4, "sec": 3, "minutes": 4}
        | {"requests": 4, "tokens": 5, "kwh": 5, "size": 4, "total": 1, "billable": 2, "sent": 1, "interval": 1}
        | {"price": -9, "cost": -9, "rate": -8, "id": -6, "code": -6, "status": -6, "port": -6, "amount": -2}
        | {"pricing": -1, "unit": -2, "wait": -4, "latency": -4, "number": -4, "ms": -3, "version": -6, "row": -6},
    ),
    "Amount": (
        ("number",),
        {"cost": 6, "amount": 6, "charge": 4, "fee": 5, "price": 3, "billed": 3, "revenue": 4, "sell": 2, "total": 1}
        | {"unit": -8, "list": -3, "contracted": -2, "effective": -1, "buy": -1, "rate": -6, "tax": -4, "quantity": -9}
        | {"id": -9, "duration": -9, "period": -9},
    ),
    "Currency": (("names",), {"currency": 8, "ccy": 8, "curr": 6}),
    "UdrUsageIdentifier": (
        ("identifier", "names", "text", "number"),
        {"account": 6, "accountcode": 8, "acct": 6, "customer": 7, "subscriber": 8, "msisdn": 8, "imsi": 8, "tenant": 7}
        | {"subscription": 5, "consumer": 6, "user": 5, "username": 6, "nmi": 9, "meter": 4, "client": 4, "project": 4}
        | {"key": 3, "api": 1, "id": 1, "number": 1, "sub": 1, "name": -4, "type": -6, "status": -6, "agent": -8}
        | {"billing": -1},
    ),
    "OriginatingIdentifier": (
        ("identifier", "names", "text", "number"),
        {"originating": 9, "caller": 7, "calling": 7, "callerid": 7, "src": 7, "from": 7, "anumber": 8, "origin": 6}
        | {"orig": 6, "sender": 6, "source": 5, "resource": 4, "ip": 3, "remote": 3, "device": 4, "id": 1, "number": 2}
        | {"name": -4, "type": -6, "channel": -4, "port": -4, "category": -6},
    ),
    "TerminatingIdentifier": (
        ("identifier", "names", "text", "number"),
        {"terminating": 9, "callee": 7, "called": 7, "dst": 7, "dest": 7, "destination": 7, "to": 7, "bnumber": 8}
        | {"recipient": 6, "receiver": 6, "target": 5, "endpoint": 5, "path": 4, "url": 4, "uri": 4, "route": 4}
        | {"host": 2, "id": 1, "number": 2, "dialled": 6, "dialed": 6}
        | {"name": -4, "type": -6, "channel": -4, "context": -8, "port": -4, "code": -3},
    ),
    "UniquenessIdentifier": (
        ("identifier", "text", "number", "names"),
        {"id": 4, "uuid": 7, "guid": 7, "uniqueid": 9, "uniqueness": 9, "event": 3, "record": 3, "request": 3}
        | {"transaction": 4, "sequence": 4, "callid": 7, "call": 3, "cdr": 3, "seq": 4, "number": 1}
        | {"account": -5, "user": -5, "resource": -5, "sku": -5, "caller": -6, "customer": -5, "date": -9, "time": -9},
    ),
    "UsageClassName": (
        ("names",),
        {"class": 6, "category": 5, "service": 5, "type": 5, "kind": 5, "product": 5, "usage": 1, "event": 2, "call": 1}
        | {"operation": 4, "method": 3, "charge": -2, "commitment": -6, "discount": -4, "pricing": -2, "resource": -1}
        | {"status": -6, "region": -6, "currency": -9, "id": -4, "identifier": -6, "source": -5, "country": -5}
        | {"unit": -5, "content": -5, "caller": -6, "account": -5, "dialcode": -6},
    ),
    "Inbound": (("boolean", "names"), {"inbound": 9, "incoming": 8, "direction": 7}),
    "ReverseRating": (("boolean",), {"reverse": 8, "collect": 6}),
    "Extensions": (("object",), {"extensions": 9}),
}
LEAST = 3  # words' weight below which a column is no proposal
DIRECTIONS = {"in": "true", "inbound": "true", "incoming": "true", "terminating": "true", "mt": "true"}
DIRECTIONS |= {"out": "false", "outbound": "false", "outgoing": "false", "originating": "false", "mo": "false"}
MOST_DECIMALS = {"Value": 6, "Amount": 11}

Mapped = tuple[dict[str, Any], list[Reason], list[Question], list[str]]


def map_fields(columns: Sequence[Column]) -> Mapped:
    """The `fields` of a profile document for these columns, a reason for each, questions, and what is missing."""
    chosen = _choose(columns)
    fields: dict[str, Any] = {}
    reasons: list[Reason] = []
    questions: list[Question] = []
    for name in FIELD_KINDS:
        if name not in chosen:
            continue
        column, score, words = chosen[name]
        fields[name] = field_document(name, column)
        confidence = "sure" if score >= 20 else "likely" if score >= 5 else "guess"
        reasons.append(Reason(f"/fields/{name}", column.name, confidence, f"{words}; {column.reason}"))
        reasons += _option_reasons(name, column, fields[name])
        if column.readings:
            questions.append(ask_reading(name, column))
    missing = _fill_gaps(fields, {column.name: column for column in columns}, reasons)
    return fields, reasons, questions, missing


def field_document(name: str, column: Column) -> dict[str, Any]:
    """The mapping of UDR field `name` from a column, with what the column's values need to be read."""
    document: dict[str, Any] = {"source": column.name}
    kind = FIELD_KINDS.get(name, "text")
    if (kind, column.kind) in (("date", "date"), ("number", "number")):
        document |= column.options
    if column.decimals > MOST_DECIMALS.get(name, column.decimals):
        document["round_to"] = MOST_DECIMALS[name]
    if kind == "boolean" and column.kind == "names":
        document |= {"case": "lower", "value_map": {text.lower(): DIRECTIONS[text.lower()] for text in column.values}}
        document["value_map"] = dict(sorted(document["value_map"].items()))
    return document


def _option_reasons(name: str, column: Column, document: dict[str, Any]) -> list[Reason]:
    reasons = []
    if "round_to" in document:
        words = f"values have up to {column.decimals} decimals, and {document['round_to']} are kept"
        reasons.append(Reason(f"/fields/{name}/round_to", document["round_to"], "likely", words))
    if FIELD_KINDS.get(name) == "date" and column.kind == "date":
        words = "values without an offset are taken for UTC; set the zone if the source writes its local time"
        reasons.append(Reason(f"/fields/{name}/time_zone", "UTC", "guess", words))
    return reasons


def ask_reading(name: str, column: Column) -> Question:
    """The question which of its readings a column's values are meant in."""
    choices = tuple((options, words) for options, words in column.readings)
    return Question(f"/fields/{name}", f"{column.name}: {column.reason}. Which is right?", choices)


# Choosing


def _choose(columns: Sequence[Column]) -> dict[str, tuple[Column, int, str]]:
    """For each field the column that most speaks for, each column once; (column, score, words)."""
    offers = [
        (score, name, column, words)
        for column in columns
        for name, (score, words) in _scores(column).items()
        if score >= LEAST
    ]
    chosen: dict[str, tuple[Column, int, str]] = {}
    taken: set[str] = set()
    # Of equals the column that is filled more often, then the one that comes first.
    for score, name, column, words in sorted(offers, key=lambda offer: (-offer[0], -offer[2].filled)):
        if name not in chosen and column.name not in taken:
            chosen[name] = (column, score, words)
            taken.add(column.name)
    if "Date" not in chosen:
        dates = [column for column in columns if column.kind == "date"]
        if len(dates) == 1:
            chosen["Date"] = (dates[0], LEAST, "the only column of dates")
    if "Value" not in chosen:
        amounts = [column for column in columns if column.name not in taken and _may_be_a_quantity(column)]
        if len(amounts) == 1:
            words = "no name says quantity, but this is the only other column of numbers with decimals"
            chosen["Value"] = (amounts[0], LEAST, words)
    return chosen


def _may_be_a_quantity(column: Column) -> bool:
    """Whether a column holds numbers with decimals, and nothing in its name speaks against a quantity."""
    weights = _weights("Value")
    is_one = column.kind == "number" and column.decimals > 0 and not column.has_negatives
    return is_one and all(weights.get(word, 0) >= 0 for word in tokens(column.name))


def _weights(name: str) -> dict[str, int]:
    return WORDS[name][1] | SYNONYMS.get(name, {})


def _scores(column: Column) -> dict[str, tuple[int, str]]:
    own = {name.lower(): name for name in FIELD_KINDS} | {one.lower(): name for one, name in FIELD_ALIASES.items()}
    whole = re.sub(r"[^a-z]", "", column.name.lower())
    if whole in own and column.kind != "empty" and _takes(own[whole], column):
        return {own[whole]: (30, "named as the UDR field")}
    words = tokens(column.name)
    scores: dict[str, tuple[int, str]] = {}
    for name, (kinds, _) in WORDS.items():
        if column.kind not in kinds or not _takes(name, column):
            continue
        weights = _weights(name)
        telling = [word for word in words if weights.get(word, 0) > 0]
        score = sum(weights.get(word, 0) for word in words)
        if telling:
            scores[name] = (score, f"its name says {', '.join(telling)}")
    return scores


def _takes(name: str, column: Column) -> bool:
    """Whether the column's values can be what the field holds."""
    kind = FIELD_KINDS[name]
    if name == "Currency":
        return all(re.fullmatch("[A-Z]{3}", text) for text in column.values or column.examples)
    if name == "UniquenessIdentifier":
        return column.is_unique
    if name == "Extensions":
        return column.kind == "object"
    if kind == "boolean":
        is_direction = column.kind == "names" and all(text.lower() in DIRECTIONS for text in column.values)
        return column.kind == "boolean" or is_direction
    if kind == "integer":
        return column.kind in ("number", "identifier") and not column.decimals
    return kind == "text" or kind == column.kind


def tokens(name: str) -> list[str]:
    """The words of a column's name, without accents: of `ChargePeriodStart`, `a-number`, `durée` alike; each once."""
    name = "".join(sign for sign in unicodedata.normalize("NFKD", name) if not unicodedata.combining(sign))
    last = re.split(r"[./]", name)[-1] if re.search(r"[./]", name) else name
    joined = re.sub(r"(?i)\b([ab])[-_ ]?(?=number\b|num\b|nr\b)", r"\1", last)
    words = [word.lower() for word in re.findall(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+", joined)]
    whole = re.sub(r"[^a-z]", "", last.lower())
    return list(dict.fromkeys([*words, whole] if len(words) > 1 else words))


# What is left


def _fill_gaps(fields: dict[str, Any], columns: dict[str, Column], reasons: list[Reason]) -> list[str]:
    """Literals for what each record simply has one of; the rest is named as missing."""
    value = columns.get(fields.get("Value", {}).get("source", ""))
    if value is not None and value.has_negatives and "Amount" in fields:
        fields[f"Extensions.{value.name}"] = {"source": value.name}
        fields["Value"] = {"literal": "1"}
        words = f"{value.name} has values below zero, which no quantity may be; the money counts, so a record counts as"
        reasons[:] = [reason for reason in reasons if not reason.pointer.startswith("/fields/Value")]
        reasons.append(Reason("/fields/Value", "1", "likely", f"{words} one and its quantity is kept beside it"))
        kept = "the quantity is kept, and asks no price"
        reasons.append(Reason(f"/fields/Extensions.{value.name}", value.name, "likely", kept))
    elif value is not None and value.filled < value.total:
        words = f"{value.total - value.filled} of {value.total} records have no value and become exceptions"
        reasons.append(Reason("/fields/Value", value.name, "guess", words))
    if "Value" not in fields:
        fields["Value"] = {"literal": "1"}
        reasons.append(Reason("/fields/Value", "1", "guess", "no column looks like a quantity; a record counts as one"))
    if "UsageClassName" not in fields:
        fields["UsageClassName"] = {"literal": "usage"}
        words = "no column names kinds of usage; every record is of one class, which you may name"
        reasons.append(Reason("/fields/UsageClassName", "usage", "guess", words))
    return missing_of(fields)


def missing_of(fields: dict[str, Any]) -> list[str]:
    """What the `fields` of a document do not give and no literal can stand for."""
    missing = []
    if "Date" not in fields:
        missing.append("Date: no column of the sample looks like the moment of the usage. Choose one.")
    if not any(name in fields for name in IDENTIFIER_FIELDS):
        missing.append("No column says whose usage it is. Choose one for the usage identifier.")
    if "Amount" in fields and "Currency" not in fields:
        missing.append("Currency: there is an amount, but no column says in which currency. Give it as a fixed text.")
    return missing
