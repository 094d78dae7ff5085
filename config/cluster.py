"""The main process of the workers: django-q2's cluster, whose forked processes end with the one that forked them.

Without that, a SIGKILL of the main process leaves five orphans that go on working with nobody to watch over them.
"""

import os
import signal
from collections.abc import Callable
from functools import partial
from types import FrameType
from typing import Any

import django
from django.core.management import execute_from_command_line

from config.processes import end_with_parent

Handler = Callable[[Any, int, FrameType | None], None]


def heed_first(handle: Handler) -> Handler:
    """The handler, deaf to further signals once it was called.

    django-q2's sets an event, under a lock that it would wait for itself if another signal called it meanwhile. The
    cluster hung for ever where its parent died and two came at once.
    """

    def heed(cluster: Any, number: int, frame: FrameType | None) -> None:
        for each in (signal.SIGTERM, signal.SIGINT):
            signal.signal(each, signal.SIG_IGN)
        handle(cluster, number, frame)

    return heed


def main() -> None:
    """Run the cluster until it is told to end."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    os.register_at_fork(after_in_child=partial(end_with_parent, signal.SIGKILL))
    django.setup()
    from django_q.cluster import Cluster

    Cluster.sig_handler = heed_first(Cluster.sig_handler)
    execute_from_command_line(["manage.py", "qcluster"])


if __name__ == "__main__":
    main()
