"""Files on their way in over HTTP: how far each has come, and the parts that are there."""

import uuid

from django.conf import settings
from django.db import models
from django.db.models import F, Q

from ingestion.models.feeds import Feed


class FileUpload(models.Model):
    """A file that is sent in parts and is not whole yet; the row goes when the file has become an import.

    Who sends bytes holds it: what is added counts only while the holder is still the same.
    """

    token = models.UUIDField(default=uuid.uuid4, unique=True, editable=False, help_text="Names its parts in storage.")
    feed = models.ForeignKey(Feed, on_delete=models.PROTECT, related_name="uploads")
    file_name = models.CharField(max_length=200)
    sent_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    total_size = models.BigIntegerField()
    received_size = models.BigIntegerField(default=0)
    content_hash = models.CharField(
        max_length=64, blank=True, default="", help_text="SHA-256 that the whole file is said to have; empty: not said."
    )
    started_at = models.DateTimeField()
    expires_at = models.DateTimeField(db_index=True, help_text="When it is forgotten, unless more comes before.")
    holder = models.UUIDField(null=True)
    held_until = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["feed", "file_name", "sent_by"], name="one_upload_of_a_name"),
            models.CheckConstraint(
                name="an_upload_has_no_more_than_all",
                condition=Q(received_size__gte=0, received_size__lte=F("total_size")),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.file_name}, {self.received_size:,} of {self.total_size:,} bytes"


class UploadPart(models.Model):
    """Some bytes of an upload, kept as a file of their own."""

    upload = models.ForeignKey(FileUpload, on_delete=models.CASCADE, related_name="parts", db_index=False)
    byte_start = models.BigIntegerField()
    stored = models.FileField(max_length=200)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["upload", "byte_start"], name="upload_part_once")]

    def __str__(self) -> str:
        return f"part of upload {self.upload_id} from byte {self.byte_start}"
