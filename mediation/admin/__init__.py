"""The screens of mediation, and the kit that the screens of every room are built from."""

from . import profiles, udrs

__all__ = ["profiles", "udrs"]
