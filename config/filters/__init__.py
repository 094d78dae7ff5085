"""Filters of lists under a name: kept once the list has understood them, shown above it, taken away by their owners."""
