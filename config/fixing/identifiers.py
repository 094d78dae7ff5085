"""An identifier given to a service, so that usage which nobody pays finds who does."""

from datetime import datetime

from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.db.models import Min, Q, QuerySet

from config.fixing.reading import UnableToMend
from mediation.services import require_permission
from mediation.services.acting import acts
from rating.models import Service, ServiceIdentifier
from rating.selectors import ExceptionGroup, exceptions_of_group

MOST_SERVICES = 25
MOST_HOLDERS = 20


def identifier_of(group: ExceptionGroup) -> str:
    """The whole identifier of a group: its subject may be cut."""
    first = exceptions_of_group(group).order_by("pk").values_list("identifier", flat=True).first()
    return first or ""


def earliest_usage(group: ExceptionGroup) -> datetime | None:
    """The moment of the group's first usage."""
    found: datetime | None = exceptions_of_group(group).aggregate(earliest=Min("udr_date"))["earliest"]
    return found


def holders_of(identifier: str) -> QuerySet[ServiceIdentifier]:
    """Who had the identifier and when, in the order of time."""
    held = ServiceIdentifier.objects.filter(identifier=identifier).select_related("service__account")
    return held.order_by("starts_at")


def services_found(term: str) -> QuerySet[Service]:
    """Services by a part of their name, or the beginning of their account's number, at most so many as one looks at."""
    found = Service.objects.select_related("account").order_by("account__number", "name", "pk")
    wanted = term.strip().replace("\0", "")
    if not wanted:
        return found.none()
    named = Q(name__icontains=wanted) | Q(account__number__istartswith=wanted)
    # By keys, so that a choice among them can be checked with another query.
    return found.filter(pk__in=list(found.filter(named).values_list("pk", flat=True)[:MOST_SERVICES]))


@acts()
def give_identifier(
    *,
    service: Service,
    identifier: str,
    starts_at: datetime,
    ends_at: datetime | None,
    by: User | None,
    now: datetime,
) -> ServiceIdentifier:
    """Let the service own the identifier from one moment to before another. Raises UnableToMend, naming who has it."""
    require_permission(by, "rating.add_serviceidentifier")
    given = ServiceIdentifier(service=service, identifier=identifier, starts_at=starts_at, ends_at=ends_at)
    try:
        with transaction.atomic():
            given.full_clean()
            given.save()
    except ValidationError as refusal:
        raise UnableToMend(" ".join(refusal.messages)) from None
    except IntegrityError:
        raise UnableToMend(f"“{identifier}” was given to another service meanwhile. Look who has it now.") from None
    return given
