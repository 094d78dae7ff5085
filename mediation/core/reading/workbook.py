"""The parts of an XLSX workbook that its cells' values stand in, streamed past within bounds."""

import posixpath
import re
import zipfile
from collections.abc import Callable, Iterator, Sequence
from typing import Any, BinaryIO
from xml.parsers import expat

from mediation.core.reading.cell_values import BUILT_IN, kind_of_format, text_of_number, text_of_serial, unescaped
from mediation.core.reading.frames import UnreadableError
from mediation.core.reading.zips import check_member, open_zip

Cell = tuple[int, Any]  # column from 0, and its text or {ERROR: what is wrong}
ERROR = "error"

FEED_BYTES = 1 << 16
MAX_PART_BYTES = 16 << 20  # of what says where things are
MAX_SHEET_BYTES = 4 << 30
MAX_RATIO = 200
FREE_BYTES = 1 << 20
MAX_STRINGS = 2_000_000
MAX_STRING_CHARS = 64 << 20
MAX_STILL_BYTES = 16 << 20  # without a row or a string coming to its end
MAX_ROWS, MAX_COLUMNS = 1 << 20, 1 << 14  # the format's own
LETTERS = re.compile(r"[A-Z]{1,3}")
DIGITS = "0123456789"

NO_FORMULA_VALUE = "a formula whose value was not saved; open the workbook in a spreadsheet program and save it"


def column_letters(place: int) -> str:
    """The letters of a column counted from 0: A, B, … Z, AA."""
    letters = ""
    place += 1
    while place:
        place, rest = divmod(place - 1, 26)
        letters = chr(65 + rest) + letters
    return letters


def column_place(letters: str) -> int:
    place = 0
    for letter in letters:
        place = place * 26 + ord(letter) - 64
    return place - 1


def _local(name: str) -> str:
    return name.rpartition(":")[2] if ":" in name else name


def _refuse_doctype(*_: Any) -> None:
    raise UnreadableError("The workbook holds a document type, which no spreadsheet program writes. It is not read.")


class Workbook:
    """An opened workbook. Raises UnreadableError and ZipRefusedError, also while its rows are taken."""

    def __init__(self, stream: BinaryIO) -> None:
        self.archive = open_zip(stream)
        self.path = self._related("", "officeDocument").get("", "")
        if not self.path.endswith(".xml"):
            raise UnreadableError("This is no .xlsx workbook. Save it as .xlsx.")
        self.is_1904, self.sheets = self._sheets()

    def rows(self, sheet: str | int) -> Iterator[tuple[int, list[Cell]]]:
        """Each row that the sheet's file holds, in its order: its number and its cells."""
        path = self._sheet_path(sheet)
        return _SheetReader(self._strings(), self._kinds(), is_1904=self.is_1904).rows(self._blocks(path))

    def _sheet_path(self, sheet: str | int) -> str:
        names = [name for name, _ in self.sheets]
        if isinstance(sheet, int) and sheet <= len(names):
            return self.sheets[sheet - 1][1]
        if sheet in names:
            return self.sheets[names.index(str(sheet))][1]
        raise UnreadableError(f"The workbook has no sheet {sheet!r}. It has: {', '.join(names)[:500]}.")

    def _sheets(self) -> tuple[bool, list[tuple[str, str]]]:
        found: list[tuple[str, str]] = []
        paths = self._related(self.path, "worksheet")
        is_1904 = False

        def take(name: str, attributes: dict[str, str]) -> None:
            nonlocal is_1904
            if name == "workbookPr":
                is_1904 = attributes.get("date1904") in ("1", "true")
            elif name == "sheet" and (path := paths.get(attributes.get("id", ""))):
                found.append((attributes.get("name", ""), path))

        self._walk(self.path, take)
        return is_1904, found

    def _kinds(self) -> list[str | None]:
        """For each cell style, what its number format shows."""
        codes: dict[int, str | None] = dict(BUILT_IN)
        kinds: list[str | None] = []
        is_in_cells = False

        def take(name: str, attributes: dict[str, str]) -> None:
            nonlocal is_in_cells
            number = attributes.get("numFmtId", "")
            if name == "numFmt" and number.isdecimal():
                codes[int(number)] = kind_of_format(attributes.get("formatCode", ""))
            elif name in ("cellXfs", "cellStyleXfs", "cellStyles", "dxfs"):
                is_in_cells = name == "cellXfs"
            elif name == "xf" and is_in_cells:
                kinds.append(codes.get(int(number)) if number.isdecimal() else None)

        for path in self._related(self.path, "styles").values():
            self._walk(path, take)
        return kinds

    def _strings(self) -> list[str]:
        for path in self._related(self.path, "sharedStrings").values():
            return _StringReader().strings(self._blocks(path))
        return []

    def _related(self, path: str, kind: str) -> dict[str, str]:
        """The parts of a kind that a part names, by the id it names them by; of the whole package under ""."""
        folder, name = posixpath.split(path)
        found: dict[str, str] = {}

        def take(name: str, attributes: dict[str, str]) -> None:
            if name == "Relationship" and attributes.get("Type", "").endswith(f"/{kind}"):
                target = posixpath.normpath(posixpath.join("/", folder, attributes.get("Target", "")))
                found[attributes.get("Id", "") if path else ""] = target.lstrip("/")

        self._walk(posixpath.join(folder, "_rels", f"{name}.rels"), take)
        return found

    def _walk(self, path: str, take: Callable[[str, dict[str, str]], None]) -> None:
        """Call `take` with the local names of each element of a small part, and of its attributes."""
        parser = _parser()
        parser.StartElementHandler = lambda name, attributes: take(
            _local(name), {_local(key): value for key, value in attributes.items()}
        )
        size = 0
        for block in self._blocks(path):
            size += len(block)
            if size > MAX_PART_BYTES:
                raise UnreadableError(f"The workbook's {path} is larger than {MAX_PART_BYTES:,} bytes.")
            _parse(parser, block, path)
        _parse(parser, b"", path, is_last=True)

    def _blocks(self, path: str) -> Iterator[bytes]:
        """The bytes of a part, as long as they stay within the bounds."""
        try:
            member = self.archive.getinfo(path)
        except KeyError:
            raise UnreadableError(f"This is no whole .xlsx workbook: it lacks {path[:100]}.") from None
        check_member(self.archive, member)
        _check_size(member.file_size, member)
        size = 0
        with self.archive.open(member) as part:
            while block := part.read(FEED_BYTES):
                size += len(block)
                _check_size(size, member)
                yield block


def _check_size(size: int, member: zipfile.ZipInfo) -> None:
    if size > MAX_SHEET_BYTES or size > FREE_BYTES + MAX_RATIO * member.compress_size:
        raise UnreadableError(
            f"The workbook's {member.filename[:100]} unpacks to more than {MAX_SHEET_BYTES:,} bytes or {MAX_RATIO}"
            " times its size, as a bomb does. Save the sheet as CSV and send that."
        )


def _parser() -> Any:
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartDoctypeDeclHandler = _refuse_doctype
    return parser


def _parse(parser: Any, block: bytes, path: str, *, is_last: bool = False) -> None:
    try:
        parser.Parse(block, is_last)
    except expat.ExpatError as error:
        raise UnreadableError(
            f"The workbook's {path} is broken at line {error.lineno:,}, column {error.offset + 1:,}:"
            f" {expat.ErrorString(error.code)}. Nothing was imported."
        ) from None


class _StringReader:
    """Reads the texts that cells share."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.parts: list[str] = []
        self.is_text, self.phonetic, self.chars = False, 0, 0

    def strings(self, blocks: Iterator[bytes]) -> list[str]:
        parser = _parser()
        parser.StartElementHandler, parser.EndElementHandler = self._open, self._close
        parser.CharacterDataHandler = self._take
        fed = still = count = 0
        for block in blocks:
            fed += len(block)
            _parse(parser, block, "shared texts")
            if len(self.texts) > count:
                count, still = len(self.texts), fed
            if count > MAX_STRINGS or self.chars > MAX_STRING_CHARS or fed - still > MAX_STILL_BYTES:
                raise UnreadableError("The workbook holds too much text. Save the sheet as CSV and send that.")
        _parse(parser, b"", "shared texts", is_last=True)
        return self.texts

    def _open(self, name: str, attributes: dict[str, str]) -> None:
        name = _local(name)
        self.phonetic += name == "rPh"
        self.is_text = name == "t" and not self.phonetic

    def _take(self, text: str) -> None:
        if self.is_text:
            self.parts.append(text)
            self.chars += len(text)

    def _close(self, name: str) -> None:
        name = _local(name)
        self.is_text = False
        self.phonetic -= name == "rPh"
        if name == "si":
            self.texts.append(unescaped("".join(self.parts)))
            self.parts.clear()


class _SheetReader:
    """Reads the rows of a sheet."""

    def __init__(self, strings: Sequence[str], kinds: Sequence[str | None], *, is_1904: bool) -> None:
        self.strings, self.kinds, self.is_1904 = strings, kinds, is_1904
        self.ready: list[tuple[int, list[Cell]]] = []
        self.cells: list[Cell] = []
        self.number, self.number_text, self.place = 0, "", -1
        self.places: dict[str, int] = {}
        self.type, self.style, self.has_formula, self.phonetic = "n", "", False, 0
        self.parts: list[str] = []
        self.is_value = self.is_cell = self.is_row = False

    def rows(self, blocks: Iterator[bytes]) -> Iterator[tuple[int, list[Cell]]]:
        parser = _parser()
        parser.StartElementHandler, parser.EndElementHandler = self._open, self._close
        parser.CharacterDataHandler = self._take
        fed = still = 0
        for block in blocks:
            fed += len(block)
            _parse(parser, block, "sheet")
            if self.ready:
                still = fed
                yield from self.ready
                self.ready.clear()
            if fed - still > MAX_STILL_BYTES:
                raise UnreadableError("A row of the sheet is too large, or something that is no row. It is not read.")
        _parse(parser, b"", "sheet", is_last=True)
        yield from self.ready

    def _open(self, name: str, attributes: dict[str, str]) -> None:
        name = _local(name)
        if name == "v":
            self.is_value = self.is_cell
            return
        if name == "c" and self.is_row:
            self._open_cell(attributes)
        elif name == "row":
            self._open_row(attributes.get("r"))
        elif name == "f":
            self.has_formula = True
        elif name == "rPh":
            self.phonetic += 1
        self.is_value = self.is_cell and name == "t" and not self.phonetic

    def _open_row(self, told: str | None) -> None:
        number = int(told) if told and told.isdecimal() and len(told) < 8 else self.number + 1
        if number <= self.number or number > MAX_ROWS:
            raise UnreadableError(f"Row {number:,} of the sheet stands below row {self.number:,}. It cannot be read.")
        self.number, self.number_text = number, str(number)
        self.place, self.cells, self.is_row = -1, [], True

    def _open_cell(self, attributes: dict[str, str]) -> None:
        told = attributes.get("r", "")
        place = self._place_of(told) if told else self.place + 1
        if place <= self.place or place >= MAX_COLUMNS:
            told = (told or column_letters(place))[:40]
            raise UnreadableError(f"The cell {told} of row {self.number:,} does not stand where it can.")
        self.place, self.type, self.style = place, attributes.get("t", "n"), attributes.get("s", "")
        self.has_formula, self.is_cell = False, True
        self.parts.clear()

    def _place_of(self, cell: str) -> int:
        """The column of a cell that names itself, such as B3; -1 where that is none of this row."""
        letters = cell.rstrip(DIGITS)
        if cell[len(letters) :] != self.number_text:
            return -1
        if letters not in self.places:
            self.places[letters] = column_place(letters) if LETTERS.fullmatch(letters) else -1
        return self.places[letters]

    def _take(self, text: str) -> None:
        if self.is_value:
            self.parts.append(text)

    def _close(self, name: str) -> None:
        name = _local(name)
        self.is_value = False
        if name == "c" and self.is_cell:
            self.is_cell = False
            text = "".join(self.parts)
            if text or self.has_formula:
                self.cells.append((self.place, self._value(text)))
        elif name == "row" and self.is_row:
            self.is_row = False
            self.ready.append((self.number, self.cells))
        elif name == "rPh":
            self.phonetic -= 1

    def _value(self, text: str) -> Any:
        try:
            return self._text(text)
        except ValueError as error:
            return {ERROR: str(error)}

    def _text(self, text: str) -> str:
        if self.type == "s":
            if not text.isdecimal() or int(text[:10]) >= len(self.strings):
                raise ValueError(f"the shared text {text[:20]}, which the workbook does not have")
            return self.strings[int(text)]
        if self.type == "e":
            raise ValueError(f"the error {text[:40]}")
        if self.type in ("str", "inlineStr"):
            return unescaped(text)
        if not text:
            raise ValueError(NO_FORMULA_VALUE)
        if self.type == "b":
            return "true" if text == "1" else "false"
        if self.type == "d":
            return text
        kind = self.kinds[int(self.style)] if self.style.isdecimal() and int(self.style[:9]) < len(self.kinds) else None
        return text_of_serial(text.strip(), kind, is_1904=self.is_1904) if kind else text_of_number(text.strip())
