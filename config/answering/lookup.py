"""`POST usage-identifiers/lookup`: did you get these? Each uniqueness key of a feed with what became of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models.functions import Left
from rest_framework import status as http
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from config.answering.rated import Rated, rated
from config.answering.schemas import LOOKED_UP, LOOKING_UP, LOOKING_UP_CODES
from config.answering.words import find_keys
from ingestion import selectors
from ingestion.api.seeing import SendersSeeTheirOwn, seen_exceptions, seen_imports
from ingestion.core.requests import RequestFault
from ingestion.models import Feed, ImportChunk, ImportException, UsageImport
from mediation import services as mediation
from mediation.api import Problem
from mediation.api.describing import describe
from mediation.models import Udr, UdrKey, VoidedUdr

MOST_KEYS = 1_000
MOST_EXCEPTIONS = 5_000  # open ones of the feed, whose texts are looked through
MOST_CHARS = 4_000  # of each
SHAPE = 'Send {"feed": "API name", "keys": ["key", …]}.'


@dataclass(frozen=True)
class Searched:
    """The exceptions in whose text keys stand. has_more: of its open exceptions not all were looked through."""

    exceptions: Mapping[str, Sequence[int]]
    has_more: bool


class LookUpIdentifiers(APIView):
    """What became of the usage behind 1 to 1,000 keys, with one question of each table whatever their number."""

    permission_classes = (SendersSeeTheirOwn,)

    @describe(
        "Look up usage by its keys",
        request={"application/json": LOOKING_UP},
        responses={200: LOOKED_UP},
        refuses=LOOKING_UP_CODES,
    )
    def post(self, request: Request) -> Response:
        reference, keys = _read(request.data)
        feed = selectors.feed_by(reference)
        seen = mediation.feeds_seen(request.user)  # type: ignore[arg-type]
        if feed is None or (seen is not None and feed.pk not in seen):
            detail = f"There is no feed {reference!r}; use its number or API name."
            raise Problem(http.HTTP_404_NOT_FOUND, "unknown_feed", detail)
        return Response(_answer(feed, keys, request.user))


def _read(document: Any) -> tuple[str, list[str]]:
    """The feed and the keys of a request; every fault of its shape at once."""
    if not isinstance(document, dict):
        raise Problem(http.HTTP_400_BAD_REQUEST, "shape_not_read", SHAPE)
    feed, keys = document.get("feed"), document.get("keys")
    faults = [
        RequestFault("/" + str(name).replace("~", "~0").replace("/", "~1"), "unknown_member", "Only feed and keys.")
        for name in document
        if name not in ("feed", "keys")
    ]
    if not isinstance(feed, str):
        faults.append(RequestFault("/feed", "not_text", "feed is the API name of a feed, or its number as a text."))
    if not isinstance(keys, list):
        faults.append(RequestFault("/keys", "not_a_list", "keys is a list of texts."))
    elif not 1 <= len(keys) <= MOST_KEYS:
        detail = f"1 to {MOST_KEYS:,} keys in a request, not {len(keys):,}."
        faults.append(RequestFault("/keys", "too_many_keys" if keys else "no_keys", detail))
    else:
        bad = [place for place, key in enumerate(keys) if not isinstance(key, str) or not key or "\0" in key]
        faults += [RequestFault(f"/keys/{place}", "bad_key", "A key is a text, and not empty.") for place in bad]
    if faults:
        raise Problem(http.HTTP_400_BAD_REQUEST, faults[0].code, faults[0].detail, faults=faults[:100])
    return str(feed), list(keys or ())


def _answer(feed: Feed, keys: Sequence[str], by: Any) -> dict[str, Any]:
    wanted = list(dict.fromkeys(keys))
    held = dict(UdrKey.objects.filter(feed_id=feed.pk, key__in=wanted).values_list("key", "pk"))
    voided = VoidedUdr.objects.filter(feed_id=feed.pk, key__in=wanted).order_by("voided_at", "pk")
    before = {key: udr_id for key, udr_id in voided.values_list("key", "pk") if key not in held}
    udrs = held | before
    places, charged = _places(list(udrs.values()), by), rated(list(udrs.values()))
    searched = _in_exceptions(feed, [key for key in wanted if key not in udrs], by)

    def told(key: str) -> dict[str, Any]:
        row: dict[str, Any] = {"key": key, "outcome": "not_seen", "udr_id": None, "tracking_id": None}
        row |= {"record_number": None, "rating": None, "charge_ids": [], "exception_ids": []}
        if key in udrs:
            row |= {"outcome": "imported" if key in held else "voided", "udr_id": udrs[key]}
            return row | places.get(udrs[key], {}) | _rating(charged[udrs[key]], by)
        if found := searched.exceptions.get(key):
            row |= {"outcome": "exception", "exception_ids": list(found)}
        return row

    return {
        "feed": feed.api_name,
        "is_under_way": _is_under_way(feed),
        "has_more_exceptions": searched.has_more,
        "results": [told(key) for key in keys],
    }


def _rating(one: Rated, by: Any) -> dict[str, Any]:
    if not (by.has_perm("rating.view_charge") or by.has_perm("rating.view_ratingexception")):
        return {}
    ids = list(one.charge_ids) if by.has_perm("rating.view_charge") else []
    return {"rating": one.rating, "charge_ids": ids}


def _places(udr_ids: Sequence[int], by: Any) -> dict[int, dict[str, Any]]:
    """The tracking id and record number of each UDR, as far as its import may be seen."""
    rows = list(Udr.objects.filter(pk__in=udr_ids).values_list("pk", "import_id", "record_number"))
    imports = seen_imports(UsageImport.objects.filter(pk__in={import_id for _, import_id, _ in rows}), by)
    named = dict(imports.values_list("pk", "tracking_id"))
    return {
        udr_id: {"tracking_id": str(named[import_id]), "record_number": number}
        for udr_id, import_id, number in rows
        if import_id in named
    }


def _in_exceptions(feed: Feed, keys: Sequence[str], by: Any) -> Searched:
    """Open exceptions of the feed with a key in their text, as a word of its own: what was refused has no key."""
    if not keys:
        return Searched({}, has_more=False)
    own = seen_exceptions(ImportException.objects.filter(feed=feed, status=ImportException.Status.OPEN), by)
    texts = list(own.values_list("pk", Left("raw", MOST_CHARS))[: MOST_EXCEPTIONS + 1])
    found = find_keys(sorted(texts[:MOST_EXCEPTIONS]), keys)
    return Searched(found.texts, has_more=len(texts) > MOST_EXCEPTIONS or not found.is_whole)


def _is_under_way(feed: Feed) -> bool:
    """Whether usage of the feed is received and not mediated: a key that was not seen may be in it."""
    undecided = (ImportChunk.Status.WAITING, ImportChunk.Status.CLAIMED)
    return (
        ImportChunk.objects.filter(feed_id=feed.pk, status__in=undecided).exists()
        or UsageImport.objects.filter(feed=feed, status=UsageImport.Status.RECEIVED).exists()
    )
