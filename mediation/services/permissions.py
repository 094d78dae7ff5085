"""Who may: the services of every room ask, so that no door can forget to."""

from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied


def require_permission(by: User | None, permission: str) -> None:
    """Raise PermissionDenied unless `by` may; nobody in particular is the house itself."""
    if by is not None and not by.has_perm(permission):
        raise PermissionDenied(f"{by} lacks the permission {permission}")
