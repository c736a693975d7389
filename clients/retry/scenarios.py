"""The scenarios: the call, the fault of the upstream, and the expected outcome."""

import dataclasses

ENABLED = {"serviceStatus": "enabled"}


@dataclasses.dataclass(frozen=True)
class Rpc:
    """A method with the one argument of its request, and its operation of Graph."""

    method: str
    operation: str
    argument: str = ""
    """Field 1 of the request, a string. {tenant} and {policy} stand for ids that the judge makes."""
    seed: dict = dataclasses.field(default_factory=lambda: ENABLED)
    """The initial state of the tenant in the emulator."""

    def request(self, **ids):
        """Returns the request in protobuf's encoding: number and type of the field, length (below 128), text."""
        argument = self.argument.format_map(ids).encode()
        return bytes([1 << 3 | 2, len(argument)]) + argument if argument else b""


GET_SERVICE = Rpc("BackupRestoreService/GetBackupRestore", "GET /")
LIST = Rpc("ProtectionPolicyService/ListProtectionPolicies", "GET /protectionPolicies")
MISSING = Rpc("ProtectionPolicyService/GetProtectionPolicy", "GET /protectionPolicies/{id}", "00000000-0000-4000-8000-000000000404")
CREATE = Rpc("ProtectionPolicyService/CreateExchangeProtectionPolicy", "POST /exchangeProtectionPolicies", "Mailboxes")
ENABLE = Rpc("BackupRestoreService/EnableBackupRestore", "POST /enable", "{tenant}", {"serviceStatus": "disabled", "dataStoreReady": True})
DELETE = Rpc(
    "ProtectionPolicyService/DeleteProtectionPolicy", "DELETE /protectionPolicies/{id}", "{policy}",
    ENABLED | {"policies": [{"workload": "exchange", "inactive": True, "displayName": "Old"}]},
)


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What the client saw, what the server logged, and which requests reached the upstream."""

    attempts: int
    """Calls that reached the server."""
    code: str
    reason: str = ""
    pushback: str = ""
    """grpc-retry-pushback-ms: "" for none, "-1", or "delay" for the upstream's Retry-After of 1 s and its jitter."""
    retry_info: bool = False
    requests: tuple[int, int] = (1, 1)
    """Minimum and maximum number of requests that the upstream received."""
    work: int = 0
    """Number of these requests that changed something."""
    elapsed: tuple[float, float] = (0, 20)
    """Minimum and maximum time that the client took, in seconds."""
    apart: float = 0
    """Minimum time between the first and the last request to the upstream, in seconds."""


ATTEMPTS_OF_THE_SERVER = 3  # The server sends a safe request at most twice more.


def retried(delay, work=0):
    """Refused once, and done after at least that delay."""
    return Outcome(2, "OK", requests=(2, ATTEMPTS_OF_THE_SERVER + 1), work=work, elapsed=(delay, 60), apart=delay)


def lost():
    """A write that was done, whose response was lost, and that nobody repeats."""
    return Outcome(1, "UNKNOWN", "OUTCOME_UNKNOWN", "-1", work=1)


@dataclasses.dataclass(frozen=True)
class Scenario:
    name: str
    rpc: Rpc
    fault: dict
    expected: Outcome
    java: Outcome | None = None
    """The outcome in Java, if it is another one: Java obeys a delay in the trailer with every code."""
    heals: bool = False
    """The fault ends when the first call has failed. The requests that the server repeats before that do not end it."""
    cut: bool = False
    """The connection to the server is cut when the upstream has received the request. The fault ends too."""
    config: str = "published"
    """The service config: published, none, or everything, which retries UNAVAILABLE for all methods."""
    before: str = ""
    """Calls that fail before on the same channel, more than the retry budget allows: not found, or throttled."""
    deadline: float = 40


THROTTLED = {"status": 429, "retryAfter": ["1"]}
UNAVAILABLE = {"status": 503, "retryAfter": ["1"]}
UNAVAILABLE_FOR_A_WHILE = {"status": 503}
LATE = {"status": 429, "retryAfter": ["30"]}
REFUSED = Outcome(1, "RESOURCE_EXHAUSTED", "TOO_MANY_REQUESTS", "delay", True, requests=(1, ATTEMPTS_OF_THE_SERVER))
# When the connection is cut, the runtime makes UNAVAILABLE itself, without details and trailer.
HUNG = {"delay": "30s", "afterWork": True}

SCENARIOS = [
    # The first one takes the longest: the default delay of its reason is 5 s.
    Scenario("503 read, no Retry-After", LIST, UNAVAILABLE_FOR_A_WHILE, retried(5), heals=True),
    Scenario("429 read", LIST, THROTTLED, retried(1), heals=True),
    Scenario("429 write", CREATE, THROTTLED, retried(1, work=1), heals=True),
    Scenario("503 read", LIST, UNAVAILABLE, retried(1), heals=True),
    Scenario("503 idempotent write", ENABLE, UNAVAILABLE, retried(1, work=1), heals=True),
    Scenario("503 DELETE", DELETE, UNAVAILABLE, retried(1, work=1), heals=True),
    Scenario(
        "503 write", CREATE, UNAVAILABLE,
        Outcome(1, "UNAVAILABLE", "SERVICE_UNAVAILABLE", "delay", True, requests=(1, ATTEMPTS_OF_THE_SERVER)),
        java=retried(1, work=1), heals=True,
    ),
    Scenario("503 write, no Retry-After", CREATE, UNAVAILABLE_FOR_A_WHILE, Outcome(1, "UNAVAILABLE", "SERVICE_UNAVAILABLE", "-1", True)),
    Scenario("write, response cut", CREATE, {"cut": "after"}, lost()),
    Scenario("write, 502 after the work", CREATE, {"status": 502, "afterWork": True}, lost()),
    Scenario("write, 504 after the work", CREATE, {"status": 504, "afterWork": True}, lost()),
    Scenario("PolicySaveFailed", CREATE, {"code": "PolicySaveFailed"}, Outcome(1, "UNAVAILABLE", "POLICY_SAVE_FAILED", "-1", True)),
    Scenario(
        "429 read, Retry-After past the deadline", LIST, LATE,
        Outcome(1, "RESOURCE_EXHAUSTED", "TOO_MANY_REQUESTS", "-1", True, elapsed=(0, 2)), deadline=5,
    ),
    Scenario("read, connection cut", LIST, HUNG, Outcome(2, "OK", requests=(2, 2)), cut=True),
    Scenario("write, connection cut", CREATE, HUNG, Outcome(1, "UNAVAILABLE", work=1), cut=True),
    Scenario("429 read after many NOT_FOUND", LIST, THROTTLED, retried(1), heals=True, before="not found"),
    # Controls: the same calls end differently without the thing that a scenario above tests.
    Scenario("control: 429 read after many refusals", LIST, THROTTLED, REFUSED, heals=True, before="throttled"),
    Scenario("control: 429 read, no service config", LIST, THROTTLED, REFUSED, heals=True, config="none"),
    Scenario(
        "control: write, connection cut, UNAVAILABLE retried", CREATE, HUNG,
        Outcome(2, "OK", requests=(2, 2), work=2), cut=True, config="everything",
    ),
]

# Each control must have another outcome than its scenario. Otherwise the scenario proves nothing.
CONTROLS = {
    "control: 429 read after many refusals": "429 read after many NOT_FOUND",
    "control: 429 read, no service config": "429 read",
    "control: write, connection cut, UNAVAILABLE retried": "write, connection cut",
}
