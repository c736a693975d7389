"""A server with its emulator, the programs, and what the emulator's ledger and Graph's own lists say."""

import base64
import itertools
import json
import os
import pathlib
import re
import select
import socket
import subprocess
import sys
import threading
import time
import urllib.request

EXAMPLES = pathlib.Path(__file__).resolve().parent.parent


class World:
    """The server and its emulator. scratch is the folder that run has filled."""

    def __init__(self, scratch):
        self.scratch = pathlib.Path(scratch)
        self.process = subprocess.Popen(
            [self.scratch / "server", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--emulator-listen", "127.0.0.1:0"],
            stdout=subprocess.PIPE, stderr=open(self.scratch / "server.log", "w"), text=True)
        banner = self.process.stdout.readline()
        self.address, self.emulator = re.match(r"Serving gRPC on (\S+), on the built-in emulator at (\S+)/v1\.0", banner).groups()
        self.numbers = itertools.count(1)

    def stop(self):
        self.process.terminate()
        self.process.wait()

    def control(self, path, body=None):
        """Calls the emulator's control API."""
        data = None if body is None else json.dumps(body).encode()
        with urllib.request.urlopen(f"{self.emulator}/_emulator/{path}", data, timeout=30) as response:
            return json.load(response)

    def clock(self, **change):
        return self.control("clock", change)["now"]

    def tenant(self, **seed):
        """Returns a new tenant."""
        tenant = f"{0xe0000000 + next(self.numbers):08x}-0000-4000-8000-000000000000"
        self.control("seed", {"tenant": tenant, "serviceStatus": "enabled", **seed})
        return Tenant(self, tenant)


class Tenant:
    def __init__(self, world, id):
        self.world, self.id = world, id
        self.since = 0
        self.rules, self.acted, self.events = set(), set(), 0
        claims = base64.urlsafe_b64encode(json.dumps({"tid": id}).encode()).decode().rstrip("=")
        self.user_token = world.scratch / f"{id}.token"
        self.user_token.write_text(f"e30.{claims}.")
        claims = {"tid": id, "scp": "BackupRestore-Configuration.ReadWrite.All BackupRestore-Restore.ReadWrite.All BackupRestore-Search.Read.All"}
        self.bearer = f"Bearer e30.{base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip('=')}."

    def graph(self, path, body=None, method=None):
        """Asks Graph, that is the emulator, on behalf of a user. Returns all items of a list."""
        url, items = f"{self.world.emulator}/v1.0/solutions/backupRestore{path}", None
        while url:
            request = urllib.request.Request(url, None if body is None else json.dumps(body).encode(), method=method, headers={
                "Authorization": self.bearer, "Content-Type": "application/json", "Prefer": "include-unknown-enum-members"})
            with urllib.request.urlopen(request, timeout=30) as response:
                text = response.read()
            page = json.loads(text) if text else {}
            if "value" not in page:
                return page
            items = (items or []) + page["value"]
            url = page.get("@odata.nextLink")
        return items

    def people(self):
        """Returns the addresses and object ids of the first users with a mailbox, by the units of a seeded policy."""
        units = self.graph("/protectionUnits/microsoft.graph.mailboxProtectionUnit?$top=999")
        return {unit["email"]: unit["directoryObjectId"] for unit in units}

    def fault(self, **rule):
        self.world.control(f"faults?tenant={self.id}", rule)
        self.rules.add(template(rule["operation"]))

    def end_faults(self):
        """Removes the fault rules of this tenant, and notes which operations they acted on."""
        url = f"{self.world.emulator}/_emulator/faults?tenant={self.id}"
        self.acted |= {template(state["operation"]) for state in self.world.control(f"faults?tenant={self.id}")["faults"] if state["applied"]}
        urllib.request.urlopen(urllib.request.Request(url, method="DELETE"), timeout=30).close()

    def entries(self, since=None):
        """Returns the entries of this tenant in the ledger after the last mark."""
        page = self.world.control(f"ledger?since={self.since if since is None else since}")
        if page["dropped"]:
            raise AssertionError("the ledger has lost entries")
        return [entry for entry in page["entries"] if entry.get("tenant") == self.id]

    def mark(self):
        """Lets entries, changes and writes begin here."""
        self.since = self.world.control("ledger?limit=1&since=999999999")["last"]

    def changes(self, resource, origin, to):
        """Returns the ids of the resources that went from one state to another."""
        return [entry["id"] for entry in self.entries() if entry["kind"] == "change"
                and (entry["resource"], entry.get("from", ""), entry["to"]) == (resource, origin, to)]

    def writes(self):
        """Returns the requests that could have changed something."""
        return [f"{entry['method']} {entry['path']}" for entry in self.entries() if entry["kind"] == "request" and entry["method"] != "GET"
                and not entry["path"].endswith(("/browse", "/restorePoints/search"))]

    def run(self, program, *arguments, event=None, user=True):
        """Runs a program and returns its exit code, output and errors.

        event is None, "kill" or "cut": when a write with a fault rule has been done and its response is still to come,
        the program is killed, or its connection is cut.
        """
        proxy = Proxy(self.world.address)
        command, environment = PROGRAMS[program](self.world.scratch)
        command += ["--server", proxy.address, "--tenant", self.id, "--poll", "0.1", "--settle", "1", "--patience", "120", *map(str, arguments)]
        if user:
            command += ["--user-token-file", str(self.user_token)]
        begin = self.world.control("ledger?limit=1&since=999999999")["last"]
        process = subprocess.Popen(command, env={**os.environ, **environment}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        if event:
            while process.poll() is None:
                if any(entry.get("fault") and entry["method"] != "GET" for entry in self.entries(begin)):
                    process.kill() if event == "kill" else proxy.cut()
                    self.events += 1
                    break
                time.sleep(0.01)
        try:
            out, err = process.communicate(timeout=150)
        finally:
            process.kill()
            proxy.close()
        if "Traceback" in err or "Exception in thread" in err or "    at " in err:
            raise AssertionError(f"{program} ended with a stack trace: {err}")
        return process.returncode, out, err


PROGRAMS = {
    **{name: lambda scratch, name=name: ([str(scratch / "python/venv/bin/python"), str(EXAMPLES / f"python/{name}.py")],
                                         {"PYTHONPATH": str(scratch / "python/stubs"), "PYTHONDONTWRITEBYTECODE": "1"})
       for name in ("protect", "keep_in_step", "not_protected")},
    "naive": lambda scratch: ([str(scratch / "python/venv/bin/python"), str(EXAMPLES / "judge/naive.py")],
                              {"PYTHONPATH": f"{scratch / 'python/stubs'}:{EXAMPLES / 'python'}", "PYTHONDONTWRITEBYTECODE": "1"}),
    "RestoreMailbox": lambda scratch: (["java", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp", ":".join(
        str(scratch / f"java/clients/java/target/{part}") for part in ("examples", "classes", "lib/*")), "RestoreMailbox"], {}),
    "restore-file": lambda scratch: (["node", str(scratch / "typescript/dist/restore-file.js")], {}),
}


class Proxy:
    """Passes on connections to an address, until it cuts them."""

    def __init__(self, target):
        self.target = target.rsplit(":", 1)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = "127.0.0.1:%d" % self.listener.getsockname()[1]
        self.pairs = []
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            server = socket.create_connection((self.target[0], int(self.target[1])))
            self.pairs.append((client, server))
            threading.Thread(target=self.pump, args=(client, server), daemon=True).start()

    @staticmethod
    def pump(client, server):
        try:
            while True:
                for ready in select.select([client, server], [], [])[0]:
                    data = ready.recv(65536)
                    if not data:
                        return
                    (server if ready is client else client).sendall(data)
        except (OSError, ValueError):
            pass
        finally:
            client.close()
            server.close()

    def cut(self):
        for client, server in self.pairs:
            for side in (client, server):
                try:
                    side.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass
        self.pairs = []

    def close(self):
        self.listener.close()
        self.cut()


def template(operation):
    """Returns an operation without the names of its path variables."""
    return re.sub(r"\{\w+\}", "{}", operation)


def log(text):
    print(text, file=sys.stderr, flush=True)
