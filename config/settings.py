"""Settings of Sluice: secrets and addresses come from the environment, everything else is said here."""

import logging
import os
import secrets
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import environ  # type: ignore[import-untyped]
from csp.constants import NONE, SELF
from django.core.exceptions import ImproperlyConfigured

from config.approving.policy import read_policy
from config.database import embedded
from config.describing.about import ABOUT
from config.logging import logging_settings
from config.webhooks.addresses import read_networks

BASE_DIR = Path(__file__).resolve().parent.parent
DATA_DIR = embedded.HOME
env = environ.Env()


def kept_secret(path: Path) -> str:
    """The secret in `path`, made on first use; the first of several processes wins."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = path.with_name(f"{path.name}.{os.getpid()}")
        with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(secrets.token_urlsafe(64))
        os.link(fresh, path)
    except FileExistsError:
        pass
    finally:
        fresh.unlink(missing_ok=True)
    return path.read_text()


_secret_file = DATA_DIR / "secret_key"
SECRET_KEY = env.str("SECRET_KEY", "") or (
    _secret_file.read_text() if _secret_file.exists() else kept_secret(_secret_file)
)
DEBUG = env.bool("DEBUG", False)
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["localhost", "127.0.0.1", "[::1]", "testserver"])
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", default=[])

INSTALLED_APPS = [
    "config",
    "ingestion",
    "rating",
    "mediation",
    "config.apps.SluiceAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "csp",
    "rest_framework",
    "knox",
    "django_filters",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "django_q",
    "django_structlog",
]

MIDDLEWARE = [
    "config.access.request_ids.RequestIdMiddleware",
    "config.metrics.requests.RequestsMiddleware",
    "config.access.gate.TellLimits",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "config.personal.time_zones.PersonalTimeZone",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_structlog.middlewares.RequestMiddleware",
    "config.auditing.middleware.ActingMiddleware",
    "config.approving.middleware.SecondPersonMiddleware",
    "config.access.reading.ReaderMiddleware",
]

ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    }
]

# Database. Connections persist: with a new one per task the queue is ten times slower. Django sets sessions to UTC.
_connection = {"CONN_MAX_AGE": 600, "CONN_HEALTH_CHECKS": True, "OPTIONS": {"application_name": "sluice"}}
if env.str("DATABASE_URL", ""):
    _server = env.db_url("DATABASE_URL")
    DATABASES = {"default": {**_server, **_connection, "OPTIONS": _connection["OPTIONS"] | _server.get("OPTIONS", {})}}
else:
    DATABASES = {
        "default": {
            "ENGINE": "config.database",
            "HOST": str(embedded.socket_dir()),
            "NAME": embedded.DATABASE,
            "USER": embedded.SUPERUSER,
            **_connection,
        }
    }
DATABASES["default"]["TEST"] = {"NAME": "test_sluice"}

# Workers. `retry` counts from the moment a task is pulled, its wait in the local queue included.
WORKERS = env.int("SLUICE_WORKERS", 2)
# A class, by its dotted name, that speaks rating.core.settling.TaxEngine; empty: the tables of tax codes.
TAX_ENGINE = env.str("SLUICE_TAX_ENGINE", "")
_TASK_TIMEOUT_SECONDS = 900  # planning goes once through a file of any size; chunks take seconds
Q_CLUSTER = {
    "name": "sluice",
    "orm": "default",
    "workers": WORKERS,
    "queue_limit": WORKERS,
    "bulk": 1,
    "timeout": _TASK_TIMEOUT_SECONDS,
    "retry": 2 * _TASK_TIMEOUT_SECONDS + 60,
    "ack_failures": True,
    "max_attempts": 1,
    "recycle": 100,
    "max_rss": 600_000,  # kB at its peak; the worker ends after the task at hand
    "save_limit": 1000,
    "catch_up": False,
    "poll": 0.2,
}
# Each worker has a share of the cores. Polars reads this when it is imported, which is later than this line.
os.environ.setdefault("POLARS_MAX_THREADS", str(max(1, (os.cpu_count() or 1) // WORKERS)))

# Files
STATIC_URL = "static/"
STATIC_ROOT = DATA_DIR / "static"
STATIC_ROOT.mkdir(parents=True, exist_ok=True)
WHITENOISE_USE_FINDERS = True  # a checkout serves its static files without collectstatic
MEDIA_ROOT = env.str("SLUICE_PAYLOAD_DIR", str(DATA_DIR / "payloads"))
# Folders of this machine that files may be picked up from; by the environment alone, as whoever sets up feeds may not
# read whatever the workers may. What we keep ourselves is never picked up.
_pickup_folder = str(DATA_DIR / "pickup")
PICKUP_GROUNDS: dict[str, Any] = {
    "roots": tuple(name.strip() for name in env.list("SLUICE_PICKUP_ROOTS", default=[_pickup_folder]) if name.strip()),
    "private": (str(DATA_DIR), str(Path(MEDIA_ROOT).resolve())),
    "own": _pickup_folder,
}
if _faulty := [name for name in PICKUP_GROUNDS["roots"] if not name.startswith("/")]:
    raise ImproperlyConfigured(f"SLUICE_PICKUP_ROOTS: write folders from the root, unlike {', '.join(_faulty)}.")
STORAGES = {
    "default": env.json("SLUICE_PAYLOAD_STORAGE", {"BACKEND": "config.storage.DurableStorage"}),
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
DATA_UPLOAD_MAX_MEMORY_SIZE = 10 * 2**20
FILE_UPLOAD_HANDLERS = ["django.core.files.uploadhandler.TemporaryFileUploadHandler"]
# An action on "all in this filter" posts a handful of fields, one on a page of 100 rows little more.
DATA_UPLOAD_MAX_NUMBER_FIELDS = 2000

# Language and time
LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_I18N = True
USE_TZ = True

# Who may come in
_validation = "django.contrib.auth.password_validation"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"{_validation}.UserAttributeSimilarityValidator"},
    {"NAME": f"{_validation}.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": f"{_validation}.CommonPasswordValidator"},
    {"NAME": f"{_validation}.NumericPasswordValidator"},
]
LOGIN_URL = "admin:login"
LOGIN_REDIRECT_URL = "admin:index"

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "config.access.authentication.NarrowingTokenAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_THROTTLE_CLASSES": ["config.access.gate.TokenThrottle", "config.describing.gate.KnownParameters"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["config.describing.parsing.BoundedJSONParser"],
    "DEFAULT_FILTER_BACKENDS": ["django_filters.rest_framework.DjangoFilterBackend"],
    "DEFAULT_SCHEMA_CLASS": "mediation.api.describing.Described",
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "config.describing.negotiating.Negotiation",
    "DEFAULT_METADATA_CLASS": None,  # what an address takes is in the document, and nowhere else
    "EXCEPTION_HANDLER": "mediation.api.problem",
    "TEST_REQUEST_DEFAULT_FORMAT": "json",
}
SPECTACULAR_SETTINGS = {
    "OAS_VERSION": "3.1.0",
    "TITLE": "Sluice",
    "VERSION": "1",
    "DESCRIPTION": ABOUT,
    "SERVE_INCLUDE_SCHEMA": False,
    "COMPONENT_SPLIT_REQUEST": True,
    "SORT_OPERATIONS": False,
    "POSTPROCESSING_HOOKS": [
        "config.describing.document.simplify",
        "config.describing.document.name_tags",
        "config.describing.document.tell_all_members",
        "config.describing.links.tell_links",
        "config.describing.examples.tell_examples",
    ],
    "ENABLE_DJANGO_DEPLOY_CHECK": False,  # a test sees to it that nothing is guessed
}
REST_KNOX = {
    "SECURE_HASH_ALGORITHM": "hashlib.sha512",
    "TOKEN_TTL": timedelta(days=env.int("SLUICE_TOKEN_DAYS", 365)),
    "AUTO_REFRESH": False,  # ingestion remembers when a token ends
}

# What a token may send in a minute where it has no limits of its own, and how many submitted records may wait to be
# mediated before more are refused for a while; 0: no limit.
REQUESTS_PER_MINUTE = env.int("SLUICE_REQUESTS_PER_MINUTE", 0)
RECORDS_PER_MINUTE = env.int("SLUICE_RECORDS_PER_MINUTE", 0)
MAX_WAITING_RECORDS = env.int("SLUICE_MAX_WAITING_RECORDS", 20_000_000)
# The largest file that is taken over HTTP.
MAX_FILE_BYTES = env.int("SLUICE_MAX_FILE_BYTES", 20 * 2**30)

# What needs a second person: by the environment alone, so that nobody can turn it off on a screen.
try:
    FOUR_EYES = read_policy(env.str("SLUICE_FOUR_EYES", ""))
except ValueError as fault:
    raise ImproperlyConfigured(str(fault)) from None

# Private networks that webhooks may be sent to; by the environment alone, too.
try:
    WEBHOOK_ALLOW_PRIVATE = read_networks(env.str("SLUICE_WEBHOOK_ALLOW_PRIVATE", ""))
except ValueError as fault:
    raise ImproperlyConfigured(f"SLUICE_WEBHOOK_ALLOW_PRIVATE: {fault}") from None

# Who may read /metrics: with the token, or straight from these networks.
METRICS_TOKEN = env.str("SLUICE_METRICS_TOKEN", "")
try:
    METRICS_ALLOW = read_networks(env.str("SLUICE_METRICS_ALLOW", "127.0.0.0/8, ::1/128"))
except ValueError as fault:
    raise ImproperlyConfigured(f"SLUICE_METRICS_ALLOW: {fault}") from None

# Whose word on where a request came from is believed.
try:
    PROXIES = read_networks(env.str("SLUICE_PROXIES", ""))
except ValueError as fault:
    raise ImproperlyConfigured(f"SLUICE_PROXIES: {fault}") from None

# What browsers are told. The admin carries no inline script or style.
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [SELF],
        "base-uri": [NONE],
        "object-src": [NONE],
        "frame-ancestors": [NONE],
        "form-action": [SELF],
    }
}
IS_HTTPS = env.bool("SLUICE_HTTPS", False)
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SECURE_SSL_REDIRECT = IS_HTTPS
SECURE_HSTS_SECONDS = 365 * 24 * 3600 if IS_HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = IS_HTTPS
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if IS_HTTPS else None
# A proxy's health check speaks plain HTTP from inside.
SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^readyz$", r"^metrics$"]
SESSION_COOKIE_AGE = 12 * 3600
X_FRAME_OPTIONS = "DENY"

# One line a request, when it ends; the line of its start would say the same again.
DJANGO_STRUCTLOG_TRUST_UPSTREAM_REQUEST_ID = True  # RequestIdMiddleware has seen to it
DJANGO_STRUCTLOG_STATUS_START_LOG_LEVEL = logging.DEBUG
LOGGING = logging_settings(env.str("SLUICE_LOG_LEVEL", "WARNING"), is_for_eyes=DEBUG or sys.stderr.isatty())
