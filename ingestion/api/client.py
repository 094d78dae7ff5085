"""Sends a file of usage over HTTP so that nothing is lost and nothing counted twice: one file, no library but Python's.

    SLUICE_TOKEN=… python client.py https://sluice.example calls calls.csv --wait

The file goes in requests of 1,000 records, several at once. Each has an Idempotency-Key made of the file's content and
the request's place in it: whatever breaks, the same request is sent again, and a client that is started again after a
crash or a power cut repeats nothing that was taken. Where the server or the network has trouble it comes again, with
growing gaps, and not before a Retry-After. The file is read as it is sent; memory does not grow with it.

Exit codes: 0 all is taken, and with --wait every record is usage; 1 with --wait, where some records are not; 2 refused
by the server, or the file cannot be read; 3 the server could not be reached for long: start it again; 130 interrupted.
"""

import argparse
import csv
import gzip
import hashlib
import json
import os
import queue
import random
import re
import ssl
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import parsedate_to_datetime
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from io import TextIOWrapper
from itertools import count
from pathlib import Path
from typing import IO, Any, NamedTuple, TextIO
from urllib.parse import quote, urlsplit

TOKEN = "SLUICE_TOKEN"  # noqa: S105 - the name of the variable
MOST_RECORDS = 1_000  # of a request; the server takes no more
MOST_CHARS = 2_000_000  # of a request, of at most 10 MiB, and of a line
MOST_LINES = 1_000  # of a record
BLOCK = 1 << 20
AGAIN = (408, 425, 429, 500, 502, 503, 504)
FIRST_GAP, LONGEST_GAP = 0.5, 60.0  # seconds before the second try, and at most between two
LOOK_GAPS = (0.1, 0.25, 0.5, 1.0, 2.0)  # seconds between two looks whether an import has ended; then the last one
ENDED = ("completed", "failed", "errored")
OUTCOMES = {"imported": "imported", "exception": "exceptions", "skipped": "skipped", "duplicate": "duplicates"}
TELL_SECONDS = 5.0
SHOWN = 20  # exceptions that are told one by one
# Numbers are read as the texts that they are: what is sent is the file's own text.
DECODER = json.JSONDecoder(parse_float=str, parse_int=str, parse_constant=str)
OPENING = re.compile(r'\s*(?:\{\s*"data"\s*:\s*)?\[\s*(\])?')
BETWEEN = re.compile(r"\s*([,\]])\s*")


class Trouble(Exception):
    """What ends the sending; `code` is the exit code."""

    code = 2


class GaveUp(Trouble):
    code = 3


class Part(NamedTuple):
    """The records of one request. number: its place in the file, first_record: its first record's, both from 1."""

    number: int
    first_record: int
    records: list[str]


class Answer(NamedTuple):
    status: int
    retry_after: float
    document: dict[str, Any] | None


def rows_of(stream: TextIO, *, delimiter: str, quotes: str, header_rows: int) -> Iterator[str]:
    """The rows of a delimited file as JSON texts; one goes over several lines where a quoted field does."""
    taken: list[str] = []

    def noting() -> Iterator[str]:
        for line in lines_of(stream):
            taken.append(line)
            if len(taken) > MOST_LINES:
                raise Trouble(f"A quote that is opened is not closed: {taken[0][:200]!r}. See --quote.")
            yield line.replace("\r", "").replace("\0", "")

    csv.field_size_limit(2 * MOST_CHARS)
    # Without a sign for quotes there is none that a text holds.
    for number, _ in enumerate(csv.reader(noting(), delimiter=delimiter, quotechar=quotes or "\x1f")):
        row = "".join(taken).rstrip("\r\n")
        taken.clear()
        if row and number >= header_rows:
            yield json.dumps(row, ensure_ascii=False)


def json_lines_of(stream: TextIO) -> Iterator[str]:
    """The records of a file with a JSON record in each line."""
    for number, line in enumerate(lines_of(stream), start=1):
        if record := line.strip():
            try:
                DECODER.decode(record)
            except (ValueError, RecursionError) as error:
                raise Trouble(f"Line {number:,} is not JSON: {error}.") from None
            yield record


def json_list_of(stream: TextIO) -> Iterator[str]:
    """The records of a file that is one JSON list of them, or an object with that in `data`."""
    buffer = stream.read(BLOCK)
    opening = OPENING.match(buffer)
    if opening is None:
        raise Trouble("The file is no JSON list; one record a line is --format ndjson.")
    place, is_over, number = opening.end(), opening[1] is not None, 1
    while not is_over:
        if (found := _next_item(buffer, place)) is None:
            more = stream.read(max(BLOCK, len(buffer) - place))
            if not more or len(buffer) - place > MOST_CHARS + BLOCK:
                raise Trouble(f"The list is not JSON from record {number:,} on.")
            buffer, place = buffer[place:] + more, 0
            continue
        yield buffer[place : found[0]]
        place, is_over, number = found[1], found[2], number + 1
    if (buffer[place:] + stream.read(BLOCK)).strip() not in ("", "}"):
        raise Trouble("After the list of records there is more, which was not sent.")


def _next_item(buffer: str, place: int) -> tuple[int, int, bool] | None:
    """Where an item ends, where the next one begins, and whether there is none; None where the buffer is too short."""
    try:
        end = DECODER.raw_decode(buffer, place)[1]
    except ValueError:
        return None
    except RecursionError:
        raise Trouble("A record is nested too deeply.") from None
    between = BETWEEN.match(buffer, end)
    return between and (end, between.end(), between[1] == "]")


def lines_of(stream: TextIO) -> Iterator[str]:
    for line in iter(lambda: stream.readline(MOST_CHARS + 1), ""):
        if len(line) > MOST_CHARS:
            raise Trouble(f"A line has more than {MOST_CHARS:,} characters: {line[:200]!r}.")
        yield line


def parts_of(records: Iterator[str], size: int) -> Iterator[Part]:
    """Records in requests of `size`, or of fewer where they are long."""
    part: list[str] = []
    number, first, chars = 1, 1, 0
    for record in records:
        if part and (len(part) == size or chars + len(record) > MOST_CHARS):
            yield Part(number, first, part)
            number, first, part, chars = number + 1, first + len(part), [], 0
        part.append(record)
        chars += len(record)
    if part:
        yield Part(number, first, part)


class UsageFile:
    """A file of usage: its records in requests, and how far it is read. Packed with gzip if its name ends with .gz."""

    def __init__(self, told: argparse.Namespace) -> None:
        self._told = told
        self.path = Path(told.file)
        self.is_packed = self.path.suffix == ".gz"
        endings = (self.path.with_suffix("") if self.is_packed else self.path).suffix.lower()
        guessed = {".json": "json", ".ndjson": "ndjson", ".jsonl": "ndjson"}.get(endings, "rows")
        self.format = told.format or guessed
        self.read_share = 0.0

    def key(self) -> str:
        """What the Idempotency-Keys of its requests begin with: other bytes, or other requests, have other keys."""
        digest = hashlib.sha256()
        with self.path.open("rb") as file:
            while block := file.read(BLOCK):
                digest.update(block)
        told = self._told
        cut = (self.format, told.encoding, told.size, told.header_rows, told.delimiter, told.quote)
        return hashlib.sha256(digest.digest() + repr(cut).encode()).hexdigest()[:40]

    def parts(self) -> Iterator[Part]:
        before = self.path.stat()
        size = before.st_size or 1
        with self.path.open("rb") as raw:
            plain: IO[bytes] = gzip.GzipFile(fileobj=raw) if self.is_packed else raw  # type: ignore[assignment]
            encoding = self._told.encoding
            with TextIOWrapper(plain, "utf-8-sig" if encoding == "utf-8" else encoding, newline="\n") as stream:
                for part in parts_of(self._records(stream), self._told.size):
                    self.read_share = raw.tell() / size
                    yield part
        after = self.path.stat()
        if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
            raise Trouble(f"{self.path} changed while it was read. Send it again once nobody writes to it.")

    def _records(self, stream: TextIO) -> Iterator[str]:
        told = self._told
        if self.format == "json":
            return json_list_of(stream)
        if self.format == "ndjson":
            return json_lines_of(stream)
        return rows_of(stream, delimiter=told.delimiter, quotes=told.quote, header_rows=told.header_rows)


class Server:
    """A server that is asked again until it answers, by several threads, each over a connection that it keeps."""

    def __init__(self, address: str, token: str, patience_seconds: float) -> None:
        self._place = urlsplit(address)
        if self._place.scheme not in ("http", "https") or not self._place.hostname or not has_port(address):
            raise Trouble(f"{address!r} is no address; it is like https://sluice.example.")
        if not re.fullmatch(r"[!-~]+", token):
            raise Trouble(f"{TOKEN} holds what no token is: it has no blanks and no letters with accents.")
        self._token = token
        self._patience_seconds = patience_seconds
        self._own = threading.local()
        self.is_stopped = threading.Event()
        self.retried = 0
        self.last_trouble = ""

    def ask(self, path: str, must_have: str, body: bytes | None = None, key: str = "") -> dict[str, Any]:
        """The document that a request is answered with; a body is posted. Raises Trouble where it is refused.

        must_have: a member without which it is no answer of Sluice, whatever stands between.
        """
        give_up_at = time.monotonic() + self._patience_seconds
        for tries in count():
            try:
                answer = self._ask_once(path, body, key)
            except ssl.SSLCertVerificationError as error:
                raise Trouble(f"The server is not who it says it is: {error}") from None
            except (OSError, HTTPException) as error:
                answer, trouble = None, f"{type(error).__name__}: {error}"
            if answer is not None:
                if answer.status < 300 and answer.document is not None and must_have in answer.document:
                    return answer.document
                trouble = refusal_in(answer)
                if answer.status not in AGAIN and not answer.retry_after:
                    raise Trouble(trouble)
            self._pause(tries, answer.retry_after if answer else 0.0, give_up_at, trouble)
        raise AssertionError  # count() does not end

    def _ask_once(self, path: str, body: bytes | None, key: str) -> Answer:
        connection: HTTPConnection | None = getattr(self._own, "connection", None)
        if connection is None:
            kind = HTTPSConnection if self._place.scheme == "https" else HTTPConnection
            connection = self._own.connection = kind(str(self._place.hostname), self._place.port, timeout=60)
        headers = {"Authorization": f"Token {self._token}", "Accept": "application/json"}
        if body is not None:
            headers |= {"Content-Type": "application/json", "Idempotency-Key": key}
        try:
            connection.request("GET" if body is None else "POST", self._place.path.rstrip("/") + path, body, headers)
            answer = connection.getresponse()
            content = answer.read()
        except BaseException:
            # Whether it was taken is not known: it is sent again over another connection, with the same key.
            connection.close()
            raise
        try:
            document = json.loads(content)
        except ValueError:
            document = None
        seconds = seconds_of(answer.headers.get("Retry-After"))
        return Answer(answer.status, seconds, document if isinstance(document, dict) else None)

    def _pause(self, tries: int, at_least: float, give_up_at: float, trouble: str) -> None:
        """Let some time pass: longer after each try, and not the same for all who wait."""
        gap = random.uniform(0.5, 1.0) * min(LONGEST_GAP, FIRST_GAP * 2**tries)  # noqa: S311
        gap = max(gap, at_least + random.uniform(0.0, 0.5) if at_least else 0.0)  # noqa: S311
        if time.monotonic() + gap > give_up_at:
            raise GaveUp(f"{trouble} Nothing is lost or doubled if the same file is sent again.")
        self.retried += 1
        self.last_trouble = trouble
        if self.is_stopped.wait(gap):
            raise Trouble("Stopped.")


def has_port(address: str) -> bool:
    """Whether an address names a port that there can be, or none."""
    try:
        return urlsplit(address).port != 0
    except ValueError:
        return False


def seconds_of(retry_after: str | None) -> float:
    """How long a Retry-After asks to wait, which is a number of seconds or a moment."""
    if not retry_after:
        return 0.0
    if retry_after.strip().isdecimal():
        return float(retry_after)
    try:
        return max(0.0, parsedate_to_datetime(retry_after).timestamp() - time.time())
    except ValueError:
        return 0.0


def refusal_in(answer: Answer) -> str:
    """What a refusal says, with every fault; of an answer that is no problem document, what it is."""
    problem = answer.document or {}
    if "detail" not in problem:
        return f"{answer.status}: this is no answer of Sluice; look at the address."
    faults = [f"{fault.get('pointer', '')}: {fault.get('detail', '')}" for fault in problem.get("errors") or []]
    return "\n  ".join([f"{answer.status} {problem.get('code', '')}: {problem['detail']}", *faults])


class Sending:
    """A file on its way: requests in flight, what was taken, and what stopped it."""

    def __init__(self, server: Server, usage: UsageFile, feed: str, flights: int) -> None:
        self.server, self.usage = server, usage
        self._path = f"/api/v1/feeds/{quote(feed, safe='')}/usage"
        self._flights = flights
        self._parts: queue.Queue[Part | None] = queue.Queue(maxsize=flights)
        self._lock = threading.Lock()
        self._failure: Trouble | None = None
        self._senders: list[threading.Thread] = []
        self.records = 0
        self.taken: dict[int, tuple[int, str]] = {}  # first record and tracking id, by the request's number

    def run(self) -> None:
        """Send every record. Raises Trouble, the first that came."""
        try:
            self._send_all()
        except UnicodeError as error:
            self._fail(Trouble(f"{self.usage.path} is not in that --encoding: {error}"))
        except (OSError, EOFError, csv.Error) as error:
            self._fail(Trouble(f"{self.usage.path}: {error}"))
        except Trouble as trouble:
            self._fail(trouble)
        for _ in self._senders:
            self._put(None)
        for sender in self._senders:
            sender.join()
        if self._failure is not None:
            raise self._failure

    def _send_all(self) -> None:
        key = self.usage.key()
        self._senders = [threading.Thread(target=self._send, args=(key,), daemon=True) for _ in range(self._flights)]
        for sender in self._senders:
            sender.start()
        for part in self.usage.parts():
            self._put(part)

    def _put(self, part: Part | None) -> None:
        while part is None or self._failure is None:
            try:
                return self._parts.put(part, timeout=0.2)
            except queue.Full:
                continue
        raise self._failure

    def _send(self, key: str) -> None:
        while (part := self._parts.get()) is not None:
            if self._failure is not None:
                continue
            records = ",".join(part.records)
            try:
                body = f'{{"data":[{records}]}}'.encode()
                answer = self.server.ask(self._path, "tracking_id", body, f"{key}-{part.number}")
            except Exception as error:  # a sender that dies in silence would pass for one that is done
                kind = type(error) if isinstance(error, Trouble) else Trouble
                words = error if isinstance(error, Trouble) else f"{type(error).__name__}: {error}"
                last = part.first_record + len(part.records) - 1
                self._fail(kind(f"Records {part.first_record:,} to {last:,}: {words}"))
                continue
            with self._lock:
                self.taken[part.number] = (part.first_record, str(answer["tracking_id"]))
                self.records += len(part.records)

    def _fail(self, trouble: Trouble) -> None:
        """Remember the first trouble, and let nobody go on trying."""
        with self._lock:
            self._failure = self._failure or trouble
        self.server.is_stopped.set()


@contextmanager
def progress_of(sending: Sending, is_quiet: bool) -> Iterator[None]:
    """Tells on standard error, every few seconds and in the end, how far a file has come."""
    started_at, is_over = time.monotonic(), threading.Event()

    def tell() -> None:
        rate = sending.records / max(0.001, time.monotonic() - started_at)
        line = f"{sending.usage.read_share:4.0%} read, {sending.records:,} records taken, {rate:,.0f}/s"
        if sending.server.retried:
            line += f", {sending.server.retried:,} tries more, the last for: {sending.server.last_trouble[:120]}"
        print(line, file=sys.stderr, flush=True)

    def tell_on() -> None:
        while not is_over.wait(TELL_SECONDS):
            tell()

    if is_quiet:
        yield
        return
    teller = threading.Thread(target=tell_on, daemon=True)
    teller.start()
    try:
        yield
    finally:
        is_over.set()
        teller.join()
        tell()


def wait_for_outcomes(sending: Sending) -> int:
    """Wait until every request is mediated, tell what became of the records; returns the exit code."""
    counts, told, is_well = dict.fromkeys(OUTCOMES, 0), 0, True
    for number in sorted(sending.taken):
        first, tracking_id = sending.taken[number]
        line = _ended(sending.server, tracking_id)
        for outcome in OUTCOMES:
            counts[outcome] += line[f"{outcome}_count"]
        if line["status"] != "completed":
            print(f"import {tracking_id} is {line['status']}: {line['error'].strip().splitlines()[-1:]}")
            is_well = False
        if line["exception_count"] and told < SHOWN:
            told += _tell_exceptions(sending.server, tracking_id, first, SHOWN - told)
    for outcome, words in OUTCOMES.items():
        print(f"{words:<11} {counts[outcome]:,}")
    if counts["exception"] > told:
        print(f"and {counts['exception'] - told:,} exceptions more, which Sluice keeps")
    return 0 if is_well and not counts["exception"] else 1


def _ended(server: Server, tracking_id: str) -> dict[str, Any]:
    for looks in count():
        line = server.ask(f"/api/v1/imports/{tracking_id}", "status")
        if line["status"] in ENDED:
            return line
        time.sleep(LOOK_GAPS[min(looks, len(LOOK_GAPS) - 1)])
    raise AssertionError  # count() does not end


def _tell_exceptions(server: Server, tracking_id: str, first_record: int, most: int) -> int:
    page = server.ask(f"/api/v1/imports/{tracking_id}/exceptions", "results")["results"]
    found = sorted(page, key=lambda each: int(each["record_number"]))[:most]
    for each in found:
        place = f"record {first_record + each['record_number'] - 1:,}"
        field = f" in {each['field']}" if each["field"] else ""
        print(f"{place}: {each['code']}{field}: {each['message'][:200]}")
    return len(found)


def arguments() -> argparse.ArgumentParser:
    first, _, rest = str(__doc__).partition("\n\n")
    parser = argparse.ArgumentParser(
        description=first, epilog=rest, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("address", help="of the server, like https://sluice.example")
    parser.add_argument("feed", help="its API name or number")
    parser.add_argument("file", help="its name may end with .gz")
    parser.add_argument("--wait", action="store_true", help="until every record has its outcome, and tell them")
    parser.add_argument(
        "--format",
        choices=("rows", "ndjson", "json"),
        help="delimited rows, a JSON record in each line, or one JSON"
        " list; if it is not said, the name's ending tells, and anything but .json, .ndjson and .jsonl holds rows",
    )
    parser.add_argument("--header-rows", type=int, default=0, help="lines to pass over: a request has no header")
    parser.add_argument("--delimiter", default=",", help="of rows, as the feed's profile has it (default: a comma)")
    parser.add_argument("--quote", default='"', help="of rows, as the feed's profile has it; empty: no quotes")
    parser.add_argument("--encoding", default="utf-8", help="of the file (default %(default)s)")
    parser.add_argument("--size", type=int, default=MOST_RECORDS, help="records of a request (default %(default)s)")
    parser.add_argument("--flights", type=int, default=4, help="requests under way at once (default %(default)s)")
    parser.add_argument(
        "--patience", type=float, default=600, help="seconds to try one request before giving up (default %(default)s)"
    )
    parser.add_argument("--quiet", action="store_true", help="no progress on standard error")
    return parser


def send(told: argparse.Namespace, token: str) -> int:
    """Send a file, and wait for what becomes of it if that is asked; returns the exit code."""
    server = Server(told.address, token, told.patience)
    sending = Sending(server, UsageFile(told), told.feed, told.flights)
    with progress_of(sending, told.quiet):
        sending.run()
    plural = "" if len(sending.taken) == 1 else "s"
    print(f"taken       {sending.records:,} records in {len(sending.taken):,} request{plural}", flush=True)
    return wait_for_outcomes(sending) if told.wait else 0


def main() -> int:
    parser = arguments()
    told = parser.parse_args()
    token = os.environ.get(TOKEN, "").strip()
    if not token:
        parser.error(f"{TOKEN} in the environment holds the token; it is empty")
    if not 1 <= told.size <= MOST_RECORDS or not 1 <= told.flights <= 64 or told.header_rows < 0:
        parser.error(f"--size is 1 to {MOST_RECORDS:,}, --flights 1 to 64, --header-rows 0 or more")
    try:
        return send(told, token)
    except Trouble as trouble:
        print(f"client.py: {trouble}", file=sys.stderr)
        return trouble.code
    except KeyboardInterrupt:
        print("client.py: interrupted. Start it again: what was taken is not taken twice.", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
