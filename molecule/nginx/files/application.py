# SPDX-License-Identifier: GPL-3.0-or-later
"""An application behind nginx: answers everything with what it was told about the client."""

from __future__ import annotations

import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Answer(BaseHTTPRequestHandler):
    """Says back the headers it got."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Also everything else."""
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = json.dumps(dict(self.headers)).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Frame-Options", "DENY")
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET  # noqa: N815


ThreadingHTTPServer(("127.0.0.1", 9099), Answer).serve_forever()
