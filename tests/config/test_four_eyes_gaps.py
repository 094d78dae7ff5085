"""Four eyes hold where an act does what another one needs two for: by parts, by other ways, or a moment before."""

from decimal import Decimal

import pytest

from config.models import ChargeEstimate
from ingestion import services as ingestion
from ingestion.models import ImportException
from mediation.services.approving import NeedsSecondPerson
from tests.ingestion.factories import NOW, event, feed_of, posted, user_with, work

pytestmark = pytest.mark.django_db


def test_what_nobody_knows_the_value_of_is_not_written_off_among_what_is_worth_little(settings):
    settings.FOUR_EYES = {"write_off": Decimal(100)}
    feed = feed_of()
    ChargeEstimate.objects.create(feed_id=feed.pk, currency="EUR", record_count=10, quantity=1, amount=10)
    posted(feed, event("a", value="1;5"))
    posted(feed_of(), event("b", value="1;5"))
    work()
    by = user_with("ingestion.writeoff_importexception")
    with pytest.raises(NeedsSecondPerson):
        ingestion.write_off_exceptions(exceptions=ImportException.objects.all(), reason="test data", by=by, now=NOW)
    alone = ImportException.objects.filter(feed=feed)
    assert ingestion.write_off_exceptions(exceptions=alone, reason="test data", by=by, now=NOW) == 1
