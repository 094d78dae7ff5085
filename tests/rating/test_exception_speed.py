"""Ten thousand rating exceptions, rated again by workers once what they lack is there."""

import time
from decimal import Decimal

import pytest

from mediation.models import UDR_ID_BITS, IdentifierType, Udr, UdrBatch
from rating import services
from rating.models import Charge, RatingException

from .factories import MAY, NOW, UsageClassFactory
from .test_exception_groups import group_of, mend

pytestmark = [pytest.mark.slow, pytest.mark.django_db]

COUNT = 10_000


def refused():
    batch = UdrBatch.objects.create(status="mediated", feed_id=1, import_id=1, udr_count=COUNT, mediated_at=NOW)
    kind, _ = IdentifierType.objects.get_or_create(name="Unknown")
    usage_class = UsageClassFactory()
    first = batch.pk << UDR_ID_BITS
    Udr.objects.bulk_create(
        Udr(
            id=first + place,
            date=MAY,
            feed_id=1,
            import_id=1,
            record_number=place + 1,
            usage_class=usage_class,
            identifier_type=kind,
            udr_usage_identifier="555",
            value=Decimal(1),
            inbound=False,
            reverse_rating=False,
        )
        for place in range(COUNT)
    )
    services.rate_batches(now=NOW)
    return RatingException.objects.filter(status="open")


def test_ten_thousand_exceptions_are_rated_again_in_seconds(capsys):
    rows = refused()
    group = group_of(rows.first())
    mend()
    began = time.perf_counter()
    services.ask_rerate(exceptions=rows, group=group, by=None, now=NOW)
    asked = time.perf_counter() - began
    while services.rerate_asked(now=NOW):
        pass
    whole = time.perf_counter() - began
    with capsys.disabled():
        print(f"\n{COUNT:,} rating exceptions: asked for in {asked:.2f} s, charged after {whole:.1f} s")
    assert Charge.objects.count() == COUNT
    assert whole < 60
