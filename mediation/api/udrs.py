"""UDRs over HTTP."""

from typing import cast

import django_filters
from django.contrib.auth.models import User
from django.db.models import QuerySet
from rest_framework import serializers

from mediation import selectors, services
from mediation.api.describing import describe
from mediation.api.filtering import IdFilter, MomentRangeFilter
from mediation.api.listing import Listed, ModelPermissions, NewestFirst
from mediation.models import Udr


class UdrSerializer(serializers.ModelSerializer[Udr]):
    """A UDR; numbers are texts of all their digits."""

    usage_class = serializers.CharField(source="usage_class.name")
    identifier_type = serializers.CharField(source="identifier_type.name")

    class Meta:
        model = Udr
        exclude = ("feed_id", "import_id")


class UdrFilter(django_filters.FilterSet):
    """By feed (its number), usage class (its name) and date."""

    feed = IdFilter(field_name="feed_id")
    usage_class = django_filters.CharFilter(field_name="usage_class__name")
    date = MomentRangeFilter()


@describe("List UDRs")
class UdrList(Listed):
    """What mediation made of records, newest first; UDRs that a reprocess replaced are left out."""

    queryset = Udr.objects.select_related("usage_class", "identifier_type")
    serializer_class = UdrSerializer
    filterset_class = UdrFilter
    pagination_class = NewestFirst
    permission_classes = (ModelPermissions,)

    def get_queryset(self) -> QuerySet[Udr]:
        return services.seen(selectors.counting_udrs(super().get_queryset()), cast(User, self.request.user))
