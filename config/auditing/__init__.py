"""The audit: which tables have one, how the database is told who acts, and what a person reads of it."""
