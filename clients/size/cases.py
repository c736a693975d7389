"""Prints the calls and the expected errors as JSON: python cases.py FOLDER_OF_REFERENCE_DATA"""

import base64
import csv
import json
import pathlib
import sys
import uuid

GET = "ProtectionPolicyService/GetProtectionPolicy"
DEACTIVATE = "ProtectionPolicyService/DeactivateProtectionPolicy"
TENANT = "aaaaaaaa-0000-4000-8000-00000000000a"


def table(name):
    with open(pathlib.Path(sys.argv[1]) / name, newline="") as file:
        return list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))


def text_field(number, text):
    """Returns a protobuf message with one text field."""
    encoded, length = text.encode(), b""
    rest = len(encoded)
    while rest > 127:
        length += bytes([rest & 127 | 128])
        rest >>= 7
    return bytes([number << 3 | 2]) + length + bytes([rest]) + encoded


def case(method, reason, code, retry, request=b"", tenant=TENANT):
    return {
        "method": f"/m365.backupstorage.v1.{method}",
        "request": base64.b64encode(request).decode(),
        "metadata": {"x-tenant-id": tenant} if tenant else {},
        "reason": reason,
        "code": code,
        "retry": retry,
    }


def upstream(method, status, graph_code, reason, code, retry, errors=50, length=400):
    # Each call has a tenant of its own: after a 429 the server refuses the calls of a tenant for a while.
    return case(method, reason, code, retry, text_field(1, f"{status}.{graph_code}.{errors}.{length}"), str(uuid.uuid4()))


cases = []
statuses = {row["graph_code"]: row["http_status"] for row in table("documented_errors.tsv") if row["http_status"] != "200"}
for row in table("error_reasons.tsv"):
    if row["graph_code"] in ("UnknownError", "Invalid"):
        continue  # Generic codes: the server goes by the HTTP status then.
    status = statuses.get(row["graph_code"], "409")
    cases.append(upstream(GET, status, row["graph_code"], row["reason"], row["grpc_code"], row["retry_delay"] != "-"))
for row in table("http_status_errors.tsv"):
    status = {"4xx": "418", "5xx": "599", "3xx": "307"}.get(row["status"], row["status"])
    code = row["code"].removeprefix("read: ").split(";")[0]
    cases.append(upstream(GET, status, "SomethingNew", row["reason"], code, row["retry_info"] != "no"))
    if status in ("408", "502", "504", "307"):
        cases.append(upstream(DEACTIVATE, status, "SomethingNew", "OUTCOME_UNKNOWN", "UNKNOWN", False))
# The server keeps a few separate errors whole and shortens many, so the largest Status is in between.
for errors in range(51):
    cases.append(upstream(GET, "400", "InvalidPolicyId", "INVALID_POLICY_ID", "INVALID_ARGUMENT", False, errors, 30))
for errors in (1, 2, 3, 4, 300):
    cases.append(upstream(GET, "400", "InvalidPolicyId", "INVALID_POLICY_ID", "INVALID_ARGUMENT", False, errors, 2000))
for method, reason, request, tenant in [
    (GET, "TENANT_REQUIRED", b"", ""),
    (GET, "INVALID_TENANT_ID", b"", "x" * 2000),
    (GET, "INVALID_POLICY_ID", text_field(1, "ж" * 100_000), TENANT),
    ("ServiceAppService/GetServiceApp", "INVALID_RESOURCE_ID", text_field(1, "ж" * 100_000), TENANT),
    ("ProtectionPolicyService/ListProtectionPolicies", "INVALID_PAGE_TOKEN", text_field(2, "ж" * 100_000), TENANT),
]:
    cases.append(case(method, reason, "INVALID_ARGUMENT", False, request, tenant))
cases.append(case("ProtectionPolicyService/" + "N" * 1000, "UNKNOWN_METHOD", "UNIMPLEMENTED", False))
json.dump(cases, sys.stdout)
