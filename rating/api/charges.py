"""Charges over HTTP, and what an account used and owes."""

from typing import Any, cast

import django_filters
from django.contrib.auth.models import User
from django.db.models import QuerySet
from rest_framework import serializers
from rest_framework import status as http
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from mediation.api import IdFilter, Listed, ModelPermissions, MomentRangeFilter, NewestFirst, Problem
from mediation.api.describing import ID, MOMENT, describe, query
from rating import selectors
from rating.api.schemas import NAME, SUMMARY
from rating.models import Account, BillingPeriod, Charge


class ChargeSerializer(serializers.ModelSerializer[Charge]):
    """A charge or a reversal, with what led to it; numbers are texts of all their digits."""

    account = serializers.CharField(source="account.number")
    service = serializers.CharField(source="service.name")
    usage_class = serializers.CharField(source="usage_class.name")
    plan = serializers.CharField(source="plan.name")
    version = serializers.IntegerField(source="version.number")
    rate_group = serializers.CharField(source="rate.group")
    rate = serializers.CharField(source="rate.name")

    class Meta:
        model = Charge
        fields = (
            *("id", "udr_id", "part", "kind", "date", "account", "service", "usage_class", "plan", "version"),
            *("rate_group", "rate", "quantity", "rated_quantity", "free_quantity", "bucket_quantity"),
            *("tier_position", "credit", "cost", "amount", "currency", "period", "counting_period_id", "rated_at"),
        )


class ChargeFilter(django_filters.FilterSet):
    """By account (its number), usage class (its name), period, and the date of the usage."""

    account = django_filters.CharFilter(method="of_account")
    usage_class = django_filters.CharFilter(field_name="usage_class__name")
    period = IdFilter(field_name="period_id")
    date = MomentRangeFilter()

    def of_account(self, charges: QuerySet[Charge], name: str, number: str) -> QuerySet[Charge]:
        """Charges of an account, by the numbers of its periods.

        Charges have an index by period and none by account, and only numbers that are told let the planner see how few
        of all charges these are.
        """
        periods = BillingPeriod.objects.filter(account__number=number).values_list("pk", flat=True)
        return charges.filter(period_id__in=list(periods))


# What a charge is told by.
NAMED = ("account", "service", "usage_class", "plan", "version", "rate")


@describe("List charges")
class ChargeList(Listed):
    """Charges and reversals, newest first."""

    queryset = Charge.objects.all()
    serializer_class = ChargeSerializer
    filterset_class = ChargeFilter
    pagination_class = NewestFirst
    permission_classes = (ModelPermissions,)

    def get_queryset(self) -> QuerySet[Charge]:
        return selectors.charges_seen(cast(User, self.request.user)).select_related(*NAMED)


class UsageSummary(APIView):
    """What one account used and owes, by usage class: `?account=NUMBER`, and `date_after`, `date_before` if wanted."""

    @describe(
        "Sum up usage",
        parameters=[
            query("account", NAME, "The account's number.", is_required=True),
            query("usage_class", NAME, "The name of a usage class."),
            query("period", ID, "The number of a billing period."),
            query("date_after", MOMENT, "Usage from this moment on."),
            query("date_before", MOMENT, "Usage until this moment."),
        ],
        responses={200: SUMMARY},
        refuses=("unknown_account", "invalid"),
    )
    def get(self, request: Request) -> Response:
        if not request.user.has_perm("rating.view_charge"):
            self.permission_denied(request)
        number = request.query_params.get("account", "")
        account = None if "\0" in number else Account.objects.filter(number=number).first()
        if account is None:
            detail = f"There is no account {number!r}. Name one by its number, as ?account=NUMBER."
            raise Problem(http.HTTP_404_NOT_FOUND, "unknown_account", detail)
        found = ChargeFilter(request.query_params, selectors.charges_seen(cast(User, request.user)))
        if not found.is_valid():
            raise serializers.ValidationError(found.errors)
        return Response({"account": account.number, "name": account.name, "lines": _lines(found.qs)})


def _lines(charges: Any) -> list[dict[str, Any]]:
    return [
        {**line, "quantity": f"{line['quantity']:f}", "amount": f"{line['amount']:f}"}
        for line in selectors.usage_by_class(charges)
    ]
