"""The screens of ingestion, in the order of the walk: feeds, the import history, what did not become a UDR."""

from . import feeds, imports, rejects

__all__ = ["feeds", "imports", "rejects"]
