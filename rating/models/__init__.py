"""The tables of rating, in the order of the walk: what usage costs, who pays, what was charged, what could not be."""

from .accounts import Account, BillingPeriod, Service, ServiceIdentifier
from .charges import BucketBalance, Charge, StatementLine, TierPosition
from .exceptions import RatingException
from .plans import Bucket, Rate, RateGroup, RatePlan, Tier

__all__ = [
    "Account",
    "BillingPeriod",
    "Bucket",
    "BucketBalance",
    "Charge",
    "Rate",
    "RateGroup",
    "RatePlan",
    "RatingException",
    "Service",
    "ServiceIdentifier",
    "StatementLine",
    "Tier",
    "TierPosition",
]
