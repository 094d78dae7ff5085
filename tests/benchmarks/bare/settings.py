"""Sluice's settings with the addresses of the bare view."""

from config.settings import *  # noqa: F403

ROOT_URLCONF = "tests.benchmarks.bare.urls"
