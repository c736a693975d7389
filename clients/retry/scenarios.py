"""What is called, what goes wrong upstream, and what has to come of it."""

import dataclasses

ENABLED = {"serviceStatus": "enabled"}


@dataclasses.dataclass(frozen=True)
class Rpc:
    """A method with the one argument of its request, and the operation of Graph that it carries out."""

    method: str
    operation: str
    argument: str = ""
    """Field 1 of the request, a string; {tenant} and {policy} are the ids that the judge made."""
    seed: dict = dataclasses.field(default_factory=lambda: ENABLED)
    """What the emulator makes the tenant of."""

    def request(self, **ids):
        """Returns the request as protobuf encodes it: number and type of the field, length below 128, text."""
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
    """What the client saw, what the server logged, and what reached the upstream."""

    attempts: int
    """Calls that reached the server."""
    code: str
    reason: str = ""
    pushback: str = ""
    """grpc-retry-pushback-ms: "" for none, "-1", or "delay" for the upstream's Retry-After of 1 s and its jitter."""
    retry_info: bool = False
    requests: tuple[int, int] = (1, 1)
    """Bounds of the requests that the upstream got."""
    work: int = 0
    """How many of these changed something."""
    elapsed: tuple[float, float] = (0, 20)
    """Bounds of the time that the client took, in seconds."""
    apart: float = 0
    """Least time between the first and the last request to the upstream, in seconds."""


ATTEMPTS_OF_THE_SERVER = 3  # The server may send what is safe again, twice at most.


def retried(delay, work=0):
    """Refused once, then done, after at least that delay."""
    return Outcome(2, "OK", requests=(2, ATTEMPTS_OF_THE_SERVER + 1), work=work, elapsed=(delay, 60), apart=delay)


def lost():
    """A write that was done, whose answer was lost, and which nobody repeats."""
    return Outcome(1, "UNKNOWN", "OUTCOME_UNKNOWN", "-1", work=1)


@dataclasses.dataclass(frozen=True)
class Scenario:
    name: str
    rpc: Rpc
    fault: dict
    expected: Outcome
    java: Outcome | None = None
    """What Java does instead: it obeys a delay in the trailer whatever the code is."""
    heals: bool = False
    """The fault ends when the first attempt has failed. The server's own attempts before do not end it."""
    cut: bool = False
    """The connection to the server is cut when the upstream has the request; the fault ends."""
    config: str = "published"
    """Or none, or everything: a config that retries UNAVAILABLE everywhere."""
    before: str = ""
    """What fails before on the same channel, more often than the retry budget allows: not found, or throttled."""
    deadline: float = 40


THROTTLED = {"status": 429, "retryAfter": ["1"]}
UNAVAILABLE = {"status": 503, "retryAfter": ["1"]}
UNAVAILABLE_FOR_A_WHILE = {"status": 503}
LATE = {"status": 429, "retryAfter": ["30"]}
REFUSED = Outcome(1, "RESOURCE_EXHAUSTED", "TOO_MANY_REQUESTS", "delay", True, requests=(1, ATTEMPTS_OF_THE_SERVER))
# A connection that was cut is the runtime's own UNAVAILABLE: it has no details and no trailer.
HUNG = {"delay": "30s", "afterWork": True}

SCENARIOS = [
    # First, because it takes the longest: the reason's own delay is 5 s.
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
    Scenario("write, answer cut", CREATE, {"cut": "after"}, lost()),
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
    # Controls: without what the scenarios above rely on, the same calls end otherwise.
    Scenario("control: 429 read after many refusals", LIST, THROTTLED, REFUSED, heals=True, before="throttled"),
    Scenario("control: 429 read, no service config", LIST, THROTTLED, REFUSED, heals=True, config="none"),
    Scenario(
        "control: write, connection cut, UNAVAILABLE retried", CREATE, HUNG,
        Outcome(2, "OK", requests=(2, 2), work=2), cut=True, config="everything",
    ),
]

# Each control must be told apart from the scenario that it belongs to, or the judge sees nothing.
CONTROLS = {
    "control: 429 read after many refusals": "429 read after many NOT_FOUND",
    "control: 429 read, no service config": "429 read",
    "control: write, connection cut, UNAVAILABLE retried": "write, connection cut",
}
