"""The tables that belong to no single room."""
