"""The limit of accepting: Sluice's own settings and web server around a view that only stores the body."""
