"""What happens by the clock; django-q2 looks at these rows twice a minute."""

from django_q.models import Schedule

EVERY_MINUTE = {"schedule_type": Schedule.MINUTES, "minutes": 1}
EVERY_FIVE_MINUTES = {"schedule_type": Schedule.MINUTES, "minutes": 5}
# A file of a slow server may take a quarter of an hour, and then be kept and planned. Less than the queue's `retry`.
PICKUP_SECONDS = 1_800
SCHEDULES = {
    "sweep": {"func": "config.tasks.sweep", **EVERY_MINUTE},
    "poll pick-up locations": {
        "func": "config.tasks.poll_pickups",
        "kwargs": str({"q_options": {"timeout": PICKUP_SECONDS}}),
        **EVERY_MINUTE,
    },
    "expire parts": {"func": "config.tasks.expire_parts", **EVERY_MINUTE},
    "count figures": {"func": "config.tasks.count_figures", **EVERY_MINUTE},
    "watch for anomalies": {"func": "config.tasks.watch_for_anomalies", **EVERY_FIVE_MINUTES},
    "count figures anew": {"func": "config.tasks.count_figures_anew", "schedule_type": Schedule.DAILY},
    "count busy periods": {"func": "config.tasks.count_busy_periods", **EVERY_FIVE_MINUTES},
    "find busy periods": {"func": "config.tasks.find_busy_periods", "schedule_type": Schedule.DAILY},
    "open billing periods": {"func": "config.tasks.open_periods", "schedule_type": Schedule.HOURLY},
    "expire webhooks": {"func": "config.tasks.expire_webhooks", "schedule_type": Schedule.HOURLY},
    "expire uploads": {"func": "config.tasks.expire_uploads", "schedule_type": Schedule.HOURLY},
    "expire login tries": {"func": "config.tasks.expire_login_tries", "schedule_type": Schedule.HOURLY},
    "expire exports": {"func": "config.tasks.expire_exports", "schedule_type": Schedule.HOURLY},
    "make partitions": {"func": "config.tasks.make_partitions", "schedule_type": Schedule.DAILY},
}


def set_schedules() -> None:
    """Make the rows that are missing and put right those that differ, without moving anyone's next run."""
    for name, fields in SCHEDULES.items():
        Schedule.objects.update_or_create(name=name, defaults=fields)
