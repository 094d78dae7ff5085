"""The tables of rating, in the order of the walk: what usage costs, who pays, what was charged, what could not be."""

from .accounts import Account, BillingPeriod, Service, ServiceIdentifier
from .charges import BucketDraw, BucketGrant, Charge, CountedPeriod, CountedUsage, Counter, SeenMember
from .exceptions import ExceptionRerate, RatingException, RatingExceptionComment
from .plans import Bucket, Package, PlanVersion, Rate, RatePlan
from .repricings import RepricedAccount, Repricing
from .statements import Statement, StatementLine, StatementTax
from .taxes import ClassTaxCategory, Jurisdiction, TaxCode, TaxExemption, TaxPart

__all__ = [
    "Account",
    "BillingPeriod",
    "Bucket",
    "BucketDraw",
    "BucketGrant",
    "Charge",
    "ClassTaxCategory",
    "CountedPeriod",
    "CountedUsage",
    "Counter",
    "ExceptionRerate",
    "Jurisdiction",
    "Package",
    "PlanVersion",
    "Rate",
    "RatePlan",
    "RatingException",
    "RatingExceptionComment",
    "RepricedAccount",
    "Repricing",
    "SeenMember",
    "Service",
    "ServiceIdentifier",
    "Statement",
    "StatementLine",
    "StatementTax",
    "TaxCode",
    "TaxExemption",
    "TaxPart",
]
