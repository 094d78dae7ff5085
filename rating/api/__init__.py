"""The HTTP doors of rating: what was charged, and what an account used and owes."""

from django.urls import URLPattern, path

from rating.api.charges import ChargeList, UsageSummary

urlpatterns: list[URLPattern] = [
    path("charges", ChargeList.as_view(), name="charges"),
    path("usage-summary", UsageSummary.as_view(), name="usage-summary"),
]
