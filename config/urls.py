"""Every address of Sluice."""

from django.contrib import admin
from django.urls import path
from django.views.generic import RedirectView

from config import views

urlpatterns = [
    path("healthz", views.healthz),
    path("readyz", views.readyz),
    path("admin/", admin.site.urls),
    path("", RedirectView.as_view(pattern_name="admin:index")),
]
