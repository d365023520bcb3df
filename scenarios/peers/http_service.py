"""A small HTTP service with a contract of its own, for scenarios/external-http.toml.

PUT /plants/PLANT/sensors/SENSOR with {"n": 1, "at": "2026-…Z", "celsius": 21.5, "trace": "…"} and a bearer token
answers 201 with {"stored": n}; 401 without the token, 400 for any other shape.

usage: http_service.py PORT TOKEN
"""

import json
import re
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PATH = re.compile(r"^/plants/[a-z-]+/sensors/[a-z0-9-]+$")
AT = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")


class Service(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Otherwise headers and body leave in two segments, and the second waits for the first's acknowledgement.
    wbufsize = -1
    disable_nagle_algorithm = True

    def do_PUT(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.headers.get("Authorization") != f"Bearer {self.server.token}":
            return self.answer(401, {"error": "token"})
        try:
            reading = json.loads(body)
            sound = (
                PATH.match(self.path)
                and set(reading) == {"n", "at", "celsius", "trace"}
                and isinstance(reading["n"], int)
                and AT.match(reading["at"])
                and isinstance(reading["celsius"], (int, float))
                and len(reading["trace"]) == 16
            )
        except (ValueError, TypeError):
            sound = False
        if not sound:
            return self.answer(400, {"error": "shape"})
        return self.answer(201, {"stored": reading["n"]})

    def answer(self, status, content):
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()

    def log_message(self, *_):
        pass


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Service)
    server.token = sys.argv[2]
    print(f"listening on {server.server_address[1]}", flush=True)
    server.serve_forever()
