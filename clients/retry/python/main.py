"""Makes calls with a service config and prints how they ended: python main.py ADDRESS CONFIG CALLS

CONFIG is a file, or empty for none. CALLS is a list of calls as JSON; the program makes them one after the other on
one channel. It prints a list as JSON, with an object for each call.
"""

import base64
import json
import pathlib
import sys
import time

import grpc
from google.rpc import error_details_pb2
from grpc_status import rpc_status


def details_of(error):
    """Returns the ErrorInfo and RetryInfo of an error, empty if missing: the runtime's own errors have no details."""
    status = rpc_status.from_call(error)
    info, retry = error_details_pb2.ErrorInfo(), error_details_pb2.RetryInfo()
    for detail in status.details if status else ():
        detail.Unpack(info) or detail.Unpack(retry)
    return info, retry


def invoke(channel, call):
    """Makes one call. Times are in seconds; elapsed includes the retries of the runtime."""
    rpc = channel.unary_unary("/" + call["method"])  # Without stubs: takes and returns bytes.
    metadata = [("x-tenant-id", call["tenant"]), ("x-request-id", call["requestId"])]
    start = time.monotonic()
    try:
        _, ended = rpc.with_call(base64.b64decode(call["request"]), timeout=call["deadline"], metadata=metadata)
        info, retry = error_details_pb2.ErrorInfo(), error_details_pb2.RetryInfo()
    except grpc.RpcError as error:
        ended, (info, retry) = error, details_of(error)
    elapsed = time.monotonic() - start
    trailer = dict(ended.trailing_metadata() or ())
    return {
        "code": ended.code().name,
        "reason": info.reason,
        "pushback": trailer.get("grpc-retry-pushback-ms", ""),
        "retryDelay": retry.retry_delay.ToTimedelta().total_seconds(),
        "elapsed": elapsed,
    }


def main(address, config, calls):
    options = [("grpc.service_config", pathlib.Path(config).read_text(encoding="utf-8"))] if config else []
    with grpc.insecure_channel(address, options=options) as channel:
        json.dump([invoke(channel, call) for call in json.loads(calls)], sys.stdout)


if __name__ == "__main__":
    main(*sys.argv[1:])
