"""A repricing keeps what its accounts come to: a list of them is not to add up a million rows at every look."""

import django.core.serializers.json
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [('rating', '0008_repricings')]

    operations = [
        migrations.AddField(
            model_name='repricing',
            name='totals',
            field=models.JSONField(default=list, encoder=django.core.serializers.json.DjangoJSONEncoder, help_text='What its accounts come to, by currency, once it is worked out and once it is applied.'),
        ),
    ]
