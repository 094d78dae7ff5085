"""Every address of Sluice."""

from django.contrib import admin
from django.urls import include, path, re_path
from django.views.generic import RedirectView

from config import answering, views
from config.describing import pages
from config.metrics.page import metrics
from ingestion import api as ingestion_api
from ingestion.api import second_door
from mediation import api as mediation_api
from rating import api as rating_api

api_patterns = [
    *ingestion_api.urlpatterns,
    *mediation_api.urlpatterns,
    *rating_api.urlpatterns,
    *answering.urlpatterns,
]

handler400 = views.refuse_request
handler403 = views.refuse_person
handler404 = views.miss_page
handler500 = views.admit_failure

urlpatterns = [
    path("healthz", views.healthz),
    path("readyz", views.readyz),
    path("metrics", metrics),
    path("api/v1/", include((api_patterns, "api"))),
    path("api/", include((second_door.urlpatterns, "second"))),
    path("api/schema", pages.schema, name="schema"),
    path("api/docs", pages.docs, name="docs"),
    path("api/docs/try", pages.tryout, name="try"),
    re_path(second_door.SPELLINGS, second_door.any_spelling, name="any-spelling"),
    re_path("^api/", views.NoSuchAddress.as_view()),
    path("admin/", admin.site.urls),
    path("", RedirectView.as_view(pattern_name="admin:index")),
]
