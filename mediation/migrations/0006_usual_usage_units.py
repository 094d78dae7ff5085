"""The usage units that sources name most; KB and its kin are powers of 1,000, KiB and its kin powers of 1,024."""

from decimal import Decimal

from django.db import migrations

UNITS = {
    "count": [("count", "1"), ("thousand", "1000"), ("million", "1000000")],
    "time": [("ms", "0.001"), ("s", "1"), ("min", "60"), ("h", "3600"), ("d", "86400")],
    "data": [
        ("bit", "0.125"),
        ("B", "1"),
        *((name, str(1000**power)) for power, name in enumerate(("KB", "MB", "GB", "TB", "PB"), 1)),
        *((name, str(1024**power)) for power, name in enumerate(("KiB", "MiB", "GiB", "TiB", "PiB"), 1)),
    ],
}


def add_units(apps, schema_editor):
    unit = apps.get_model("mediation", "UsageUnit")
    for kind, named in UNITS.items():
        for name, multiplier in named:
            unit.objects.get_or_create(name=name, defaults={"kind": kind, "multiplier": Decimal(multiplier)})


class Migration(migrations.Migration):
    dependencies = [("mediation", "0005_lookup_tables_units_and_repairs")]

    operations = [migrations.RunPython(add_units, migrations.RunPython.noop)]
