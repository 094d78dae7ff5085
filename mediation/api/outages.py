"""Whether the database is away for a while, which no sender can help, or one of our statements failed."""

from django.db import InterfaceError, OperationalError, connection

RETRY_SECONDS = 5
# What PostgreSQL says while it shuts down, starts, or takes nobody more in; 08 is the class of broken connections.
AWAY = ("08", "57P01", "57P02", "57P03", "53300")


def is_outage(error: BaseException) -> bool:
    """Whether there is no database to talk to any more: the connection was lost, or none could be made."""
    if not isinstance(error, OperationalError | InterfaceError):
        return False
    state = getattr(error.__cause__, "sqlstate", None)
    if state is not None:
        return str(state).startswith(AWAY)
    # A connection that breaks says no state; nor does a wrong use of one, which stays open.
    return connection.connection is None or connection.connection.closed
