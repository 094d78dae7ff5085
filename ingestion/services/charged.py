"""What is charged already: who has its imports mediated again, by whatever way, may need a second person for it."""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

from django.contrib.auth.models import User
from django.db.models import QuerySet

from ingestion.models import ImportException, UsageImport
from ingestion.services import envelopes
from mediation import services as mediation


def require_second_person_for_records(
    *, exceptions: QuerySet[ImportException], does: str, arguments: Mapping[str, Any], by: User | None, now: datetime
) -> None:
    """Raise NeedsSecondPerson where `by` has records mediated again whose imports are mediated again as a whole for it.

    Only an envelope does that, and only what is charged is taken back by it. does: what is done to the records, one of
    `config.approving.records`; arguments: what that needs.
    """
    if not mediation.asks_for_second_person("void", by):
        return
    import_ids = set(exceptions.order_by().values_list("usage_import_id", flat=True).distinct())
    imports = list(UsageImport.objects.filter(pk__in=import_ids))
    require_second_person_for_imports(
        import_ids=envelopes.with_envelope(imports), does=does, arguments=arguments, by=by, now=now
    )


def require_second_person_for_imports(
    *, import_ids: Collection[int], does: str, arguments: Mapping[str, Any], by: User | None, now: datetime
) -> None:
    """The same where it is known which imports are mediated again as a whole."""
    if by is None or not import_ids or not mediation.asks_for_second_person("void", by):
        return
    if not mediation.are_charged(import_ids=import_ids, now=now):
        return
    ids = sorted(import_ids)
    mediation.require_second_person(
        kind="void",
        act="mediate_records_again",
        by=by,
        subject=("ingestion.UsageImport", str(ids[0]) if len(ids) == 1 else ""),
        arguments={"imports": ids, "does": does, **arguments},
        summary=f"{does.capitalize()}, for which {len(ids):,} import{'s are' if len(ids) > 1 else ' is'} mediated again"
        " as a whole: their charges are taken back.",
    )
