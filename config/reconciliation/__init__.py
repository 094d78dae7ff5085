"""The monthly reconciliation: received is what became of it, imported is charged or refused, per feed and day."""

from config.reconciliation.work import ask_to_reconcile, months_waiting, reconcile_next_month

__all__ = ["ask_to_reconcile", "months_waiting", "reconcile_next_month"]
