"""The main process of the workers: django-q2's cluster, whose forked processes end with the one that forked them.

Without that, a SIGKILL of the main process leaves five orphans that go on working with nobody to watch over them.
"""

import os
import signal
from functools import partial

from django.core.management import execute_from_command_line

from config.processes import end_with_parent

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    os.register_at_fork(after_in_child=partial(end_with_parent, signal.SIGKILL))
    execute_from_command_line(["manage.py", "qcluster"])
