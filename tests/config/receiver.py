"""A real web server on this machine that takes webhooks, and answers as a test tells it to."""

import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace


@contextmanager
def receiving(status=200, answer=b"taken", headers=(), slowly=0.0, late=0.0):
    """Yields where it listens, what it got (a list of (headers, body)), and `says`, which may be changed meanwhile."""
    said = SimpleNamespace(status=status, answer=answer, headers=dict(headers), slowly=slowly, late=late)
    got = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            got.append((dict(self.headers), body))
            time.sleep(said.late)
            try:
                self.send_response(said.status)
                for name, value in said.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(said.answer)))
                self.end_headers()
                for place in range(len(said.answer)):
                    time.sleep(said.slowly)
                    self.wfile.write(said.answer[place : place + 1])
            except OSError:
                pass  # the sender hung up

        do_GET = do_POST

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield SimpleNamespace(url=f"http://127.0.0.1:{server.server_port}/hook?x=1", got=got, says=said)
    finally:
        server.shutdown()
        server.server_close()
