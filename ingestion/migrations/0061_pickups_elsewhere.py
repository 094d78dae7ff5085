"""Pick-up locations on other machines: the name of their credentials, and how looking at them goes."""

import django.core.validators
import django.db.models.deletion
import ingestion.models.feeds
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('ingestion', '0070_backfills'),
    ]

    operations = [
        migrations.AddField(
            model_name='feed',
            name='pickup_credentials',
            field=models.CharField(blank=True, db_default='', default='', help_text="Of a server, a name such as CARRIER: the workers' environment has them as SLUICE_PICKUP_CARRIER_USER, …_KEY_FILE or …_PASSWORD for SFTP, …_ACCESS_KEY_ID, …_SECRET_ACCESS_KEY and …_ENDPOINT for S3.", max_length=40, validators=[django.core.validators.RegexValidator('^[A-Z][A-Z0-9_]*$', 'Capital letters, digits and _ only, as in a variable.')]),
        ),
        migrations.AlterField(
            model_name='feed',
            name='pickup_location',
            field=models.CharField(blank=True, help_text='Looked at every minute; files go to done/ or failed/ in it. A folder, or one of a server: /srv/usage, sftp://user@host.example:22/outgoing, or s3://bucket/outgoing.', max_length=500, validators=[ingestion.models.feeds.readable_location]),
        ),
        migrations.CreateModel(
            name='PickupState',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('looked_at', models.DateTimeField()),
                ('next_look_at', models.DateTimeField(help_text='A location that cannot be opened rests until then.', null=True)),
                ('failures', models.PositiveIntegerField(default=0, help_text='Looks without success, one after the other.')),
                ('error', models.TextField(blank=True, default='', help_text='The last trouble that there was.')),
                ('error_at', models.DateTimeField(null=True)),
                ('feed', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, related_name='pickup_state', to='ingestion.feed')),
            ],
        ),
    ]
