"""What usage would cost: a document of plans, accounts and periods, and usage, in; charges and statements out."""

from rating.core.quoting.answer import answer, faulty
from rating.core.quoting.document import read_setting
from rating.core.quoting.pricing import Quote, quote
from rating.core.quoting.together import read_together
from rating.core.quoting.usage import parse_json, read_rows, read_usage

__all__ = [
    "Quote",
    "answer",
    "faulty",
    "parse_json",
    "quote",
    "read_rows",
    "read_setting",
    "read_together",
    "read_usage",
]
