"""Constants of text that both engines share: white space, the grammar of numbers, and the words for true and false."""

import re

from mediation.core.numbers import NUMBER_PATTERN

# The characters with Unicode's White_Space property, spelled out because every language's strip has its own list.
WHITE_SPACE = "\t\n\v\f\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000"  # noqa: E501
NUMBER = re.compile(NUMBER_PATTERN.removeprefix("^").removesuffix("$"))  # used with fullmatch
TRUE_TEXTS = ("true", "t", "1", "yes", "y")
FALSE_TEXTS = ("false", "f", "0", "no", "n")
