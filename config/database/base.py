"""The backend's connection: the embedded server is started by the first process that really connects."""

from typing import Any

from django.db.backends.postgresql import base

from config.database import embedded


class DatabaseWrapper(base.DatabaseWrapper):
    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        embedded.ensure_running()
        return super().get_new_connection(conn_params)
