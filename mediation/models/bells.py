"""What wakes workers."""

from django.db import models


class Bell(models.Model):
    """A bell that wakes a worker: rung once however many ring it, until a worker answers.

    Work itself is a query over rows; the bell only says that somebody should look. A lost bell costs seconds.
    """

    name = models.CharField(max_length=20, primary_key=True)
    is_ringing = models.BooleanField(default=False)
    rung_at = models.DateTimeField(null=True)
    answered_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return self.name
