"""Telephone numbers to E.164, each distinct number once."""

from dataclasses import dataclass

import phonenumbers
import polars as pl

from mediation.core.codes import Code
from mediation.core.transforms.frames import Around, Otherwise, Ran
from mediation.core.transforms.options import Options
from mediation.core.wording import quoted

MAX_NUMBER = 40  # characters; longer texts are no telephone numbers, and are not worth looking at


@dataclass(frozen=True)
class Phone:
    """A telephone number as it is dialled in `region`, to + and digits; without a region only + numbers are read.

    is_strict: the number must lie in a range that is in use, as far as the library's tables know; else its length must
    be possible. Tables age, so a new range would be refused by the strict check.
    """

    region: str | None
    is_strict: bool
    otherwise: Otherwise
    sources: frozenset[str] = frozenset()

    def run(self, text: pl.Series, around: Around) -> Ran:
        distinct = text.unique().drop_nulls()
        numbers = pl.Series([self._e164(number) for number in distinct], dtype=pl.String)
        made = text.replace_strict(distinct, numbers, default=None, return_dtype=pl.String)
        where = f"in {self.region}" if self.region else "with + and country code"
        message = pl.format("{} is no telephone number {}", quoted(pl.col("text")), pl.lit(where))
        return self.otherwise.settle(text, made, around, code=Code.BAD_PHONE_NUMBER, message=message)

    def _e164(self, text: str) -> str | None:
        if len(text) > MAX_NUMBER:
            return None
        try:
            number = phonenumbers.parse(text, self.region)
        except phonenumbers.NumberParseException:
            return None
        accept = phonenumbers.is_valid_number if self.is_strict else phonenumbers.is_possible_number
        # E.164 has no extension, and to drop one would make two lines the same.
        if number.extension or not accept(number):
            return None
        return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def parse_phone(options: Options) -> Phone:
    """Write a telephone number in E.164; `region` is the country in which it was dialled."""
    region = options.maybe_text("region")
    if region is not None and region not in phonenumbers.SUPPORTED_REGIONS:
        options.fault("region", f"{region!r} is no country code of two capital letters, such as AT")
        region = None
    return Phone(region, options.choice("check", ("possible", "valid"), "possible") == "valid", options.otherwise())
