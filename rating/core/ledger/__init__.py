"""From matched usage to charges: counters, buckets, amounts, and every draw, whatever the order in which it came."""

from .pricing import price_usage

__all__ = ["price_usage"]
