"""The admin site: Sluice's name on it, and the screens in the order in which a record walks."""

from django.contrib import admin


class SluiceAdminSite(admin.AdminSite):
    site_header = "Sluice"
    site_title = "Sluice"
    index_title = "Today"
    site_url = None
