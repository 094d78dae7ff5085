"""Registers the roof with Django, and Sluice's own site as the admin."""

from django.apps import AppConfig
from django.conf import settings
from django.contrib.admin import apps as admin_apps
from django.contrib.auth.signals import user_logged_in
from django.db.models.signals import post_migrate
from django.utils.module_loading import import_string


class RoofConfig(AppConfig):
    name = "config"
    verbose_name = "Operations"
    default = True
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from config.auditing.hooks import tie_in
        from config.roles import grant_roles
        from config.task_names import name_tasks_in_logs

        tie_in(self)
        name_tasks_in_logs()
        post_migrate.connect(grant_roles, sender=self, dispatch_uid="roles")


class SluiceAdminConfig(admin_apps.AdminConfig):
    """Stands in INSTALLED_APPS instead of django.contrib.admin."""

    default = False
    default_site = "config.admin_site.SluiceAdminSite"

    def ready(self) -> None:
        super().ready()
        from config.access.gate import TokenGate
        from config.admin import put_on_site
        from config.approving.hooks import tie_in
        from config.auditing import screens
        from config.backfilling import charged_in_window, is_billed
        from config.dashboard.benches import IMPORT_VALUES, RATING_VALUES
        from config.exporting.screens import send_to_background
        from config.filters import pages as filter_pages
        from config.fixing import record_pages, usage_pages
        from config.personal.time_zones import remember_time_zone
        from config.previewing import price_udrs
        from config.tracing import trace_udr
        from config.tracing.afterwards import billed_steps, charged_of_batches
        from ingestion.api import gates
        from ingestion.selectors import granted_feeds, origins_of
        from ingestion.services import attempts, backfilling, steps
        from mediation.admin import export, kit, previews, workbench
        from mediation.services import origins, seeing
        from rating.services import billing, explaining

        user_logged_in.connect(remember_time_zone)
        kit.HISTORIES[:] = [screens.HISTORY]
        tie_in()
        put_on_site()  # now that the packages have registered their own screens, which ours replace
        seeing.GRANTED[:] = [granted_feeds]
        origins.ORIGINS[:] = [origins_of]
        gates.GATES[:] = [TokenGate()]
        export.IN_BACKGROUND[:] = [send_to_background]
        previews.PRICING[:] = [price_udrs]
        workbench.IMPORT_BENCH.values, workbench.RATING_BENCH.values = IMPORT_VALUES, RATING_VALUES
        kit.SAVED_FILTERS[:] = [filter_pages.panel]
        workbench.IMPORT_BENCH.actions.insert(0, record_pages.actions)
        workbench.RATING_BENCH.actions.insert(0, usage_pages.actions)
        explaining.TRACERS[:] = [trace_udr]
        backfilling.CHARGED[:] = [charged_in_window]
        backfilling.BILLED[:] = [is_billed]
        attempts.CHARGED[:] = [charged_of_batches]
        steps.AFTERWARDS[:] = [billed_steps]
        if settings.TAX_ENGINE:
            billing.TAX_ENGINES[:] = [import_string(settings.TAX_ENGINE)()]
