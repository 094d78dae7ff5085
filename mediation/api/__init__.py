"""What every API of the house answers with: problems by RFC 9457, pages by cursor, and the UDRs themselves."""

from django.urls import path

from mediation.api.filtering import IdFilter, MomentRangeFilter
from mediation.api.listing import Begun, CsvRows, Listed, ModelPermissions, NewestFirst, is_for_spreadsheet
from mediation.api.matching import answer_with_etag, etag_of, require_match
from mediation.api.problems import TYPE, Problem, problem
from mediation.api.strictness import Strict
from mediation.api.udrs import UdrList

__all__ = [
    "TYPE",
    "Begun",
    "CsvRows",
    "IdFilter",
    "Listed",
    "ModelPermissions",
    "MomentRangeFilter",
    "NewestFirst",
    "Problem",
    "Strict",
    "answer_with_etag",
    "etag_of",
    "is_for_spreadsheet",
    "problem",
    "require_match",
]

urlpatterns = [path("udrs", UdrList.as_view(), name="udrs")]
