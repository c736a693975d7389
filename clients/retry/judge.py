"""Runs every scenario with every client, and compares the outcomes with the expected ones: judge.py SCRATCH CONFIG

SCRATCH contains the server, and in `clients` a program for each language. The server's log has a line for each call
that arrived. The ledger of its emulator has the requests that reached the upstream, and what changed there.
"""

import base64
import concurrent.futures
import datetime
import json
import pathlib
import re
import socket
import struct
import subprocess
import sys
import threading
import time
import urllib.request
import uuid

import scenarios
from scenarios import Outcome

PATIENCE = 60  # Seconds to wait for anything. A busy machine is slow.


class Server:
    """The server with its emulator, its log and the emulator's control API."""

    def __init__(self, program):
        # Both ports are free ones on loopback.
        command = [program, "--listen", "127.0.0.1:0", "--emulator-listen", "127.0.0.1:0", "--emulator-scenario", "tests"]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.log = []
        self.logged = threading.Condition()
        self.ledger = []
        self.reading = threading.Lock()
        threading.Thread(target=self._read_log, daemon=True).start()
        # The server prints the banner when both ports accept connections.
        banner = re.match(r"Serving gRPC on ([^ ,]+), on the built-in emulator at (http://[^/]+)/", self.process.stdout.readline())
        if not banner:
            sys.exit("The server did not start:\n" + "\n".join(map(str, self.log)))
        self.address, self.emulator = banner.groups()

    def _read_log(self):
        for line in self.process.stderr:
            with self.logged:
                self.log.append(json.loads(line))
                self.logged.notify_all()

    def calls(self, request_id):
        return [line for line in self.log if line.get("requestId") == request_id]

    def wait_for_calls(self, request_id, count):
        """Waits until the log has that many calls with an id, at most PATIENCE. Returns the lines that there are."""
        with self.logged:
            self.logged.wait_for(lambda: len(self.calls(request_id)) >= count, PATIENCE)
            return self.calls(request_id)

    def control(self, path, body=None, method=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.emulator}/_emulator/{path}", data=data, method=method)
        with urllib.request.urlopen(request, timeout=PATIENCE) as response:
            return json.load(response)

    def upstream(self, request_id):
        """Returns the requests of a call in the ledger, and how many of them changed something."""
        with self.reading:
            seen = self.ledger[-1]["seq"] if self.ledger else 0
            self.ledger += self.control(f"ledger?since={seen}")["entries"]
            entries = self.ledger.copy()
        requests = [entry for entry in entries if entry["kind"] == "request" and entry["clientRequestId"] == request_id]
        causes = {entry["cause"] for entry in entries if entry["kind"] == "change" and "cause" in entry}
        return requests, len(causes & {entry["seq"] for entry in requests})

    def stop(self):
        self.process.terminate()
        return self.process.wait(PATIENCE)


class Frame:
    """A frame of HTTP/2: RFC 9113, section 4.1."""

    HEADERS, RST_STREAM, GOAWAY = 1, 3, 7

    def __init__(self, kind, flags, stream, payload):
        self.kind, self.flags, self.stream, self.payload = kind, flags, stream, payload

    @classmethod
    def read(cls, reader):
        """Returns the next frame, or None at the end of the connection."""
        header = reader.read(9)
        if len(header) < 9:
            return None
        high, low, kind, flags, stream = struct.unpack(">BHBBI", header)
        length = high << 16 | low
        payload = reader.read(length)
        return cls(kind, flags, stream, payload) if len(payload) == length else None

    def encode(self):
        length = len(self.payload)
        return struct.pack(">BHBBI", length >> 16, length & 0xFFFF, self.kind, self.flags, self.stream) + self.payload


class Link:
    """A connection of a client through the proxy, and the one to the server that belongs to it."""

    PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

    def __init__(self, client, server):
        self.client, self.server = client, server
        self.stream = 0  # The last one that the client opened.
        self.silent = False
        self.writing = threading.Lock()
        for pump in (self._requests, self._responses):
            threading.Thread(target=pump, daemon=True).start()

    def _requests(self):
        with self.client.makefile("rb") as reader:
            try:
                self.server.sendall(reader.read(len(self.PREFACE)))
                while frame := Frame.read(reader):
                    if frame.kind == Frame.HEADERS:
                        self.stream = frame.stream
                    self._send(self.server, frame)
                self.server.shutdown(socket.SHUT_WR)
            except OSError:
                pass  # The connection was cut.

    def _responses(self):
        with self.server.makefile("rb") as reader:
            try:
                while frame := Frame.read(reader):
                    if not self.silent:
                        self._send(self.client, frame)
                self.client.shutdown(socket.SHUT_WR)
            except OSError:
                pass  # The connection was cut.

    def _send(self, sink, frame):
        with self.writing:
            sink.sendall(frame.encode())

    def cut(self):
        for connection in (self.client, self.server):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # The other side has closed it already.
            connection.close()

    def go_away(self, code):
        """Ends the connection as grpc-go does for pings that come too often: the last call was accepted."""
        self._send(self.client, Frame(Frame.GOAWAY, 0, 0, struct.pack(">II", self.stream, code) + b"too_many_pings"))
        self.cut()

    def reset(self, code):
        """Ends the last call alone. The server sees that too, so that it does not respond."""
        try:
            self._send(self.client, Frame(Frame.RST_STREAM, 0, self.stream, struct.pack(">I", code)))
            self._send(self.server, Frame(Frame.RST_STREAM, 0, self.stream, struct.pack(">I", scenarios.CANCEL)))
        except OSError:
            pass  # A connection that its client has left: no call is under way on it.

    def silence(self):
        """Passes on no response any more."""
        self.silent = True


class Proxy:
    """A proxy in front of the server that can break its connections."""

    def __init__(self, address):
        host, port = address.split(":")
        self.target = (host, int(port))
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = "127.0.0.1:%d" % self.listener.getsockname()[1]
        self.links = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            self.links.append(Link(client, socket.create_connection(self.target)))

    def end(self, how, *arguments):
        """Breaks the connections that there are: calls a method of Link."""
        for link in self.links:
            getattr(link, how)(*arguments)

    def close(self):
        self.listener.close()
        self.end("cut")


class Judge:
    def __init__(self, scratch, config):
        self.scratch = pathlib.Path(scratch)
        self.server = Server(self.scratch / "server")
        # The emulator's clock runs at real speed, so that times in the ledger can be compared with those of clients.
        self.server.control("clock", {"speed": 1})
        published = json.loads(pathlib.Path(config).read_text(encoding="utf-8"))
        self.budget = published["retryThrottling"]["maxTokens"] // 2 + 10
        self.configs = {"published": config, "none": ""}
        # For controls: configs that retry all methods.
        for name, codes in {"refusals": ["RESOURCE_EXHAUSTED"], "everything": ["UNAVAILABLE", "RESOURCE_EXHAUSTED"]}.items():
            [policy] = published["methodConfig"]
            services = [{"service": service} for service in sorted({method["service"] for method in policy["name"]})]
            rest = {"name": services, "retryPolicy": policy["retryPolicy"] | {"retryableStatusCodes": codes}}
            path = self.scratch / f"{name}.json"
            path.write_text(json.dumps(published | {"methodConfig": [policy, rest]}), encoding="utf-8")
            self.configs[name] = str(path)

    def seed(self, rpc):
        """Makes a tenant for an rpc, and returns its id and that of its policy."""
        tenant = str(uuid.uuid4())
        policies = self.server.control("seed", {"tenant": tenant} | rpc.seed)["policyIds"]
        return tenant, policies[0] if policies else None

    def fault(self, tenant, rpc, fault):
        return self.server.control("faults", {"operation": rpc.operation, "tenant": tenant} | fault)["ids"][0]

    @staticmethod
    def call(rpc, tenant, policy, deadline):
        return {
            "method": "m365.backupstorage.v1." + rpc.method, "tenant": tenant, "requestId": str(uuid.uuid4()), "deadline": deadline,
            "request": base64.b64encode(rpc.request(tenant=tenant, policy=policy)).decode(),
        }

    def before(self, scenario):
        """Returns the calls before the tested one, and how each must end. A successful call opens the connection."""
        tenant, policy = self.seed(scenarios.MISSING)
        calls, ends = [self.call(scenarios.GET_SERVICE, tenant, policy, PATIENCE)], ["OK "]
        if scenario.before == "not found":
            calls += [self.call(scenarios.MISSING, tenant, policy, 5) for _ in range(self.budget)]
            ends += ["NOT_FOUND "] * self.budget
        if scenario.before == "throttled":
            self.fault(tenant, scenarios.LIST, scenarios.LATE)
            calls += [self.call(scenarios.LIST, tenant, policy, 5) for _ in range(self.budget)]
            ends += ["RESOURCE_EXHAUSTED -1"] * self.budget
        return calls, ends

    def run(self, language, scenario):
        """Runs a scenario. Returns its outcome, and a list of other things that were wrong."""
        tenant, policy = self.seed(scenario.rpc)
        calls, ends = self.before(scenario)
        call = self.call(scenario.rpc, tenant, policy, scenario.deadline)
        fault = self.fault(tenant, scenario.rpc, scenario.fault)
        proxy = Proxy(self.server.address) if scenario.ends else None
        address = proxy.address if proxy else self.server.address
        # One process for each scenario: the channels of a Python process share the retry budget of a server.
        command = [self.scratch / "clients" / language, address, self.configs[scenario.config], json.dumps(calls + [call])]
        client = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        try:
            if scenario.heals:
                self.server.wait_for_calls(call["requestId"], 1)
                self.server.control(f"faults?id={fault}&tenant={tenant}", method="DELETE")
            if proxy:
                self.wait_for_upstream(call["requestId"], scenario.expected.work)
                self.server.control(f"faults?id={fault}&tenant={tenant}", method="DELETE")
                proxy.end(*scenario.ends)
            output, errors = client.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            return None, [f"the client did not end within {PATIENCE} s"]
        finally:
            client.kill()
            if proxy:
                proxy.close()
        if client.returncode != 0:
            return None, [f"the client ended with {client.returncode}: {errors}"]
        *earlier, result = json.loads(output)
        ended = [f"{r['code']} {r['pushback']}" for r in earlier]
        wrong = [] if ended == ends else [f"the calls before ended with {set(ended)}, want {set(ends)}"]
        made = {len(self.server.wait_for_calls(c["requestId"], 1)) for c in calls}
        wrong += [] if made == {1} else [f"the calls before were made {made} times"]
        # A call whose connection was cut is logged after its handler has noticed the cut.
        attempts = self.server.wait_for_calls(call["requestId"], self.expected(language, scenario).attempts)
        requests, work = self.server.upstream(call["requestId"])
        times = [datetime.datetime.fromisoformat(entry["time"]) for entry in requests]
        apart = (times[-1] - times[0]).total_seconds() if times else 0
        pushback = result["pushback"]
        # The server asks for at least 0.5 s, and adds up to a fifth to the upstream's 1 s or to a reason's default of 5 s.
        if pushback.isdigit() and (500 <= int(pushback) <= 1200 or 5000 <= int(pushback) <= 6000):
            pushback = "delay"
        outcome = Outcome(
            len(attempts), result["code"], result["reason"], pushback, result["retryDelay"] > 0,
            (len(requests),) * 2, work, (result["elapsed"],) * 2, apart,
        )
        return outcome, wrong

    def wait_for_upstream(self, request_id, work):
        """Waits until the upstream has received the request of a call and has done the work."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            requests, done = self.server.upstream(request_id)
            if requests and done >= min(work, 1):
                return
            time.sleep(0.05)

    @staticmethod
    def expected(language, scenario):
        return scenario.others.get(language, scenario.expected)


def differences(outcome, expected):
    """Lists the differences between an outcome and the expected one."""
    wrong = []
    for name in ("attempts", "code", "reason", "pushback", "retry_info", "work"):
        got, want = getattr(outcome, name), getattr(expected, name)
        if got != want:
            wrong.append(f"{name} {got!r}, want {want!r}")
    for name in ("requests", "elapsed"):
        got, (low, high) = getattr(outcome, name)[0], getattr(expected, name)
        if not low <= got <= high:
            wrong.append(f"{name} {got}, want {low} to {high}")
    if outcome.apart < expected.apart:
        wrong.append(f"requests {outcome.apart} s apart, want {expected.apart}")
    return wrong


def row(cells):
    print("| " + " | ".join(str(cell or "-") for cell in cells) + " |")


def main(scratch, config):
    judge = Judge(scratch, config)
    languages = sorted(path.name for path in (judge.scratch / "clients").iterdir())
    runs = [(s, language) for s in scenarios.SCENARIOS for language in languages if language in (s.languages or languages)]
    failures, outcomes = [], {}
    try:
        with concurrent.futures.ThreadPoolExecutor(max_workers=2 * len(languages)) as pool:
            started = [pool.submit(judge.run, language, s) for s, language in runs]
            row(["scenario", "client", "attempts", "code", "reason", "pushback", "RetryInfo", "requests", "work", "seconds"])
            row(["---"] * 10)
            for (s, language), run in zip(runs, started):
                outcome, wrong = run.result()
                if outcome:
                    row([
                        s.name, language, outcome.attempts, outcome.code, outcome.reason, outcome.pushback,
                        "yes" if outcome.retry_info else "", outcome.requests[0], outcome.work, f"{outcome.elapsed[0]:.1f}",
                    ])
                    wrong += differences(outcome, judge.expected(language, s))
                    outcomes[s.name, language] = outcome
                failures += [f"{s.name}, {language}: {w}" for w in wrong]
    finally:
        if judge.server.stop() != 0:
            failures.append("the server did not stop cleanly")
    named = {s.name: s for s in scenarios.SCENARIOS}
    for control, name in scenarios.CONTROLS.items():
        for language in languages:
            outcome = outcomes.get((control, language))
            if outcome and not differences(outcome, judge.expected(language, named[name])):
                failures.append(f"{control}, {language}: has the outcome of {name}, so that scenario proves nothing")
    if failures:
        sys.exit("\n".join(["clients/retry: not as expected:"] + failures))
    print(f"clients/retry: {len(scenarios.SCENARIOS)} scenarios had the expected outcome in {', '.join(languages)}.")


if __name__ == "__main__":
    main(*sys.argv[1:])
