"""Single records that come at a fixed rate, however fast they are answered, and when the charge of each can be seen.

Reads one JSON order on standard input; prints one JSON object. A post is due at its place in the rate. What it took is
counted from there, so that an answer that is late delays no other post and hides nothing.
"""

import json
import resource
import sys
import threading
import time
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

import psycopg

ACCEPTED = 202
CONNECTIONS = 48
POLL_SECONDS = 0.025
MOST_ASKED = 2_000
# A connection that the server closed between two posts; the record has a key, so that it counts once all the same.
TRIES = 3

# 12 and 17 more bits make a UDR's number one of a charge; see `rating.core.frames.ENTRY_BITS`.
CHARGED = """
    SELECT k.key FROM mediation_udrkey k
    WHERE k.feed_id = %(feed)s AND k.key = ANY(%(keys)s) AND EXISTS (
        SELECT FROM rating_charge c
        WHERE c.id >= k.udr_id << 12 AND c.id < (k.udr_id + 1) << 12 AND c.date >= %(since)s::timestamptz
    )
"""


class Arrivals:
    """The posts of an order: when each was due, answered, and charged, in seconds of this process's clock."""

    def __init__(self, order: dict[str, Any]) -> None:
        self._order = order
        lines = Path(order["records"]).read_text().splitlines()
        self._keys = [line.partition(" ")[0] for line in lines]
        self._bodies = [line.partition(" ")[2].encode() for line in lines]
        self._place_of = {key: place for place, key in enumerate(self._keys)}
        self._places = iter(range(len(lines)))
        self._lock = threading.Lock()
        self._started_at = time.perf_counter() + 0.5
        self._waiting: dict[str, None] = {}
        self.due = [self._started_at + place / order["rate"] for place in range(len(lines))]
        self.late_seconds = 0.0
        self.statuses: dict[str, int] = {}
        self.answered: dict[int, float] = {}
        self.charged: dict[int, float] = {}
        self.resent = 0

    def run(self) -> None:
        senders = [threading.Thread(target=self._send) for _ in range(CONNECTIONS)]
        for sender in senders:
            sender.start()
        self._watch(senders)
        for sender in senders:
            sender.join()

    def _next(self) -> Iterator[int]:
        while True:
            with self._lock:
                place = next(self._places, None)
            if place is None:
                return
            time.sleep(max(0.0, self.due[place] - time.perf_counter()))
            yield place

    def _send(self) -> None:
        connection = HTTPConnection("127.0.0.1", self._order["port"], timeout=60)
        headers = {"Content-Type": "application/json", **self._order["headers"]}
        for place in self._next():
            self.late_seconds = max(self.late_seconds, time.perf_counter() - self.due[place])
            self._waiting[self._keys[place]] = None
            status = self._post(connection, self._bodies[place], headers)
            self.answered[place] = time.perf_counter()
            with self._lock:
                self.statuses[status] = self.statuses.get(status, 0) + 1

    def _post(self, connection: HTTPConnection, body: bytes, headers: dict[str, str]) -> str:
        for _ in range(TRIES):
            try:
                connection.request("POST", self._order["path"], body, headers)
                answer = connection.getresponse()
                answer.read()
                return str(answer.status)
            except (HTTPException, OSError):
                connection.close()
                self.resent += 1
        return "none"

    def _watch(self, senders: list[threading.Thread]) -> None:
        """Look for the charges of what is under way, until all are seen or the time for that is over."""
        told = {"feed": self._order["feed"], "since": self._order["since"]}
        give_up_at = self.due[-1] + self._order["patience"]
        with psycopg.connect(self._order["database"], autocommit=True) as database:
            while (is_sending := any(sender.is_alive() for sender in senders)) or self._waiting:
                keys = list(self._waiting)[:MOST_ASKED]
                found = database.execute(CHARGED, told | {"keys": keys}).fetchall() if keys else []
                seen_at = time.perf_counter()
                for (key,) in found:
                    self.charged[self._place_of[key]] = seen_at
                    del self._waiting[key]
                if not is_sending and seen_at > give_up_at:
                    return
                time.sleep(POLL_SECONDS)

    def report(self) -> dict[str, Any]:
        used = resource.getrusage(resource.RUSAGE_SELF)
        return {
            "posts": len(self.due),
            "statuses": self.statuses,
            "resent": self.resent,
            "sending_seconds": max(self.answered.values()) - self._started_at,
            "latest_start_seconds": self.late_seconds,
            "answered_seconds": [moment - self.due[place] for place, moment in sorted(self.answered.items())],
            "charged_seconds": [moment - self.due[place] for place, moment in sorted(self.charged.items())],
            "load_cpu_seconds": used.ru_utime + used.ru_stime,
        }


def main() -> None:
    arrivals = Arrivals(json.load(sys.stdin))
    arrivals.run()
    print(json.dumps(arrivals.report()))


if __name__ == "__main__":
    main()
