"""What was changed in the database: by whom, when, how and why; written by triggers alone and never changed."""

from django.contrib.postgres.indexes import BrinIndex
from django.db import models


class AuditEntry(models.Model):
    """A row of an audited table that came, changed or went.

    The triggers of the database (`config.auditing`) write these, whatever path the change came by; others (migration
    0002) refuse to change or delete one. Names stand beside numbers, so that an entry outlives what it tells of.
    """

    class Operation(models.TextChoices):
        INSERT = "insert", "added"
        UPDATE = "update", "changed"
        DELETE = "delete", "removed"
        TRUNCATE = "truncate", "table emptied"

    at = models.DateTimeField()
    transaction_id = models.BigIntegerField(help_text="Entries of one transaction were changed together.")
    table_name = models.CharField("table", max_length=63)
    object_id = models.TextField("row", help_text="Its key, as text.")
    owner_table = models.CharField(max_length=63, blank=True, help_text="What the row is a part of, where it is.")
    owner_id = models.TextField(blank=True)
    operation = models.CharField(max_length=8, choices=Operation)
    before = models.JSONField(null=True, help_text="Of a change only what differs.")
    after = models.JSONField(null=True)
    actor_id = models.BigIntegerField(null=True)
    actor_name = models.CharField("who", max_length=150)
    why = models.TextField(blank=True)
    source = models.CharField("how", max_length=20)
    request_id = models.TextField("request or task", blank=True)

    class Meta:
        verbose_name = "audit entry"
        verbose_name_plural = "audit"
        default_permissions = ("view",)
        indexes = [
            models.Index(fields=["object_id", "table_name", "id"], name="audit_entry_object"),
            models.Index(fields=["table_name", "id"], name="audit_entry_table"),
            models.Index(
                fields=["owner_table", "owner_id", "id"], condition=~models.Q(owner_table=""), name="audit_entry_owner"
            ),
            models.Index(fields=["actor_id", "id"], name="audit_entry_actor"),
            models.Index(fields=["source", "id"], name="audit_entry_source"),
            BrinIndex(fields=["at"], name="audit_entry_at"),
        ]

    def __str__(self) -> str:
        return f"{self.table_name} {self.object_id} {self.get_operation_display()}"
