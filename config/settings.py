"""Settings of Sluice: secrets and addresses come from the environment, everything else is said here."""

from pathlib import Path

import environ

BASE_DIR = Path(__file__).resolve().parent.parent
env = environ.Env()

INSTALLED_APPS = [
    "config",
    "ingestion",
    "rating",
    "mediation",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "rest_framework",
    "knox",
    "django_filters",
    "django_q",
]
