"""The HTTP doors of rating: what was charged, what an account used and owes, and what usage would cost otherwise."""

from django.urls import URLPattern, path

from rating.api.charges import ChargeList, UsageSummary
from rating.api.customers import AccountBalances, AccountUsage
from rating.api.explaining import ExplainedCharge
from rating.api.granting import BucketGrants
from rating.api.repricings import (
    ApplyRerate,
    RepricedAccountList,
    RepricingDetail,
    Rerates,
    TriedAccountList,
    WhatIfDetail,
    WhatIfs,
)

urlpatterns: list[URLPattern] = [
    path("accounts/<path:account>/balances", AccountBalances.as_view(), name="account-balances"),
    path("accounts/<path:account>/usage", AccountUsage.as_view(), name="account-usage"),
    path("bucket-grants", BucketGrants.as_view(), name="bucket-grants"),
    path("charges", ChargeList.as_view(), name="charges"),
    path("charges/<int:pk>", ExplainedCharge.as_view(), name="charge"),
    path("usage-summary", UsageSummary.as_view(), name="usage-summary"),
    path("rerates", Rerates.as_view(), name="rerates"),
    path("rerates/<int:pk>", RepricingDetail.as_view(), name="rerate"),
    path("rerates/<int:pk>/accounts", RepricedAccountList.as_view(), name="rerate-accounts"),
    path("rerates/<int:pk>/apply", ApplyRerate.as_view(), name="apply-rerate"),
    path("what-ifs", WhatIfs.as_view(), name="what-ifs"),
    path("what-ifs/<int:pk>", WhatIfDetail.as_view(), name="what-if"),
    path("what-ifs/<int:pk>/accounts", TriedAccountList.as_view(), name="what-if-accounts"),
]
