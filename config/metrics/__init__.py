"""Numbers for a monitor: what arrives, how fast it passes, what waits, whether the workers live."""
