"""Exports in the background: asked for on a list's page, made by workers as the person who asked, kept for a week."""

from config.exporting.jobs import (
    ask_for_export,
    expire_exports,
    export_as,
    jobs_waiting,
    make_next_export,
    may_download,
    open_file,
    screen_of,
)

__all__ = [
    "ask_for_export",
    "expire_exports",
    "export_as",
    "jobs_waiting",
    "make_next_export",
    "may_download",
    "open_file",
    "screen_of",
]
