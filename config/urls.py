"""Every address of Sluice."""

from django.contrib import admin
from django.urls import include, path
from django.views.generic import RedirectView

from config import views
from ingestion import api as ingestion_api

urlpatterns = [
    path("healthz", views.healthz),
    path("readyz", views.readyz),
    path("api/v1/", include((ingestion_api.urlpatterns, "api"))),
    path("admin/", admin.site.urls),
    path("", RedirectView.as_view(pattern_name="admin:index")),
]
