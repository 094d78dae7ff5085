"""From the bytes of a sample to its text: what is no text is refused, the encoding is found by strict decoding."""

import codecs
import re
from dataclasses import dataclass

from mediation.core.suggesting.proposals import Question, Reason, UnableToSuggestError

MAX_SAMPLE_BYTES = 1 << 20
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
# What a file starts with that is no text of rows, and what to do about it.
STRANGERS = (
    (b"\x1f\x8b", "is compressed with gzip. Unpack it and give the file inside as the sample."),
    (b"\x28\xb5\x2f\xfd", "is compressed with zstd. Unpack it and give the file inside as the sample."),
    (b"%PDF", "is a PDF. Ask its source for the records as text."),
    (b"\xd0\xcf\x11\xe0", "is a spreadsheet of the old kind (.xls). Save it as CSV and give that as the sample."),
    (b"\xff\xfe", "is UTF-16. Ask its source for UTF-8, or convert it."),
    (b"\xfe\xff", "is UTF-16. Ask its source for UTF-8, or convert it."),
)
# Encodings of one byte a sign, in the order in which they are met in the field, and the bytes that tell them apart.
ONE_BYTE = ("cp1252", "iso-8859-15", "iso-8859-1", "cp850")
PLAUSIBLE = re.compile(r"[^\W\d_]|[€£¥§°²³µ·×–—‘’“”„…«»¿¡ºª®©™\u00a0½¼¾]")


@dataclass(frozen=True)
class Sample:
    """A sample's text, cut after its last whole line where the sample was cut."""

    text: str
    encoding: str
    line_ending: str
    reasons: tuple[Reason, ...]
    questions: tuple[Question, ...]


def read_sample(content: bytes, *, is_whole: bool) -> Sample:
    """The text of a sample. Raises UnableToSuggestError."""
    if not content.removeprefix(BYTE_ORDER_MARK).strip():
        raise UnableToSuggestError("The sample is empty. Choose a file that holds some records.")
    for start, words in STRANGERS:
        if content.startswith(start):
            raise UnableToSuggestError(f"The sample {words}")
    if b"\0" in content:
        raise UnableToSuggestError("The sample holds NUL bytes, so it is no text. Choose a file of text.")
    content = content.removeprefix(BYTE_ORDER_MARK)
    line_ending = "cr" if b"\n" not in content and b"\r" in content[:-1] else "lf"
    if not is_whole:
        content = content[: content.rfind(b"\n" if line_ending == "lf" else b"\r") + 1] or content
    encoding, reasons, questions = _encoding(content, is_whole=is_whole)
    text = content.decode(encoding, "strict" if is_whole else "ignore")
    return Sample(text, encoding, line_ending, tuple(reasons), tuple(questions))


def _encoding(content: bytes, *, is_whole: bool) -> tuple[str, list[Reason], list[Question]]:
    pointer = "/format/encoding"
    if content.isascii():
        text = "the sample holds ASCII characters only, which UTF-8 reads too"
        return "utf-8", [Reason(pointer, "utf-8", "likely", text)], []
    try:
        # A sample that was cut may end inside a character.
        codecs.getincrementaldecoder("utf-8")("strict").decode(content, final=is_whole)
    except UnicodeDecodeError:
        return _one_byte_encoding(content)
    return "utf-8", [Reason(pointer, "utf-8", "sure", "every byte decodes as UTF-8")], []


def _one_byte_encoding(content: bytes) -> tuple[str, list[Reason], list[Question]]:
    """The best of the encodings in which every byte is some sign: never sure, so a person looks at the words."""
    readings = {name: text for name in ONE_BYTE if (text := _decoded(content, name)) is not None}
    scores = {name: _plausibility(text) for name, text in readings.items()}
    best = max(scores, key=lambda name: scores[name])
    equal = [name for name in readings if scores[name] == scores[best] and readings[name] != readings[best]]
    words = {name: _words_beyond_ascii(text) for name, text in readings.items()}
    if equal:
        choices = tuple((name, f"{name}: {', '.join(words[name])}") for name in (best, *equal))
        question = Question(
            "/format/encoding", "The sample is not UTF-8. Which reading of its words is right?", choices
        )
        return best, [], [question]
    text = f"the sample is not UTF-8; read as {best} it says {', '.join(words[best])}"
    return best, [Reason("/format/encoding", best, "guess", text)], []


def _decoded(content: bytes, encoding: str) -> str | None:
    try:
        return content.decode(encoding)
    except UnicodeDecodeError:
        return None


def _plausibility(text: str) -> float:
    """The share of signs beyond ASCII that people write: letters within words count most."""
    beyond = [place for place, sign in enumerate(text) if not sign.isascii()]
    return sum(_plausible_at(text, place) for place in beyond) / len(beyond)


def _plausible_at(text: str, place: int) -> float:
    sign, before = text[place], text[place - 1 : place]
    if not PLAUSIBLE.match(sign):
        return 0
    # A capital inside a word of small letters is what a wrong code page makes of an umlaut.
    return 0.2 if sign.isupper() and before.islower() else 1


def _words_beyond_ascii(text: str) -> list[str]:
    found = dict.fromkeys(re.findall(r"\w*[^\x00-\x7f]\w*", text))
    return [f"“{word}”" for word in list(found)[:3]]
