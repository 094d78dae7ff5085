"""The screens of mediation, and the kit that the screens of every room are built from."""

from . import golden_samples, lookups, profiles, udrs

__all__ = ["golden_samples", "lookups", "profiles", "udrs"]
