"""Rerates and what-ifs over HTTP: asked for, followed while they are worked out, looked at by account, applied."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, ClassVar

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import QuerySet
from django.shortcuts import get_object_or_404
from django.utils import timezone
from rest_framework import serializers
from rest_framework import status as http
from rest_framework.generics import RetrieveAPIView
from rest_framework.permissions import BasePermission, IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse
from rest_framework.views import APIView

from mediation.api import Listed, NewestFirst, Problem, Strict, answer_with_etag, require_match
from mediation.api.describing import IF_MATCH, IF_NONE_MATCH, UNCHANGED, describe
from mediation.models import UsageClass
from rating import selectors, services
from rating.api.schemas import FOLLOWED, REPRICING
from rating.models import Account, PlanVersion, RatePlan, RepricedAccount, Repricing
from rating.services.rerating import FILTERS, left_out

Kind = Repricing.Kind
# The addresses of each kind, by the names that `urlpatterns` gives them.
NAMES = {Kind.RERATE: "rerate", Kind.WHAT_IF: "what-if"}
NAMED_BY = {"account": "number", "plan": "name", "usage_class": "name"}


class NamedField(serializers.SlugRelatedField[Any]):
    """A thing by its name."""

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, str) and "\0" in data:
            # The database would not take the question.
            self.fail("does_not_exist", slug_name=self.slug_field, value=data)
        return super().to_internal_value(data)


class AskedSerializer(Strict):
    """Which usage: `account` by its number, `from` and `until` as moments of the usage, `from` included."""

    account = NamedField(slug_field="number", queryset=Account.objects.all(), required=False, allow_null=True)
    until = serializers.DateTimeField(required=False, allow_null=True)

    def get_fields(self) -> dict[str, serializers.Field]:
        # A class cannot have an attribute of this name.
        return {**super().get_fields(), "from": serializers.DateTimeField(required=False, allow_null=True)}

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if attrs.get("from") and attrs.get("until") and attrs["from"] >= attrs["until"]:
            raise serializers.ValidationError({"until": ["Not later than “from”."]})
        return attrs


class RerateSerializer(AskedSerializer):
    """And `plan` and `usage_class` by their names, `import` by its number; `reason` stays with what is changed."""

    plan = NamedField(slug_field="name", queryset=RatePlan.objects.all(), required=False, allow_null=True)
    usage_class = NamedField(slug_field="name", queryset=UsageClass.objects.all(), required=False, allow_null=True)
    reason = serializers.CharField(max_length=2_000)

    def get_fields(self) -> dict[str, serializers.Field]:
        number = serializers.IntegerField(min_value=1, max_value=2**63 - 1, required=False, allow_null=True)
        return {**super().get_fields(), "import": number}


class WhatIfSerializer(AskedSerializer):
    """And `version`, the number of the plan version that is tried."""

    version = serializers.PrimaryKeyRelatedField(queryset=PlanVersion.objects.select_related("plan"))


def filters_of(answers: Mapping[str, Any]) -> dict[str, Any]:
    """Validated answers as the services take filters."""
    filters: dict[str, Any] = {}
    for name in FILTERS:
        value = answers.get(name)
        if value is not None:
            filters[name] = value.isoformat() if name in ("from", "until") else getattr(value, "pk", value)
    return filters


class RepricingSerializer(serializers.ModelSerializer[Repricing]):
    """A rerate or a what-if, with its totals by currency once it is worked out."""

    also_tells: ClassVar[dict[str, Any]] = REPRICING

    class Meta:
        model = Repricing
        fields = ("id", "kind", "status", "version", "filters", "reason", "created_at", "shown_at", "applied_at")

    def to_representation(self, instance: Repricing) -> dict[str, Any]:
        name = NAMES[Kind(instance.kind)]
        told = super().to_representation(instance)
        links = {"self": self._address(name, instance), "accounts": self._address(f"{name}-accounts", instance)}
        if instance.kind == Kind.RERATE and instance.status == Repricing.Status.SHOWN:
            links["apply"] = self._address("apply-rerate", instance)
        named = {"filters": self._named(instance), "totals": [_total(one) for one in instance.totals]}
        return {**told, **named, **self.context.get("more", {}), "links": links}

    def _named(self, instance: Repricing) -> dict[str, Any]:
        """The filters as they were asked for."""
        page = self.context.get("filters") or selectors.filters_with_names([instance])
        return {name: getattr(value, NAMED_BY.get(name, ""), value) for name, value in page[instance.pk].items()}

    def _address(self, name: str, instance: Repricing) -> str:
        return str(reverse(f"api:{name}", args=[instance.pk], request=self.context["request"]))


class FollowedRepricingSerializer(RepricingSerializer):
    """And how far it has come, and what its totals leave out."""

    also_tells: ClassVar[dict[str, Any]] = REPRICING | FOLLOWED


def _total(one: Mapping[str, Any]) -> dict[str, Any]:
    """A total of one currency, amounts as texts."""
    amounts = {name: Decimal(one[name]) for name in ("before", "after")}
    amounts["difference"] = amounts["after"] - amounts["before"]
    return {**one, **{name: f"{amount:f}" for name, amount in amounts.items()}}


class RepricedAccountSerializer(serializers.ModelSerializer[RepricedAccount]):
    """An account's amounts before and after; numbers are texts of all their digits."""

    account = serializers.CharField(source="account.number")
    name = serializers.CharField(source="account.name")
    currency = serializers.CharField(source="account.currency")
    difference = serializers.DecimalField(max_digits=38, decimal_places=11, allow_null=True)

    class Meta:
        model = RepricedAccount
        fields = (
            *("account", "name", "currency", "udr_count", "before", "after", "difference"),
            *("changed_count", "refused_count"),
        )


class SeesRepricings(BasePermission):
    """Who may look at rerates and what-ifs, and at their accounts; who may ask for one is asked with each verb."""

    def has_permission(self, request: Request, view: APIView) -> bool:
        return request.method == "POST" or request.user.has_perm("rating.view_repricing")


class RepricingList(Listed):
    """Those of one kind, newest first; POST asks for another."""

    kind = Kind.RERATE
    serializer_class = RepricingSerializer
    pagination_class = NewestFirst
    permission_classes = (IsAuthenticated, SeesRepricings)

    def get_queryset(self) -> QuerySet[Repricing]:
        return selectors.repricings().filter(kind=self.kind)

    def get_serializer(self, rows: Sequence[Repricing] = (), **kwargs: Any) -> Any:
        context = {**self.get_serializer_context(), "filters": selectors.filters_with_names(rows)}
        return RepricingSerializer(rows, context=context, **kwargs)


@describe(
    "Get a rerate",
    parameters=[IF_NONE_MATCH],
    responses={200: FollowedRepricingSerializer, 304: UNCHANGED},
)
class RepricingDetail(RetrieveAPIView[Repricing]):
    """One of them, with how far it has come; its totals are those of the accounts that are done.

    Totals are of charges alone: `left_out` says in sentences what is not in them, and which versions have commitments.
    """

    kind = Kind.RERATE
    serializer_class = RepricingSerializer
    permission_classes = (IsAuthenticated, SeesRepricings)

    def get_queryset(self) -> QuerySet[Repricing]:
        return selectors.repricings().filter(kind=self.kind)

    def retrieve(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return answer_with_etag(request, _told(request, self.get_object()))


@describe(
    "Get a what-if",
    parameters=[IF_NONE_MATCH],
    responses={200: FollowedRepricingSerializer, 304: UNCHANGED},
)
class WhatIfDetail(RepricingDetail):
    kind = Kind.WHAT_IF


@describe("List the accounts of a rerate")
class RepricedAccountList(Listed):
    """The accounts of one of them."""

    kind = Kind.RERATE
    queryset = RepricedAccount.objects.none()
    serializer_class = RepricedAccountSerializer
    pagination_class = NewestFirst
    permission_classes = (IsAuthenticated, SeesRepricings)

    def get_queryset(self) -> QuerySet[RepricedAccount]:
        asked = get_object_or_404(Repricing, pk=self.kwargs["pk"], kind=self.kind)
        return selectors.repriced_accounts().filter(repricing=asked)


@describe("List the accounts of a what-if")
class TriedAccountList(RepricedAccountList):
    kind = Kind.WHAT_IF


@describe("List rerates", responses=RepricingSerializer(many=True), methods=["GET"])
class Rerates(RepricingList):
    @describe(
        "Ask for a rerate",
        request=RerateSerializer,
        responses={202: RepricingSerializer},
        refuses=("unable_to_rerate",),
    )
    def post(self, request: Request) -> Response:
        """Begin to work out what rating usage again would change; nothing changes before it is applied."""
        form = _read(RerateSerializer, request, "rating.rerate_charge")
        try:
            asked = services.propose_rerate(
                filters=filters_of(form),
                reason=form["reason"],
                by=_person(request),
                now=timezone.now(),
            )
        except services.UnableToRerate as refusal:
            raise Problem(http.HTTP_409_CONFLICT, "unable_to_rerate", str(refusal)) from None
        return _accepted(request, asked)


@describe("List what-ifs", responses=RepricingSerializer(many=True), methods=["GET"])
class WhatIfs(RepricingList):
    kind = Kind.WHAT_IF

    @describe(
        "Ask what if",
        request=WhatIfSerializer,
        responses={202: RepricingSerializer},
        refuses=("unable_to_ask_what_if",),
    )
    def post(self, request: Request) -> Response:
        """Begin to work out what past usage would have cost by a version of its plan; no charge is ever changed."""
        form = _read(WhatIfSerializer, request, "rating.what_if")
        try:
            asked = services.ask_what_if(
                version=form["version"], filters=filters_of(form), by=_person(request), now=timezone.now()
            )
        except services.UnableToAskWhatIf as refusal:
            raise Problem(http.HTTP_409_CONFLICT, "unable_to_ask_what_if", str(refusal)) from None
        return _accepted(request, asked)


class ApplyRerate(APIView):
    @describe(
        "Apply a rerate",
        parameters=[IF_MATCH],
        request=None,
        responses={202: RepricingSerializer},
        refuses=("unable_to_rerate", "needs_second_person"),
    )
    def post(self, request: Request, pk: int) -> Response:
        """Let a rerate that is worked out take effect; If-Match: only as its sender has seen it."""
        _require(request, "rating.rerate_charge")
        asked = get_object_or_404(selectors.repricings(), pk=pk, kind=Kind.RERATE)
        try:
            with transaction.atomic():
                if "If-Match" in request.headers:
                    Repricing.objects.select_for_update().get(pk=pk)
                    asked = selectors.repricings().get(pk=pk)
                    require_match(request, _told(request, asked))
                services.apply_rerate(asked=asked, by=_person(request), now=timezone.now())
        except services.UnableToRerate as refusal:
            raise Problem(http.HTTP_409_CONFLICT, "unable_to_rerate", str(refusal)) from None
        asked.refresh_from_db()
        return _accepted(request, asked)


def _told(request: Request, asked: Repricing) -> dict[str, Any]:
    """One of them as its own address tells it."""
    asked.totals = selectors.repriced_totals(asked)
    more = {
        "progress": selectors.repricing_progress(asked),
        "left_out": left_out(plan_id=asked.filters.get("plan"), version_id=asked.version_id),
    }
    return dict(RepricingSerializer(asked, context={"request": request, "more": more}).data)


def _require(request: Request, permission: str) -> None:
    """Before anything is said about what exists."""
    if not request.user.has_perm(permission):
        raise Problem(http.HTTP_403_FORBIDDEN, "permission_denied", "You may not do this.")


def _read(form: type[AskedSerializer], request: Request, permission: str) -> dict[str, Any]:
    _require(request, permission)
    answers = form(data=request.data)
    answers.is_valid(raise_exception=True)
    return dict(answers.validated_data)


def _person(request: Request) -> User:
    assert isinstance(request.user, User)  # noqa: S101 - IsAuthenticated let it pass
    return request.user


def _accepted(request: Request, asked: Repricing) -> Response:
    told = RepricingSerializer(asked, context={"request": request}).data
    return Response(told, status=http.HTTP_202_ACCEPTED)
