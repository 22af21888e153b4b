"""The Lambda Runtime API for one process, on a free port of this machine."""

import json
import logging
import queue
import threading
from concurrent.futures import Future
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from . import LOOPBACK

LOG = logging.getLogger(__name__)

MAX_ANSWER = 6_291_556  # bytes; what Lambda says when an answer is larger


@dataclass
class Invocation:
    id: str
    payload: bytes
    arn: str
    trace: str
    deadline: float  # seconds since 1970
    answer: Future = field(default_factory=Future)  # of (body, is_error)


class RuntimeApi:
    """Hands invocations to whatever process asks, one after the other."""

    def __init__(self):
        self.asked = threading.Event()  # the process is up: it has asked for work
        self.init_error: bytes | None = None
        self._waiting: queue.Queue[Invocation | None] = queue.Queue()
        self._given: dict[str, Invocation] = {}
        self._server = ThreadingHTTPServer((LOOPBACK, 0), _Handler)
        self._server.daemon_threads = True
        self._server.api = self
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def address(self) -> str:
        return f"{LOOPBACK}:{self._server.server_port}"

    def submit(self, invocation: Invocation):
        self._given[invocation.id] = invocation
        self._waiting.put(invocation)

    def forget(self, invocation: Invocation):
        self._given.pop(invocation.id, None)

    def reset(self):
        """A new process starts: the old one's requests end without work."""
        self.asked.clear()
        self.init_error = None
        while not self._waiting.empty():
            self._waiting.get_nowait()

    def release(self):
        """Ends the request of a process that was killed while it waited."""
        self._waiting.put(None)

    def close(self):
        for invocation in list(self._given.values()):
            invocation.answer.cancel()
        self._server.shutdown()
        self._server.server_close()

    def next(self) -> Invocation | None:
        self.asked.set()
        return self._waiting.get()

    def give_back(self, invocation: Invocation):
        self._waiting.put(invocation)

    def answered(self, id: str, body: bytes, is_error: bool):
        invocation = self._given.pop(id, None)
        if len(body) > MAX_ANSWER and not is_error:
            LOG.error("%s answered with %d bytes; Lambda refuses more than %d", invocation.arn if invocation else id, len(body), MAX_ANSWER)
            message = f"Response payload size exceeded maximum allowed payload size ({MAX_ANSWER} bytes)."
            body, is_error = json.dumps({"errorType": "Function.ResponseSizeTooLarge", "errorMessage": message}).encode(), True
        if invocation and not invocation.answer.done():
            invocation.answer.set_result((body, is_error))

    def failed_to_start(self, body: bytes):
        self.init_error = body
        self.asked.set()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def do_GET(self):  # /2018-06-01/runtime/invocation/next
        api = self.server.api
        invocation = api.next()
        if invocation is None:
            self.close_connection = True
            return
        try:
            self._send(200, invocation.payload, {
                "Lambda-Runtime-Aws-Request-Id": invocation.id,
                "Lambda-Runtime-Trace-Id": invocation.trace,
                "Lambda-Runtime-Deadline-Ms": str(int(invocation.deadline * 1000)),
                "Lambda-Runtime-Invoked-Function-Arn": invocation.arn,
            })
        except OSError:
            api.give_back(invocation)  # the process that asked is gone; the next one takes it

    def do_POST(self):  # .../invocation/ID/response, .../invocation/ID/error, .../init/error
        *_, subject, kind = self.path.strip("/").split("/")
        body = self._body()
        if subject == "init":
            self.server.api.failed_to_start(body)
        else:
            self.server.api.answered(subject, body, kind == "error")
        self._send(202, b"{}", {})

    def _body(self) -> bytes:
        if "chunked" not in self.headers.get("Transfer-Encoding", ""):
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        out = b""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            out += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return out

    def _send(self, code: int, body: bytes, headers: dict[str, str]):
        self.send_response(code)
        for name, value in (headers | {"Content-Type": "application/json", "Content-Length": str(len(body))}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
