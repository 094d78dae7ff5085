"""What holds usage without being a record of a feed is shown to whoever sees that usage."""

import pytest
from django.urls import reverse

from mediation.models import GoldenSample, GoldenSampleChange
from rating.models import BucketDraw, BucketGrant, Counter
from tests.config.crowd import Feed, crowd, person

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("model", [GoldenSample, GoldenSampleChange])
def test_golden_samples_are_seen_by_whoever_sees_every_feed_of_their_profile(model):
    crowd(1, 3)
    first, second, third = Feed.objects.order_by("pk")
    # One profile reads two feeds.
    Feed.objects.filter(pk=third.pk).update(profile=second.profile)
    name = f"mediation_{model._meta.model_name}"

    def shown(feeds):
        client = person(f"mediation.view_{model._meta.model_name}", feeds=feeds)
        found = list(client.get(reverse(f"admin:{name}_changelist")).context["cl"].queryset)
        for sample in model.objects.all():
            opened = client.get(reverse(f"admin:{name}_change", args=[sample.pk])).status_code
            assert (opened == 200) == (sample in found)
        return {sample.profile for sample in found}

    assert shown([]) == set()
    assert shown([first, second]) == {first.profile}
    assert shown([second, third]) == {second.profile}
    assert len(shown(None)) == 3


def test_a_golden_sample_of_another_feed_cannot_be_changed():
    crowd(1, 2)
    first, second = Feed.objects.order_by("pk")
    rights = ("mediation.view_goldensample", "mediation.change_goldensample")
    client = person(*rights, feeds=[first])
    for feed, status in ((first, 200), (second, 404)):
        sample = GoldenSample.objects.get(profile=feed.profile)
        assert client.get(reverse("admin:mediation_goldensample_expect", args=[sample.pk])).status_code == status


@pytest.mark.parametrize("model", [Counter, BucketGrant, BucketDraw])
def test_what_accounts_used_of_all_feeds_is_seen_by_whoever_sees_every_feed(model):
    crowd(1, 2)
    name, right = f"rating_{model._meta.model_name}", f"rating.view_{model._meta.model_name}"
    address = reverse(f"admin:{name}_changelist")
    assert person(right).get(address).status_code == 200
    assert person(right, feeds=list(Feed.objects.all())).get(address).status_code == 403
