"""Files on their way in over HTTP, and their parts."""

import django.db.models.deletion
import uuid
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('ingestion', '0040_voids_and_amendments'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='FileUpload',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('token', models.UUIDField(default=uuid.uuid4, editable=False, help_text='Names its parts in storage.', unique=True)),
                ('file_name', models.CharField(max_length=200)),
                ('total_size', models.BigIntegerField()),
                ('received_size', models.BigIntegerField(default=0)),
                ('content_hash', models.CharField(blank=True, default='', help_text='SHA-256 that the whole file is said to have; empty: not said.', max_length=64)),
                ('started_at', models.DateTimeField()),
                ('expires_at', models.DateTimeField(db_index=True, help_text='When it is forgotten, unless more comes before.')),
                ('holder', models.UUIDField(null=True)),
                ('held_until', models.DateTimeField(null=True)),
                ('feed', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='uploads', to='ingestion.feed')),
                ('sent_by', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
        ),
        migrations.CreateModel(
            name='UploadPart',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('byte_start', models.BigIntegerField()),
                ('stored', models.FileField(max_length=200, upload_to='')),
                ('upload', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='parts', to='ingestion.fileupload')),
            ],
        ),
        migrations.AddConstraint(
            model_name='fileupload',
            constraint=models.UniqueConstraint(fields=('feed', 'file_name', 'sent_by'), name='one_upload_of_a_name'),
        ),
        migrations.AddConstraint(
            model_name='fileupload',
            constraint=models.CheckConstraint(condition=models.Q(('received_size__gte', 0), ('received_size__lte', models.F('total_size'))), name='an_upload_has_no_more_than_all'),
        ),
        migrations.AddConstraint(
            model_name='uploadpart',
            constraint=models.UniqueConstraint(fields=('upload', 'byte_start'), name='upload_part_once'),
        ),
    ]
