"""The tables that belong to no single room."""

from .audit import AuditEntry
from .figures import AccountFigure, ArrivalFigure, ChargeEstimate, ChargeFigure, FigureRun, OpenFigure
from .notices import Notice

__all__ = [
    "AccountFigure",
    "ArrivalFigure",
    "AuditEntry",
    "ChargeEstimate",
    "ChargeFigure",
    "FigureRun",
    "Notice",
    "OpenFigure",
]
