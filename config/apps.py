"""Registers the roof with Django."""

from django.apps import AppConfig


class RoofConfig(AppConfig):
    name = "config"
    default_auto_field = "django.db.models.BigAutoField"
