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
        command = [program, "--listen", "127.0.0.1:0", "--emulator-listen", "127.0.0.1:0"]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.log = []
        self.logged = threading.Condition()
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
        entries = self.control("ledger")["entries"]
        requests = [entry for entry in entries if entry["kind"] == "request" and entry["clientRequestId"] == request_id]
        causes = {entry["cause"] for entry in entries if entry["kind"] == "change" and "cause" in entry}
        return requests, len(causes & {entry["seq"] for entry in requests})

    def stop(self):
        self.process.terminate()
        return self.process.wait(PATIENCE)


class Cutter:
    """A proxy in front of the server that can cut its connections."""

    def __init__(self, address):
        host, port = address.split(":")
        self.target = (host, int(port))
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = "127.0.0.1:%d" % self.listener.getsockname()[1]
        self.open = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            server = socket.create_connection(self.target)
            self.open += [client, server]
            for source, sink in ((client, server), (server, client)):
                threading.Thread(target=self._pump, args=(source, sink), daemon=True).start()

    @staticmethod
    def _pump(source, sink):
        try:
            while data := source.recv(65536):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # The connection was cut.

    def cut(self):
        cut, self.open = self.open, []
        for connection in cut:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # The other side has closed it already.
            connection.close()

    def close(self):
        self.listener.close()
        self.cut()


class Judge:
    def __init__(self, scratch, config):
        self.scratch = pathlib.Path(scratch)
        self.server = Server(self.scratch / "server")
        # The emulator's clock runs at real speed, so that times in the ledger can be compared with those of clients.
        self.server.control("clock", {"speed": 1})
        published = json.loads(pathlib.Path(config).read_text(encoding="utf-8"))
        self.budget = published["retryThrottling"]["maxTokens"] // 2 + 10
        everything = self.scratch / "everything.json"
        for policy in published["methodConfig"]:
            policy["retryPolicy"]["retryableStatusCodes"] = ["UNAVAILABLE", "RESOURCE_EXHAUSTED"]
        everything.write_text(json.dumps(published), encoding="utf-8")
        self.configs = {"published": config, "none": "", "everything": str(everything)}

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
        cutter = Cutter(self.server.address) if scenario.cut else None
        address = cutter.address if cutter else self.server.address
        # One process for each scenario: the channels of a Python process share the retry budget of a server.
        command = [self.scratch / "clients" / language, address, self.configs[scenario.config], json.dumps(calls + [call])]
        client = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            if scenario.heals:
                self.server.wait_for_calls(call["requestId"], 1)
                self.server.control(f"faults?id={fault}", method="DELETE")
            if cutter:
                self.wait_for_upstream(call["requestId"], scenario.expected.work)
                self.server.control(f"faults?id={fault}", method="DELETE")
                cutter.cut()
            output, _ = client.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            return None, [f"the client did not end within {PATIENCE} s"]
        finally:
            client.kill()
            if cutter:
                cutter.close()
        if client.returncode != 0:
            return None, [f"the client ended with {client.returncode}"]
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
        # The server asks for at least 0.5 s, and adds up to a fifth to the upstream's 1 s.
        if pushback.isdigit() and 500 <= int(pushback) <= 1200:
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
        return scenario.java if language == "java" and scenario.java else scenario.expected


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
    failures, outcomes = [], {}
    try:
        with concurrent.futures.ThreadPoolExecutor(max_workers=2 * len(languages)) as pool:
            started = {
                (s.name, language): pool.submit(judge.run, language, s) for s in scenarios.SCENARIOS for language in languages
            }
            row(["scenario", "client", "attempts", "code", "reason", "pushback", "RetryInfo", "requests", "work", "seconds"])
            row(["---"] * 10)
            for s in scenarios.SCENARIOS:
                for language in languages:
                    outcome, wrong = started[s.name, language].result()
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
    expected = {s.name: s.expected for s in scenarios.SCENARIOS}
    for control, name in scenarios.CONTROLS.items():
        for language in languages:
            if (control, language) in outcomes and not differences(outcomes[control, language], expected[name]):
                failures.append(f"{control}, {language}: has the outcome of {name}, so that scenario proves nothing")
    if failures:
        sys.exit("\n".join(["clients/retry: not as expected:"] + failures))
    print(f"clients/retry: {len(scenarios.SCENARIOS)} scenarios had the expected outcome in {', '.join(languages)}.")


if __name__ == "__main__":
    main(*sys.argv[1:])
