"""The tables that belong to no single room."""

from .approvals import Approval
from .audit import AuditEntry
from .exports import ExportJob
from .figures import AccountFigure, ArrivalFigure, ChargeEstimate, ChargeFigure, FigureRun, OpenFigure
from .logins import LoginTries
from .notices import Notice
from .preferences import Preference
from .reconciliations import Reconciliation
from .saved_filters import SavedFilter
from .tokens import TokenQuota, TokenScope, TokenUse
from .webhooks import EventType, WebhookAttempt, WebhookDelivery, WebhookEndpoint, WebhookEvent

__all__ = [
    "AccountFigure",
    "Approval",
    "ArrivalFigure",
    "AuditEntry",
    "ChargeEstimate",
    "ChargeFigure",
    "EventType",
    "ExportJob",
    "FigureRun",
    "LoginTries",
    "Notice",
    "OpenFigure",
    "Preference",
    "Reconciliation",
    "SavedFilter",
    "TokenQuota",
    "TokenScope",
    "TokenUse",
    "WebhookAttempt",
    "WebhookDelivery",
    "WebhookEndpoint",
    "WebhookEvent",
]
