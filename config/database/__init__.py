"""Django's PostgreSQL backend, which wakes the embedded server of this checkout where no DATABASE_URL names another."""
