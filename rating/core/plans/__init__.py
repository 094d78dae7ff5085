"""Rate plans as documents and as values."""
