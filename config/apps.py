"""Registers the roof with Django, and Sluice's own site as the admin."""

from django.apps import AppConfig
from django.conf import settings
from django.contrib.admin import apps as admin_apps
from django.contrib.auth.signals import user_logged_in
from django.utils.module_loading import import_string


class RoofConfig(AppConfig):
    name = "config"
    default = True
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from config.auditing.hooks import tie_in

        tie_in(self)


class SluiceAdminConfig(admin_apps.AdminConfig):
    """Stands in INSTALLED_APPS instead of django.contrib.admin."""

    default = False
    default_site = "config.admin_site.SluiceAdminSite"

    def ready(self) -> None:
        super().ready()
        from config.admin import put_on_site
        from config.personal.time_zones import remember_time_zone
        from config.previewing import price_udrs
        from config.tracing import trace_udr
        from ingestion.selectors import granted_feeds
        from mediation.admin import previews
        from mediation.services import seeing
        from rating.services import billing, explaining

        user_logged_in.connect(remember_time_zone)
        put_on_site()  # now that the packages have registered their own screens, which ours replace
        seeing.GRANTED[:] = [granted_feeds]
        previews.PRICING[:] = [price_udrs]
        explaining.TRACERS[:] = [trace_udr]
        if settings.TAX_ENGINE:
            billing.TAX_ENGINES[:] = [import_string(settings.TAX_ENGINE)()]
