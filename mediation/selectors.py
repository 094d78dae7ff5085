"""Questions about mediation's tables, answered without changing anything."""

import polars as pl
from django.db import connection
from django.db.models import BigIntegerField, Exists, ExpressionWrapper, F, OuterRef, QuerySet, Sum

from mediation.core.frames import Catalogue
from mediation.models import (
    UDR_ID_BITS,
    IdentifierType,
    ProfileVersion,
    RestoredUdr,
    Udr,
    UdrBatch,
    UsageClass,
    VoidedUdr,
)

# Batches whose UDRs count: neither staged nor replaced.
COUNTING = (UdrBatch.Status.MEDIATED, UdrBatch.Status.RATED, UdrBatch.Status.ERRORED)


def active_version(profile_id: int) -> ProfileVersion | None:
    """The version of a profile that new imports use."""
    return ProfileVersion.objects.filter(profile_id=profile_id, status=ProfileVersion.Status.ACTIVE).first()


def catalogue() -> Catalogue:
    """The names of usage classes and identifier types, with their ids."""
    classes = list(UsageClass.objects.values_list("name", "pk", "usage_class_type__name"))
    types = list(IdentifierType.objects.values_list("name", "pk"))
    return Catalogue(
        classes=pl.DataFrame(
            classes,
            schema={"usage_class_name": pl.String, "usage_class_id": pl.Int64, "known_class_type": pl.String},
            orient="row",
        ),
        identifier_types=pl.DataFrame(
            types, schema={"identifier_type_name": pl.String, "identifier_type_id": pl.Int64}, orient="row"
        ),
    )


def counting_udrs(udrs: QuerySet[Udr]) -> QuerySet[Udr]:
    """Those of `udrs` that count: their batch is neither staged nor replaced, and they are not voided."""
    batch_id = ExpressionWrapper(F("id").bitrightshift(UDR_ID_BITS), output_field=BigIntegerField())
    counting = UdrBatch.objects.filter(pk=OuterRef("batch_id"), status__in=COUNTING)
    voided = VoidedUdr.objects.filter(pk=OuterRef("pk"))
    return udrs.annotate(batch_id=batch_id).filter(Exists(counting), ~Exists(voided))


def voids_unsettled() -> QuerySet[VoidedUdr]:
    """Voided UDRs whose charges may still stand."""
    return VoidedUdr.objects.filter(settled_at=None)


def restored_uncharged() -> QuerySet[RestoredUdr]:
    """UDRs that count again and are to be charged again."""
    return RestoredUdr.objects.all()


def batches_of_backfill(backfill_id: int) -> list[int]:
    """The batches of what came by a backfill, whether they count or not."""
    return list(UdrBatch.objects.filter(backfill_id=backfill_id).order_by("pk").values_list("pk", flat=True))


def unsettled_of_backfill(backfill_id: int) -> int:
    """How many UDRs that a backfill replaced have charges that may still stand."""
    return voids_unsettled().filter(backfill_id=backfill_id).count()


def held_by_backfill(backfill_id: int) -> int:
    """How many UDRs came by a backfill and count nowhere yet."""
    held = UdrBatch.objects.filter(backfill_id=backfill_id, status=UdrBatch.Status.HELD)
    return int(held.aggregate(count=Sum("udr_count", default=0))["count"])


def batch_ids_of_import(import_id: int) -> list[int]:
    """The batches of an import whose UDRs count today."""
    return list(UdrBatch.objects.filter(import_id=import_id, status__in=COUNTING).values_list("pk", flat=True))


def is_ringing(name: str) -> bool:
    """Whether a bell rings, or a worker waits for what it is rung for and will hear of it.

    Asked for every submission: as a queryset it took 0.5 ms, in plain SQL it takes 0.05.
    """
    with connection.cursor() as cursor:
        cursor.execute(IS_RINGING, [name, lingering(name)])
        return bool(cursor.fetchone()[0])


# Who waits has the lock alone.
IS_RINGING = """
SELECT EXISTS (SELECT FROM mediation_bell WHERE name = %s AND is_ringing)
    OR NOT pg_try_advisory_xact_lock_shared(hashtextextended(%s, 0))
"""


def lingering(name: str) -> str:
    """What a worker holds while he waits for a bell's work."""
    return f"lingering for {name}"
