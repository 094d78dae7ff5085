"""What differs from run to run in what the API answers, told so that it is the same in every run.

Rows are numbered from 1, and tracking ids and ETags likewise, in the order in which they are first met: the same thing
has the same number wherever it is named.
"""

import re
from collections import defaultdict

UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
ETAG = re.compile(r'(?<!\\)"([0-9a-f]{32})(?<!\\)"')
CURSOR = re.compile(r"(?<=[?&]cursor=)c[Dj]0[\w%-]*")
# Workers add what they needed to the time at which they began.
WORKED = re.compile(r"(T\d\d:\d\d):\d\d\.\d+Z")
# What an address is about, by a part of it; of several the last.
ABOUT = {
    "exceptions": "exception",
    "Exception": "exception",
    "charges": "charge",
    "udrs": "udr",
    "rerates": "repricing",
    "what-ifs": "repricing",
    "bucket-grants": "grant",
    "balances": "grant",
    "History": "import",
    "Feed": "feed",
}
NUMBERED = re.compile(rf"(?<=/)({'|'.join(ABOUT)})/([1-9]\d*)(?![\w-])")
SPOKEN = re.compile(r"\b(UDR|charge|rerate|what-if) (\d+)")
SPOKEN_OF = {"UDR": "udr", "charge": "charge", "rerate": "repricing", "what-if": "repricing"}
# The same thing by several names.
KINDS = {
    "counting_period": "period",
    "duplicate_of_udr": "udr",
    "importBatch": "import",
    "dataImportHistory": "import",
    "dataImportUpload": "import",
    "dataImportException": "exception",
    "udrFeed": "feed",
}
OF_A_TYPE = "TypeId"  # these numbers are words of a list


class Plain:
    """Remembers what it was shown, by kind."""

    def __init__(self):
        self.known = defaultdict(dict)

    def text(self, text):
        text = UUID.sub(lambda found: f"00000000-0000-4000-8000-{self._number('uuid', found[0]):012d}", text)
        text = ETAG.sub(lambda found: f'"{self._number("etag", found[1]):032x}"', text)
        text = NUMBERED.sub(lambda found: f"{found[1]}/{self._number(ABOUT[found[1]], int(found[2]))}", text)
        text = SPOKEN.sub(lambda found: f"{found[1]} {self._number(SPOKEN_OF[found[1]], int(found[2]))}", text)
        text = WORKED.sub(r"\1:00Z", CURSOR.sub("cD0y", text))
        return text.replace("http://testserver/", "https://sluice.example/")

    def texts(self, texts):
        return {name: self.text(text) for name, text in texts.items()}

    def document(self, told, path):
        """A body of the address `path`."""
        parts = re.split(r"[/?]", path)
        return self._told(told, next((ABOUT[part] for part in reversed(parts) if part in ABOUT), ""))

    def _told(self, told, about):
        if isinstance(told, str):
            return self.text(told)
        if isinstance(told, list):
            return [self._told(one, about) for one in told]
        if not isinstance(told, dict):
            return told
        kind = told.get("kind") if {"kind", "id"} == set(told) else about
        return {name: self._member(name, value, kind) for name, value in told.items()}

    def _member(self, name, value, about):
        kind = self._kind_of(name, about)
        if not kind or not isinstance(value, int | list):
            return self._told(value, about)
        numbers = [self._number(kind, one) for one in (value if isinstance(value, list) else [value])]
        return numbers if isinstance(value, list) else numbers[0]

    def _kind_of(self, name, about):
        """Of what a member's value is the number; empty: of nothing."""
        if name == "id" or (name == "version" and about == "repricing"):
            return about if name == "id" else "version"
        if name == "period":
            return name
        named = re.fullmatch(r"(\w+?)(?:_ids?|Id)", name)
        return KINDS.get(named[1], named[1]) if named and not name.endswith(OF_A_TYPE) else ""

    def _number(self, kind, value):
        known = self.known[kind]
        return known.setdefault(value, len(known) + 1)
