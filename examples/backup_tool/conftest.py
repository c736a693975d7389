"""Starts the emulator once, and gives each test an empty one and a client."""

import os
import pathlib
import subprocess

import pytest
from kiota_abstractions.authentication import AccessTokenProvider, AllowedHostsValidator, BaseBearerTokenAuthenticationProvider
from m365.backupstorage.emulator import Emulator
from msgraph import GraphRequestAdapter, GraphServiceClient

TENANT = "99999999-0000-4000-8000-000000000009"
PEOPLE = [{"mail": f"{name}@corp.example"} for name in ("hana", "bruno", "chidi", "dana", "emre")]
REPOSITORY = pathlib.Path(__file__).resolve().parents[2]


class Company:
    """The tenant of the tests in an emulator."""

    def __init__(self, emulator):
        self.emulator = emulator

    def seed(self, **content):
        """Replaces what the tenant has, and returns the ids of its policies."""
        return self.emulator.seed({"tenant": TENANT, "serviceStatus": "enabled", "people": PEOPLE, **content})

    def advance(self, length):
        """Moves the clock forward, such as by "20m"."""
        self.emulator.advance(length)

    def now(self):
        return self.emulator.control("GET", "clock")["now"]

    def fault(self, operation, **effect):
        self.emulator.fault({"operation": operation, **effect})

    def requests(self, method):
        """Returns operation and status of the requests with a method, from the ledger."""
        entries = self.emulator.ledger(tenant=TENANT, operation=f"{method} *", kind="request")
        return [(entry["operation"], entry.get("status")) for entry in entries]

    def changes(self, resource, to):
        """Returns how often a resource of a kind got into a state, from the ledger."""
        return sum((entry["resource"], entry["to"]) == (resource, to) for entry in self.emulator.ledger(tenant=TENANT, kind="change"))


@pytest.fixture(scope="session")
def started(tmp_path_factory):
    program = os.environ.get("BACKUPSTORAGE_EMULATOR")
    if not program:
        program = str(tmp_path_factory.mktemp("emulator") / "emulator")
        subprocess.run(["go", "build", "-o", program, "./cmd/emulator"], cwd=REPOSITORY, check=True)
    with Emulator(program) as emulator:
        yield emulator


@pytest.fixture
def company(started):
    """A company without policies, with a clock that stands still."""
    started.reset()
    result = Company(started)
    result.seed()
    return result


class UserToken(AccessTokenProvider):
    """The token of a user, which the emulator makes."""

    def __init__(self, emulator):
        self.emulator = emulator

    async def get_authorization_token(self, uri, additional_authentication_context={}):
        return self.emulator.token(tenant=TENANT, user=PEOPLE[0]["mail"])

    def get_allowed_hosts_validator(self):
        return AllowedHostsValidator(["127.0.0.1"])


@pytest.fixture
def graph(started, company):
    adapter = GraphRequestAdapter(BaseBearerTokenAuthenticationProvider(UserToken(started)))
    adapter.base_url = f"{started.url}/v1.0"  # before the client is made, which copies it
    return GraphServiceClient(request_adapter=adapter)
