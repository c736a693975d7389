"""Makes the calls of a list and checks that their errors can be read: python read.py CASES ADDRESS"""

import base64
import json
import sys

import grpc
from google.rpc import error_details_pb2, status_pb2

with open(sys.argv[1]) as file:
    cases = json.load(file)
wrong, largest = 0, 0
with grpc.insecure_channel(sys.argv[2]) as channel:
    for case in cases:
        call = channel.unary_unary(case["method"])  # Takes and returns bytes: errors need no stubs.
        try:
            call(base64.b64decode(case["request"]), timeout=5, metadata=list(case["metadata"].items()))
            sys.exit(f"{case['reason']}: the call succeeded")
        except grpc.RpcError as error:
            details = dict(error.trailing_metadata() or ()).get("grpc-status-details-bin", b"")
            status, info, retry = status_pb2.Status.FromString(details), error_details_pb2.ErrorInfo(), False
            if status.details:
                status.details[0].Unpack(info)
                retry = any(detail.Is(error_details_pb2.RetryInfo.DESCRIPTOR) for detail in status.details)
            got = {"code": error.code().name, "reason": info.reason, "retry": retry}
        largest = max(largest, len(details))
        if got != {key: case[key] for key in got} or len(details) > 4096:
            wrong += 1
            print(f"want {case['code']} {case['reason']} {case['retry']}, got {got}, {len(details)} bytes: {error.details()[:200]}")
print(f"Python: {len(cases) - wrong} of {len(cases)} errors read; the largest Status has {largest} bytes")
sys.exit(1 if wrong else 0)
