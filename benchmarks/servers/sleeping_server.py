"""A server with TensorFlow Serving's REST paths that sleeps in place of computing, two requests at a time.

Run: python benchmarks/servers/sleeping_server.py MEDIAN_MS SPREAD. It prints its port. It needs hardly any of the
processor, so other programs on the machine hardly disturb what is measured of it.
"""

import json
import random
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

ANSWER = json.dumps({"predictions": [{"scores": [1.0]}]}).encode()
MEDIAN_MS, SPREAD = (float(argument) for argument in sys.argv[1:3])
engines = threading.Semaphore(2)
generator = random.Random(0)


class Handler(BaseHTTPRequestHandler):
    """Answers after a time that is log-normal."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        with engines:
            time.sleep(MEDIAN_MS / 1000 * generator.lognormvariate(0.0, SPREAD))
        self.send_response(200)
        self.send_header("Content-Length", str(len(ANSWER)))
        self.end_headers()
        self.wfile.write(ANSWER)

    def log_message(self, *_: object) -> None:
        """Says nothing."""


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    print(server.server_port, flush=True)
    server.serve_forever()
