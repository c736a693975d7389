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
MISSING = Rpc("ProtectionPolicyService/GetProtectionPolicy", "GET /protectionPolicies/{policyId}", "00000000-0000-4000-8000-000000000404")
CREATE = Rpc("ProtectionPolicyService/CreateExchangeProtectionPolicy", "POST /exchangeProtectionPolicies", "Mailboxes")
ENABLE = Rpc("BackupRestoreService/EnableBackupRestore", "POST /enable", "{tenant}", {"serviceStatus": "disabled", "dataStoreReady": True})
DELETE = Rpc(
    "ProtectionPolicyService/DeleteProtectionPolicy", "DELETE /protectionPolicies/{policyId}", "{policy}",
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
    """grpc-retry-pushback-ms: "" for none, "-1", or "delay" for a Retry-After of 1 s or a default of 5 s, with its jitter."""
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

# All clients but Rust's have a runtime that retries.
RETRYING = ("cpp", "go", "java", "node", "python")

# Codes of HTTP/2: RFC 9113, section 7.
INTERNAL_ERROR, CANCEL, ENHANCE_YOUR_CALM = 0x2, 0x8, 0xB


@dataclasses.dataclass(frozen=True)
class Scenario:
    name: str
    rpc: Rpc
    fault: dict
    expected: Outcome
    others: dict[str, Outcome] = dataclasses.field(default_factory=dict)
    """The outcome in some languages, where it is another one."""
    languages: tuple[str, ...] = ()
    """The clients that make the call, if not all."""
    heals: bool = False
    """The fault ends when the first call has failed. The requests that the server repeats before that do not end it."""
    ends: tuple = ()
    """How the connection to the server ends when the upstream has received the request: a method of the judge's Link and
    its arguments. The fault ends too."""
    config: str = "published"
    """The service config: published, none, refusals, which retries RESOURCE_EXHAUSTED for all methods, or everything,
    which retries UNAVAILABLE too."""
    before: str = ""
    """Calls that fail before on the same channel, more than the retry budget allows: not found, or throttled."""
    deadline: float = 40


THROTTLED = {"status": 429, "retryAfter": ["1"]}
UNAVAILABLE = {"status": 503, "retryAfter": ["1"]}
UNAVAILABLE_FOR_A_WHILE = {"status": 503}
LATE = {"status": 429, "retryAfter": ["30"]}
HUNG = {"delay": "30s", "afterWork": True}

CUT = ("cut",)
GOAWAY = ("go_away", ENHANCE_YOUR_CALM)
RESET = ("reset", ENHANCE_YOUR_CALM)


def retried(delay, work=0):
    """Refused once, and done after at least that delay."""
    return Outcome(2, "OK", requests=(2, ATTEMPTS_OF_THE_SERVER + 1), work=work, elapsed=(delay, 60), apart=delay)


def refused(code, reason, pushback="delay"):
    """Refused, and not retried."""
    return Outcome(1, code, reason, pushback, True, requests=(1, ATTEMPTS_OF_THE_SERVER))


def lost():
    """A write that was done, whose response was lost, and that nobody repeats."""
    return Outcome(1, "UNKNOWN", "OUTCOME_UNKNOWN", "-1", work=1)


def bare(code, work=0):
    """An error that the runtime made itself: without details and trailer."""
    return Outcome(1, code, work=work)


def again(work=0):
    """The runtime made the call again, and the server did it."""
    return Outcome(2, "OK", requests=(2, 2), work=work)


def codes(work=0, **languages):
    """An error of the runtime with another code in some languages."""
    return {language: bare(code, work) for language, code in languages.items()}


TOO_MANY = refused("RESOURCE_EXHAUSTED", "TOO_MANY_REQUESTS")
OVERLOADED = refused("UNAVAILABLE", "SERVICE_UNAVAILABLE")

SCENARIOS = [
    # The first one takes the longest: the default delay of its reason is 5 s.
    Scenario("503 read, no Retry-After", LIST, UNAVAILABLE_FOR_A_WHILE, retried(5), {"rust": OVERLOADED}, heals=True),
    Scenario("429 read", LIST, THROTTLED, retried(1), {"rust": TOO_MANY}, heals=True),
    Scenario("429 write", CREATE, THROTTLED, TOO_MANY, heals=True),
    Scenario("503 read", LIST, UNAVAILABLE, retried(1), {"rust": OVERLOADED}, heals=True),
    Scenario("503 idempotent write", ENABLE, UNAVAILABLE, retried(1, work=1), {"rust": OVERLOADED}, heals=True),
    Scenario("503 DELETE", DELETE, UNAVAILABLE, retried(1, work=1), {"rust": OVERLOADED}, heals=True),
    Scenario("503 write", CREATE, UNAVAILABLE, OVERLOADED, heals=True),
    Scenario("503 write, no Retry-After", CREATE, UNAVAILABLE_FOR_A_WHILE, Outcome(1, "UNAVAILABLE", "SERVICE_UNAVAILABLE", "-1", True)),
    Scenario("write, response cut", CREATE, {"cut": "after"}, lost()),
    Scenario("write, 502 after the work", CREATE, {"status": 502, "afterWork": True}, lost()),
    Scenario("write, 504 after the work", CREATE, {"status": 504, "afterWork": True}, lost()),
    Scenario("PolicySaveFailed", CREATE, {"code": "PolicySaveFailed"}, Outcome(1, "UNAVAILABLE", "POLICY_SAVE_FAILED", "-1", True)),
    Scenario(
        "429 read, Retry-After past the deadline", LIST, LATE,
        Outcome(1, "RESOURCE_EXHAUSTED", "TOO_MANY_REQUESTS", "-1", True, elapsed=(0, 2)), deadline=5,
    ),
    Scenario("429 read after many NOT_FOUND", LIST, THROTTLED, retried(1), heals=True, before="not found", languages=RETRYING),
    # What runtimes make of a connection that ends while a call is under way.
    Scenario("read, connection cut", LIST, HUNG, again(), codes(rust="UNKNOWN"), ends=CUT),
    Scenario("read, GOAWAY", LIST, HUNG, again(), codes(rust="UNKNOWN"), ends=GOAWAY),
    Scenario("read, RST_STREAM", LIST, HUNG, again(), codes(rust="UNKNOWN"), ends=RESET),
    # The second call does not find what the first one has deleted.
    Scenario(
        "DELETE, GOAWAY", DELETE, HUNG, Outcome(2, "NOT_FOUND", "POLICY_NOT_FOUND", requests=(2, 2), work=1), codes(1, rust="UNKNOWN"),
        ends=GOAWAY,
    ),
    Scenario("write, connection cut", CREATE, HUNG, bare("UNAVAILABLE", 1), codes(1, rust="UNKNOWN"), ends=CUT),
    Scenario(
        "write, GOAWAY", CREATE, HUNG, bare("UNAVAILABLE", 1),
        codes(1, java="RESOURCE_EXHAUSTED", node="RESOURCE_EXHAUSTED", rust="UNKNOWN"), ends=GOAWAY,
    ),
    Scenario("write, RST_STREAM", CREATE, HUNG, bare("RESOURCE_EXHAUSTED", 1), codes(1, rust="UNKNOWN"), ends=RESET),
    Scenario("write, RST_STREAM CANCEL", CREATE, HUNG, bare("CANCELLED", 1), codes(1, rust="UNKNOWN"), ends=("reset", CANCEL)),
    Scenario(
        "write, RST_STREAM INTERNAL_ERROR", CREATE, HUNG, bare("INTERNAL", 1), codes(1, rust="UNKNOWN"),
        ends=("reset", INTERNAL_ERROR),
    ),
    Scenario(
        "write, no response until the deadline", CREATE, HUNG, bare("DEADLINE_EXCEEDED", 1), codes(1, rust="CANCELLED"),
        ends=("silence",), deadline=4,
    ),
    # Controls: the same calls end differently without the thing that a scenario above tests.
    Scenario("control: 429 read after many refusals", LIST, THROTTLED, TOO_MANY, heals=True, before="throttled", languages=RETRYING),
    Scenario("control: 429 read, no service config", LIST, THROTTLED, TOO_MANY, heals=True, config="none", languages=RETRYING),
    Scenario(
        "control: write, connection cut, UNAVAILABLE retried", CREATE, HUNG, again(2), ends=CUT, config="everything",
        languages=RETRYING,
    ),
    # A service config that retries RESOURCE_EXHAUSTED for all methods did this.
    Scenario(
        "control: write, GOAWAY, RESOURCE_EXHAUSTED retried", CREATE, HUNG, again(2), ends=GOAWAY, config="refusals",
        languages=("java", "node"),
    ),
    Scenario(
        "control: write, RST_STREAM, RESOURCE_EXHAUSTED retried", CREATE, HUNG, again(2), ends=RESET, config="refusals",
        languages=RETRYING,
    ),
]

# Each control must have another outcome than its scenario. Otherwise the scenario proves nothing.
CONTROLS = {
    "control: 429 read after many refusals": "429 read after many NOT_FOUND",
    "control: 429 read, no service config": "429 read",
    "control: write, connection cut, UNAVAILABLE retried": "write, connection cut",
    "control: write, GOAWAY, RESOURCE_EXHAUSTED retried": "write, GOAWAY",
    "control: write, RST_STREAM, RESOURCE_EXHAUSTED retried": "write, RST_STREAM",
}
