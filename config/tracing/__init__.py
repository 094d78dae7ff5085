"""The life of a record across the rooms: found by whatever one knows of it, told from the raw row to the statement."""

from config.tracing.origins import trace_udr

__all__ = ["trace_udr"]
