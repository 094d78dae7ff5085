"""Filters of lists that people keep, for themselves or for all who see the list."""

from django.conf import settings
from django.db import models

MAX_QUERY = 2_000


class SavedFilter(models.Model):
    """The parameters of a list's address under a name."""

    page = models.CharField(max_length=200, help_text="The name of the list's address in the admin.")
    name = models.CharField(max_length=100)
    query = models.CharField(max_length=MAX_QUERY, help_text="The parameters of the list's address.")
    is_shared = models.BooleanField(
        "for all who see the list", default=False, help_text="Else it is shown to you alone."
    )
    created_at = models.DateTimeField()
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["created_by", "page", "name"], name="saved_filter_name_once_a_list")
        ]
        indexes = [models.Index(fields=["page"], name="saved_filter_of_page")]

    def __str__(self) -> str:
        return self.name
