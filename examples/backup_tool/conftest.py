"""Starts the emulator once, and gives each test an empty one and a client."""

import base64
import json
import os
import pathlib
import re
import subprocess
import urllib.request

import pytest
from kiota_abstractions.authentication import AccessTokenProvider, AllowedHostsValidator, BaseBearerTokenAuthenticationProvider
from msgraph import GraphRequestAdapter, GraphServiceClient

TENANT = "aaaaaaaa-0000-4000-8000-00000000000a"
REPOSITORY = pathlib.Path(__file__).resolve().parents[2]


class Emulator:
    """The control API of an emulator."""

    def __init__(self, origin):
        self.origin = origin

    def control(self, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        with urllib.request.urlopen(f"{self.origin}/_emulator/{path}", data, timeout=10) as response:
            return json.load(response)

    def seed(self, **content):
        """Replaces what the tenant has, and returns the ids of its policies."""
        return self.control("seed", {"tenant": TENANT, "serviceStatus": "enabled", **content})["policyIds"]

    def advance(self, time):
        """Moves the clock forward, such as by "20m", and returns the time."""
        return self.control("clock", {"advance": time})["now"]

    def fault(self, operation, **effect):
        self.control("faults", {"operation": operation, **effect})

    def requests(self, method):
        """Returns operation and status of the requests with a method, from the ledger."""
        entries = self.control("ledger")["entries"]
        return [(entry["operation"], entry.get("status")) for entry in entries if entry["kind"] == "request" and entry["method"] == method]

    def changes(self, resource, to):
        """Returns how often a resource of a kind got into a state, from the ledger."""
        return sum(entry["kind"] == "change" and (entry["resource"], entry["to"]) == (resource, to) for entry in self.control("ledger")["entries"])


@pytest.fixture(scope="session")
def started():
    command = os.environ.get("EMULATOR", "go run ./cmd/server").split()
    process = subprocess.Popen([*command, "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--emulator-listen", "127.0.0.1:0"],
                               cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, start_new_session=True)
    yield Emulator(re.search(r"emulator at (http://[^/]+)/", process.stdout.readline()).group(1))
    os.killpg(process.pid, 15)  # go run does not pass signals on.
    process.wait()


@pytest.fixture
def emulator(started):
    """An emulator as it starts, with a clock that stands still."""
    started.control("reset", {})
    started.control("clock", {"speed": 0})
    return started


class UserToken(AccessTokenProvider):
    """A token of a user without a signature, which the emulator believes."""

    async def get_authorization_token(self, uri, additional_authentication_context={}):
        claims = {"tid": TENANT, "scp": "BackupRestore-Configuration.ReadWrite.All BackupRestore-Restore.ReadWrite.All BackupRestore-Search.Read.All"}
        return ".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in ({"alg": "none"}, claims)) + "."

    def get_allowed_hosts_validator(self):
        return AllowedHostsValidator(["127.0.0.1"])


@pytest.fixture
def graph(emulator):
    adapter = GraphRequestAdapter(BaseBearerTokenAuthenticationProvider(UserToken()))
    adapter.base_url = f"{emulator.origin}/v1.0"  # before the client is made, which copies it
    return GraphServiceClient(request_adapter=adapter)
