"""The tables that belong to no single room."""

from .audit import AuditEntry
from .exports import ExportJob
from .figures import AccountFigure, ArrivalFigure, ChargeEstimate, ChargeFigure, FigureRun, OpenFigure
from .notices import Notice
from .preferences import Preference

__all__ = [
    "AccountFigure",
    "ArrivalFigure",
    "AuditEntry",
    "ChargeEstimate",
    "ChargeFigure",
    "ExportJob",
    "FigureRun",
    "Notice",
    "OpenFigure",
    "Preference",
]
