"""Makes the calls of the programs beside it with grpcurl, and prints the same lines.

Usage: main.py GRPCURL DESCRIPTOR_SET ADDRESS REQUEST_ID
"""

import json
import math
import os
import pathlib
import subprocess
import sys

TENANT_C = "cccccccc-0000-4000-8000-00000000000c"
UNKNOWN = "00000000-0000-4000-8000-000000000404"
POLICY_C = "b71df0ed-09d4-41c7-8a7e-362675b6c0c6"
UNIT_C = "e0000011-f1af-426c-8b0c-000000000003"
# The token of a user of tenant C, without a signature, which the emulator does not check.
USER_C = "e30.eyJ0aWQiOiJjY2NjY2NjYy0wMDAwLTQwMDAtODAwMC0wMDAwMDAwMDAwMGMifQ."
# The names of the codes that the calls end with.
CODES = {2: "UNKNOWN", 3: "INVALID_ARGUMENT", 5: "NOT_FOUND", 7: "PERMISSION_DENIED", 8: "RESOURCE_EXHAUSTED", 9: "FAILED_PRECONDITION", 14: "UNAVAILABLE", 16: "UNAUTHENTICATED"}

TOO_MANY = [{"directory_object_id": f"00000000-0000-4000-8000-{i:012}"} for i in range(51)]
CALLS = [
    ("ProtectionPolicyService/GetProtectionPolicy", {"protection_policy_id": UNKNOWN}, []),
    ("ProtectionPolicyService/CreateExchangeProtectionPolicy", {}, []),
    ("ProtectionPolicyService/CreateExchangeProtectionPolicy", {"display_name": "Mailboxes", "mailbox_protection_units": TOO_MANY}, []),
    ("ProtectionPolicyService/CreateExchangeProtectionPolicy", {"display_name": "Mailboxes"}, ["x-tenant-id: " + TENANT_C]),
    ("ProtectionPolicyService/ActivateProtectionPolicy", {"protection_policy_id": POLICY_C}, ["x-tenant-id: " + TENANT_C]),
    ("RestoreSessionService/ActivateRestoreSession", {"restore_session_id": UNKNOWN}, []),
    ("ProtectionPolicyService/CreateSharePointProtectionPolicy", {"display_name": "Sites"}, []),
    ("ProtectionPolicyService/CreateOneDriveForBusinessProtectionPolicy", {"display_name": "Drives"}, []),
    ("ServiceAppService/ListServiceApps", {}, []),
    ("ProtectionPolicyService/ListProtectionPolicies", {}, []),
    ("ProtectionUnitService/OffboardProtectionUnit", {"protection_unit_id": UNIT_C}, ["x-tenant-id: " + TENANT_C, "x-user-assertion: " + USER_C]),
    # This call fails only for callers who may not make it.
    ("ProtectionUnitService/GetProtectionUnit", {"protection_unit_id": UNIT_C}, ["x-tenant-id: " + TENANT_C]),
]


def credentials():
    """Returns the flags, and the variables of grpcurl, for the variables CLIENT_… of ../README.md."""
    ca, certificate, key, token = (os.environ.get(f"CLIENT_{name}_FILE") for name in ("CA", "CERTIFICATE", "KEY", "TOKEN"))
    if not ca:
        if certificate or key or token:
            sys.exit("a certificate or a token needs CLIENT_CA_FILE")
        return ["-plaintext"], {}
    flags = ["-cacert", ca]
    if certificate or key:
        flags += ["-cert", certificate or "", "-key", key or ""]
    if token:
        # grpcurl gets the token from a variable, because everybody on a machine can read arguments.
        return flags + ["-expand-headers", "-H", "authorization: Bearer ${TOKEN}"], {"TOKEN": pathlib.Path(token).read_text().strip()}
    return flags, {}


def section(output, title, end):
    """Returns the text between two lines of the output of grpcurl -v, empty when the first is not there."""
    return output.partition(f"\n{title}:\n")[2].partition(f"\n{end}")[0]


def show(rpc, status, trailers):
    details = {detail["@type"].split(".")[-1]: detail for detail in status.get("details", [])}
    info = details.get("ErrorInfo", {})
    metadata = info.get("metadata", {})
    resource = details.get("ResourceInfo")
    retry = details.get("RetryInfo")
    fields = ",".join(violation["field"] for violation in details.get("BadRequest", {}).get("fieldViolations", []))
    pushback = trailers.get("grpc-retry-pushback-ms")
    outcome_unknown = metadata.get("outcome") == "unknown"
    following = {
        "POLICY_NOT_FOUND": "forget",
        "INVALID_DISPLAY_NAME": "correct:" + fields,
        "PROTECTION_UNITS_LIMIT_BREACHED": "split:" + metadata.get("documentedLimit", "-"),
        "FORBIDDEN": "ask:" + metadata.get("permission", "-"),
    }.get(info.get("reason"))
    if not following:
        # A write that may have been done: look before calling again.
        following = ("look-then-wait" if retry else "look") if outcome_unknown else ("wait" if retry else "report")
    parts = {
        "code": CODES[status["code"]],
        "reason": info.get("reason"),
        "domain": info.get("domain"),
        "resource": resource and f"{resource['resourceType']}/{resource['resourceName']}",
        "retry": retry and f"{math.floor(float(retry['retryDelay'].rstrip('s')))}s",
        "pushback": pushback and ("never" if int(pushback) < 0 else f"{int(pushback) // 1000}s"),
        "field": fields,
        "metadata": ",".join(f"{key}:{value.replace(' ', '_')}" for key, value in sorted(metadata.items()) if key != "graphDate"),
        "request": trailers.get("x-request-id"),
        "planted": metadata.get("graphRequestId") or status["message"].split(" ")[-1],
        "next": following,
    }
    print(rpc.split("/")[1], *(f"{name}={value or '-'}" for name, value in parts.items()))


def main(grpcurl, descriptors, address, request_id):
    flags, variables = credentials()
    for rpc, request, headers in CALLS:
        command = [grpcurl, *flags, "-protoset", descriptors, "-v", "-format-error", "-max-time", "20", "-d", json.dumps(request)]
        for header in ["x-request-id: " + request_id, *headers]:
            command += ["-H", header]
        call = subprocess.run([*command, address, "m365.backupstorage.v1." + rpc], env=os.environ | variables, capture_output=True, text=True, check=False)
        lines = section(call.stdout, "Response trailers received", "Sent ").splitlines()
        trailers = dict(line.split(": ", 1) for line in lines if ": " in line)
        if call.returncode == 0 and rpc.endswith("/GetProtectionUnit"):
            # The unit in the response contains an error, which says why it is not protected.
            unit = json.loads(section(call.stdout, "Response contents", "\nResponse trailers"))["protectionUnit"]
            status = next(one for one in (unit, *unit.values()) if isinstance(one, dict) and "error" in one)["error"]
        elif call.returncode <= 64:
            sys.exit(f"{rpc} ended with exit code {call.returncode}: {call.stderr}")
        else:
            status = json.loads(call.stderr)
        show(rpc, status, trailers)


if __name__ == "__main__":
    main(*sys.argv[1:])
