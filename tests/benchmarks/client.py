"""The other end of the HTTP API: a process that posts bodies over connections that it keeps, as fast as it is answered.

Reads one JSON order on standard input; prints one JSON object: how many posts were answered with 202, in which time.
"""

import json
import sys
import threading
import time
from http.client import HTTPConnection
from itertools import cycle
from pathlib import Path
from typing import Any

ACCEPTED = 202


def post_for(order: dict[str, Any], bodies: list[bytes], tally: dict[str, int], lock: threading.Lock) -> None:
    """Post one body after the other over one connection until the time is up."""
    connection = HTTPConnection("127.0.0.1", order["port"], timeout=60)
    headers = {"Content-Type": "application/json", **order["headers"]}
    give_up_at = time.monotonic() + order["seconds"]
    for body in cycle(bodies):
        connection.request("POST", order["path"], body, headers)
        answer = connection.getresponse()
        answer.read()
        with lock:
            tally[str(answer.status)] = tally.get(str(answer.status), 0) + 1
        if time.monotonic() > give_up_at:
            return


def main() -> None:
    order = json.load(sys.stdin)
    folder = Path(order["folder"])
    bodies = [path.read_bytes() for path in sorted(folder.iterdir())]
    tally: dict[str, int] = {}
    lock = threading.Lock()
    count = order["connections"]
    threads = [
        threading.Thread(target=post_for, args=(order, bodies[place::count], tally, lock)) for place in range(count)
    ]
    started = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(json.dumps({"seconds": time.perf_counter() - started, "answers": tally}))


if __name__ == "__main__":
    main()
