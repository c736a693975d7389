"""Starts the emulator of Microsoft Graph's Backup Storage API for tests, and stops it.

    with Emulator() as emulator:
        emulator.seed({"tenant": TENANT, "serviceStatus": "enabled"})
        graph = client(emulator.url)  # the program under test
        emulator.advance("5m")
        assert emulator.ledger(tenant=TENANT, operation="POST *")

The program is the one of the argument `program`, else of the variable BACKUPSTORAGE_EMULATOR, else
`backupstorage-emulator` on PATH. `go build -o backupstorage-emulator ./cmd/emulator` makes it. Nothing is downloaded.
Only the standard library is used.
"""

import json
import os
import shutil
import ssl
import subprocess
import tempfile
import threading
import urllib.error
import urllib.parse
import urllib.request


class EmulatorError(Exception):
    """The emulator did not start, or refused a control call; the text says why."""


class Emulator:
    """An emulator that runs until `stop`, the end of the with block, or the end of this process.

    program     path of the program
    flags       further flags, such as ["--require-token"]; `backupstorage-emulator --help` explains them
    tls         serve https, with a certificate of its own: `certificate` is the path to trust
    timeout     seconds that it may take to start

    Without other flags it is empty (--scenario tests), and its clock stands still until `advance` moves it.

    url         scheme, host and port, such as http://127.0.0.1:40001; Graph's root is url + "/v1.0"
    certificate path of the certificate, None without tls
    """

    def __init__(self, program=None, flags=("--scenario=tests", "--clock-stopped"), tls=False, timeout=10):
        program = program or os.environ.get("BACKUPSTORAGE_EMULATOR") or shutil.which("backupstorage-emulator")
        if not program:
            raise EmulatorError(
                "there is no backupstorage-emulator on PATH and no variable BACKUPSTORAGE_EMULATOR; "
                "go build -o backupstorage-emulator ./cmd/emulator makes one"
            )
        self._folder = tempfile.TemporaryDirectory(prefix="emulator-")
        self._process = None
        self.certificate, self._tls = None, None
        command = [program, "--listen=127.0.0.1:0", "--exit-with-stdin", *flags]
        if tls:
            self.certificate = os.path.join(self._folder.name, "certificate.pem")
            command.append("--tls-self-signed=" + self.certificate)
        log = os.path.join(self._folder.name, "log")
        try:
            with open(log, "w", encoding="utf-8") as errors:
                self._process = subprocess.Popen(
                    command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True, encoding="utf-8"
                )
            self.url = self._first_line(timeout).removeprefix("Emulator on ").strip()
            if not self.url.startswith("http"):
                with open(log, encoding="utf-8") as errors:
                    raise EmulatorError(errors.read().strip() or f"it did not start within {timeout} s")
            if tls:
                self._tls = ssl.create_default_context(cafile=self.certificate)
        except OSError as error:
            self.stop()
            raise EmulatorError(f"{program}: {error}") from error
        except BaseException:
            self.stop()
            raise

    def _first_line(self, timeout):
        lines = []
        reader = threading.Thread(target=lambda: lines.append(self._process.stdout.readline()), daemon=True)
        reader.start()
        reader.join(timeout)
        return lines[0] if lines else ""

    def control(self, method, path, body=None, **query):
        """Makes a control call, such as control("GET", "clock"), and returns what it answers."""
        query = {name: value for name, value in query.items() if value is not None}
        url = f"{self.url}/_emulator/{path}" + ("?" + urllib.parse.urlencode(query) if query else "")
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(url, data=data, method=method)
        try:
            with urllib.request.build_opener(
                urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=self._tls)
            ).open(request, timeout=30) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                raise EmulatorError(json.load(error)["error"]["message"]) from None

    def seed(self, content):
        """Replaces the content of a tenant (a dict) or of several (a list of them). Returns the ids of seeded policies."""
        return self.control("POST", "seed", content)["policyIds"]

    def reset(self, tenant=None):
        """Goes back to the start: everything, or one tenant, which others do not notice."""
        self.control("POST", "reset", tenant=tenant)

    def advance(self, length, tenant=None):
        """Moves the clock by a length such as "5m"; with a tenant only its own clock. Returns the time, as text."""
        return self.control("POST", "clock", {"advance": length}, tenant=tenant)["now"]

    def fault(self, rule, tenant=None):
        """Adds a fault rule (a dict), or a list of them. Returns the ids."""
        return self.control("POST", "faults", rule, tenant=tenant)["ids"]

    def ledger(self, **query):
        """Returns entries of the ledger: all, or those that since, tenant, operation, kind, from and to select."""
        return self.control("GET", "ledger", **query)["entries"]

    def token(self, **request):
        """Returns a signed token, such as token(tenant=..., user=...), without a credential."""
        return self.control("POST", "token", request)["token"]

    def stop(self):
        """Stops the emulator; a second time does nothing."""
        process, self._process = self._process, None
        if process:
            process.stdin.close()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            process.stdout.close()
        self._folder.cleanup()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()
