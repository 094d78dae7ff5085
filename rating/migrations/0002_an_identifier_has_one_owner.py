"""An identifier belongs to one service at any moment: kept by the database, with no extension.

GiST has no equality for text without btree_gist, so the identifier stands as the one-number range of its 64-bit hash. Two
identifiers with the same hash would exclude each other: one chance in 2^64 a pair.
"""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("rating", "0001_tables")]

    operations = [
        migrations.RunSQL(
            sql="""
                ALTER TABLE rating_serviceidentifier
                ADD CONSTRAINT service_identifier_one_owner EXCLUDE USING gist (
                    int8range(hashtextextended(identifier, 0), hashtextextended(identifier, 0), '[]') WITH &&,
                    tstzrange(starts_at, ends_at) WITH &&
                )
            """,
            reverse_sql="ALTER TABLE rating_serviceidentifier DROP CONSTRAINT service_identifier_one_owner",
        ),
        # Balances are overwritten by every batch: room in the page lets that happen without touching an index.
        migrations.RunSQL(
            sql="""
                ALTER TABLE rating_tierposition SET (fillfactor = 60);
                ALTER TABLE rating_bucketbalance SET (fillfactor = 60)
            """,
            reverse_sql="""
                ALTER TABLE rating_tierposition RESET (fillfactor);
                ALTER TABLE rating_bucketbalance RESET (fillfactor)
            """,
        ),
    ]
