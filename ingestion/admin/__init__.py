"""The screens of ingestion, in the order of the walk: feeds, the import history, what did not become a UDR."""

from . import backfills, corrections, exceptions, feeds, imports, rejects, voids

__all__ = ["backfills", "corrections", "exceptions", "feeds", "imports", "rejects", "voids"]
