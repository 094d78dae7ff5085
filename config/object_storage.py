"""Payloads in an object store that speaks S3: written part by part, read by ranges, never waited for without end.

To be named in SLUICE_PAYLOAD_STORAGE; it needs the dependency group `remote`.
"""

import io
from typing import Any

from botocore.config import Config
from django.core.files.base import File
from storages.backends.s3 import S3Storage

# What is asked for at once where only a little is read, such as of a packed file.
AHEAD_BYTES = 4 << 20
# Of a file that is written; a store takes 10,000 parts, which is 80 GB.
PART_BYTES = 8 << 20
# A server that does not answer holds a worker for less than a minute: three tries.
PATIENCE = {"connect_timeout": 5, "read_timeout": 10, "retries": {"mode": "standard", "total_max_attempts": 3}}


class ObjectStorage(S3Storage):
    """Objects of a bucket. OPTIONS as django-storages has them: `bucket_name` is needed, `endpoint_url` often is.

    Credentials come from the environment (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY), or from the host's role.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**({"client_config": Config(**PATIENCE)} | options))

    def _save(self, name: str, content: Any) -> str:
        """Write an object, part after part: the library's own way holds ten parts in memory, or all of them."""
        target = self.bucket.Object(self._normalize_name(name))
        told = self._get_write_parameters(name, content)
        content.seek(0)
        part = content.read(PART_BYTES)
        if len(part) < PART_BYTES:
            target.put(Body=part, **told)
            return name
        upload = target.initiate_multipart_upload(**told)
        try:
            parts: list[dict[str, Any]] = []
            while part:
                number = len(parts) + 1
                answer = upload.Part(number).upload(Body=part)
                parts.append({"ETag": answer["ETag"], "PartNumber": number})
                part = content.read(PART_BYTES)
            upload.complete(MultipartUpload={"Parts": parts})
        except BaseException:
            upload.abort()
            raise
        return name

    def _open(self, name: str, mode: str = "rb") -> File:
        """As the store has it, by ranges: the library's own file is the whole object, in memory."""
        if mode != "rb":
            raise ValueError(f"An object is opened to be read as bytes, not as {mode!r}.")
        key = self._normalize_name(name)
        return File(io.BufferedReader(Ranges(self.bucket.Object(key)), AHEAD_BYTES), name)


class Ranges(io.RawIOBase):
    """The bytes of an object; each read is a request for just these. Raises FileNotFoundError where it is not there."""

    def __init__(self, found: Any) -> None:
        self._object = found
        self._place = 0
        try:
            self._size = int(found.content_length)
        except found.meta.client.exceptions.ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] == 404:
                raise FileNotFoundError(found.key) from None
            raise

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._place

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._place = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self._size}[whence]
        return self._place

    def readinto(self, buffer: Any) -> int:
        wanted = min(len(buffer), self._size - self._place)
        if wanted <= 0:
            return 0
        body = self._object.get(Range=f"bytes={self._place}-{self._place + wanted - 1}")["Body"]
        content = body.read()
        buffer[: len(content)] = content
        self._place += len(content)
        return len(content)
