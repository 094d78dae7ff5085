"""Workers count how often they began to put a period in order or to close it."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('rating', '0012_what_charges_name_stays'),
    ]

    operations = [
        migrations.AddField(
            model_name='billingperiod',
            name='work_attempts',
            field=models.PositiveSmallIntegerField(db_default=0, default=0, help_text='How often workers began to put it in order or to close it.', verbose_name='attempts'),
        ),
    ]
