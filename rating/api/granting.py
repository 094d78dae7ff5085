"""Bucket grants over HTTP: what was given to an account and what is left of it, and giving more."""

from typing import Any

import django_filters
from django.utils import timezone
from rest_framework import serializers
from rest_framework import status as http
from rest_framework.request import Request
from rest_framework.response import Response

from mediation.api import Listed, ModelPermissions, NewestFirst, Problem, Strict
from mediation.api.describing import describe
from rating import selectors, services
from rating.api.repricings import NamedField
from rating.models import Account, Bucket, BucketGrant, RatePlan
from rating.services.granting import service_named


class BucketGrantSerializer(serializers.ModelSerializer[BucketGrant]):
    """What a bucket gave its owner for a time, what is used and what is left of it; numbers are texts of all digits."""

    plan = serializers.CharField(source="bucket.plan.name")
    bucket = serializers.CharField(source="bucket.name")
    account = serializers.CharField(source="account.number")
    service = serializers.CharField(source="service_name", allow_null=True, help_text="Null where the grant is shared.")
    left = serializers.DecimalField(max_digits=38, decimal_places=11)

    class Meta:
        model = BucketGrant
        fields = (
            *("id", "plan", "bucket", "account", "service", "starts_at", "ends_at"),
            *("granted", "carried", "used", "left", "reason"),
        )


class GrantSerializer(Strict):
    """What is given: `bucket` of `plan` by their names, `account` by its number, `service` by its name."""

    plan = NamedField(slug_field="name", queryset=RatePlan.objects.all())
    bucket = serializers.CharField(max_length=200)
    account = NamedField(slug_field="number", queryset=Account.objects.all())
    service = serializers.CharField(max_length=200, required=False, allow_null=True)
    size = serializers.DecimalField(max_digits=26, decimal_places=11)
    starts_at = serializers.DateTimeField()
    ends_at = serializers.DateTimeField(required=False, allow_null=True)
    reason = serializers.CharField(max_length=2_000, required=False, allow_blank=True)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        bucket = Bucket.objects.filter(plan=attrs["plan"], name=attrs["bucket"]).first()
        if bucket is None:
            raise serializers.ValidationError({"bucket": [f"Plan {attrs['plan']} has no bucket {attrs['bucket']}."]})
        return {**attrs, "bucket": bucket}


class BucketGrantFilter(django_filters.FilterSet):
    """By account (its number), plan and bucket (their names)."""

    account = django_filters.CharFilter(field_name="account__number")
    plan = django_filters.CharFilter(field_name="bucket__plan__name")
    bucket = django_filters.CharFilter(field_name="bucket__name")


@describe("List grants", methods=["GET"])
class BucketGrants(Listed):
    """What buckets gave, newest first; POST gives a grant of a bucket whose grants are given one by one."""

    queryset = BucketGrant.objects.none()
    serializer_class = BucketGrantSerializer
    filterset_class = BucketGrantFilter
    pagination_class = NewestFirst
    permission_classes = (ModelPermissions,)

    def get_queryset(self) -> Any:
        return selectors.bucket_grants()

    @describe(
        "Give a grant",
        request=GrantSerializer,
        responses={201: BucketGrantSerializer},
        refuses=("unable_to_grant",),
    )
    def post(self, request: Request) -> Response:
        """Give an account, or a service of it, so much from a bucket."""
        form = GrantSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        said = form.validated_data
        try:
            given = services.grant_bucket(
                bucket=said["bucket"],
                account=said["account"],
                service=service_named(said["account"], said.get("service") or ""),
                size=said["size"],
                starts_at=said["starts_at"],
                ends_at=said.get("ends_at"),
                reason=said.get("reason", ""),
                by=request.user,  # type: ignore[arg-type]
                now=timezone.now(),
            )
        except services.UnableToGrant as refusal:
            raise Problem(http.HTTP_409_CONFLICT, "unable_to_grant", str(refusal)) from None
        shown = selectors.bucket_grants().get(pk=given.pk)
        return Response(BucketGrantSerializer(shown).data, status=http.HTTP_201_CREATED)
