"""Responds like a hostile Graph: python upstream.py PORT_FILE

The id in the path of a request describes the response, as STATUS.CODE.ERRORS.LENGTH: HTTP status, error code, number of
separate errors, and length of the message of each in characters.
"""

import json
import pathlib
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

# Characters that need several bytes in JSON, in UTF-8 or in the encoding of a gRPC message.
COSTLY = "ж%\"\u0000"


# The server reads the first 1 MiB of an error response.
SIZE = 1_040_000


def body(code, errors, length):
    """Returns an error body of about SIZE bytes, nearly all of them in its message."""

    def encode(message):
        text = (COSTLY * length)[:length]
        details = [{"code": "EmailNotFound", "target": "ж" * 100, "message": text}] * errors
        error = {"code": code, "details": details, "innerError": {"code": "x" * 64}, "message": message}
        return json.dumps({"error": error}, ensure_ascii=False).encode()

    each = len(encode(COSTLY)) - len(encode(""))
    return encode(COSTLY * ((SIZE - len(encode(""))) // each))


class Graph(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def respond(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        status, code, errors, length = self.path.split("/protectionPolicies/")[1].split("/")[0].split(".")
        content = body(code, int(errors), int(length))
        self.send_response(int(status))
        for name, value in {
            "request-id": "r" * 128,
            "client-request-id": "c" * 128,
            "Retry-After": "7",
            "WWW-Authenticate": "w" * 50_000,
            "Content-Length": str(len(content)),
        }.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = respond

    def log_message(self, *_):
        """Prints nothing: the clients print the results."""


class Server(ThreadingHTTPServer):
    def handle_error(self, *_):
        """Ignores errors: a client that does not read the body of a redirect closes the connection."""


server = Server(("127.0.0.1", 0), Graph)
port = pathlib.Path(sys.argv[1])
port.with_suffix(".new").write_text(str(server.server_port))
port.with_suffix(".new").rename(port)
server.serve_forever()
