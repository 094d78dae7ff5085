"""Voids, amendments, mediation, reprocessing and rating by several workers at once: each key counts once or not."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import connection
from django.utils import timezone

from ingestion import services as ingestion
from ingestion.models import UsageImport
from mediation.models import Udr, UsageClass, VoidedUdr
from mediation.selectors import counting_udrs
from rating import services as rating
from tests.config.test_voiding import (
    KEYED,
    PRICE,
    amended,
    assert_reconciled,
    call,
    outcomes,
    standing,
    voided,
    work_all,
)
from tests.ingestion.factories import feed_of, in_threads, posted
from tests.rating.factories import RateFactory, subscriber

pytestmark = pytest.mark.django_db(transaction=True, serialized_rollback=True)


def work_some():
    """A worker that takes whatever comes, of every kind, several times over."""
    for _ in range(30):
        now = timezone.now()
        _ = (
            ingestion.void_next(now=now)
            or ingestion.mediate_next_chunks(now=now)
            or rating.reverse_voided(now=now)
            or rating.rate_batches(now=now)
            or rating.settle_waiting(now=now)
        )


def test_many_workers_at_once_count_each_key_once_or_not_at_all():
    feed = feed_of(KEYED)
    rate = RateFactory(usage_class=UsageClass.objects.get(name="calls"), price=str(PRICE))
    who = subscriber(rate.plan).identifier
    start = timezone.now() - timedelta(hours=1)
    sent = [
        posted(feed, *(call(f"{one}-{place}", 2, who) for place in range(5)), now=start + timedelta(seconds=one))
        for one in range(8)
    ]
    work_all(timezone.now())
    again = UsageImport.objects.filter(pk__in=[sent[0].pk, sent[1].pk])
    ingestion.reprocess_imports(imports=again, by=None, now=timezone.now())
    void = voided(feed, *(f"{one}-0" for one in range(8)), now=timezone.now())
    amended(feed, *(call(f"{one}-1", 4, who) for one in range(8)), now=timezone.now())
    posted(feed, *(call(f"{one}-0", 6, who) for one in range(4)), now=timezone.now())
    assert in_threads(work_some, 4) == []
    work_all(timezone.now() + timedelta(minutes=1))
    assert {outcome for _, outcome in outcomes(void)} == {"voided"}
    values = {f"{one}-{place}": Decimal(2) for one in range(8) for place in range(2, 5)}
    values |= {f"{one}-1": Decimal(4) for one in range(8)} | {f"{one}-0": Decimal(6) for one in range(4)}
    assert {udr.uniqueness_identifier: udr.value for udr in counting_udrs(Udr.objects.all())} == values
    assert standing() == sum(values.values()) * PRICE
    assert VoidedUdr.objects.filter(settled_at=None).count() == 0
    assert_reconciled()


def test_voids_whose_rows_another_worker_holds_are_not_counted_as_looked_at():
    feed = feed_of(KEYED)
    rate = RateFactory(usage_class=UsageClass.objects.get(name="calls"), price=str(PRICE))
    who = subscriber(rate.plan).identifier
    posted(feed, call("a", 2, who), call("b", 2, who), now=timezone.now())
    work_all(timezone.now())
    voided(feed, "a", "b", now=timezone.now())
    assert ingestion.void_next(now=timezone.now())
    other_worker = connection.copy()
    try:
        other_worker.set_autocommit(False)
        with other_worker.cursor() as cursor:
            cursor.execute("SELECT FROM mediation_voidedudr WHERE key = 'a' FOR UPDATE")
        assert rating.reverse_voided(now=timezone.now()) == 1
        assert rating.reverse_voided(now=timezone.now()) == 0
        other_worker.rollback()
    finally:
        other_worker.close()
    assert rating.reverse_voided(now=timezone.now()) == 1
    work_all(timezone.now())
    assert standing() == 0
    assert_reconciled()
