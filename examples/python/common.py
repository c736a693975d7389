"""What the Python programs here share: arguments, the channel, calls, pages, streams, and waiting."""

import argparse
import csv
import pathlib
import sys
import time

import grpc

from m365.backupstorage.errors import TypedError
from m365.backupstorage.service_config import SERVICE_CONFIG
from m365.backupstorage.v1.protection_policy_service_pb2_grpc import ProtectionPolicyServiceStub
from m365.backupstorage.v1.protection_unit_bulk_addition_job_service_pb2_grpc import ProtectionUnitBulkAdditionJobServiceStub
from m365.backupstorage.v1.protection_unit_stream_service_pb2_grpc import ProtectionUnitStreamServiceStub
from m365.backupstorage.v1.wait_result_pb2 import WAIT_RESULT_TIMED_OUT

TRY_LATER = 75  # Exit code: nobody knows whether a write was done, or there was no time left. Run the program again.


def parser(text):
    """Returns a parser with the arguments that all programs have."""
    result = argparse.ArgumentParser(description=text)
    result.add_argument("--server", default="127.0.0.1:50051", help="HOST:PORT")
    result.add_argument("--tenant", required=True, help="GUID of the tenant")
    result.add_argument("--ca-file", type=pathlib.Path, help="authority of the server's certificate; without it no TLS")
    result.add_argument("--token-file", type=pathlib.Path, help="token of this program, for a server that asks who calls")
    result.add_argument("--user-token-file", type=pathlib.Path, help="token of a user, to see addresses of mailboxes")
    result.add_argument("--poll", type=float, default=60, metavar="SECONDS", help="time between two looks for what a lost write made, at most 2")
    result.add_argument("--settle", type=float, default=30, metavar="SECONDS", help="how long to look for what a lost write made")
    result.add_argument("--patience", type=float, default=7200, metavar="SECONDS", help="how long the program may take")
    return result


class Server:
    """A connection to the server, with the stubs of the services."""

    def __init__(self, args):
        options = [("grpc.service_config", SERVICE_CONFIG), ("grpc.max_receive_message_length", -1)]
        if args.ca_file:
            channel = grpc.secure_channel(args.server, grpc.ssl_channel_credentials(args.ca_file.read_bytes()), options)
        else:
            channel = grpc.insecure_channel(args.server, options)
        self.policies = ProtectionPolicyServiceStub(channel)
        self.streams = ProtectionUnitStreamServiceStub(channel)
        self.jobs = ProtectionUnitBulkAdditionJobServiceStub(channel)
        self.args = args
        self.give_up = time.monotonic() + args.patience

    def metadata(self):
        """Returns what each call says of its tenant and caller. Something else can renew the tokens at any time."""
        result = [("x-tenant-id", self.args.tenant)]
        if self.args.token_file:
            result.append(("authorization", f"Bearer {self.args.token_file.read_text().strip()}"))
        if self.args.user_token_file:
            result.append(("x-user-assertion", self.args.user_token_file.read_text().strip()))
        return result

    def call(self, rpc, request):
        """Makes a call. While the server refuses it and says when to come back, it waits and repeats the call."""
        while True:
            try:
                return rpc(request, timeout=30, metadata=self.metadata())
            except grpc.RpcError as error:
                e = TypedError.of(error)
                if e.outcome_unknown or e.retry_delay is None or time.monotonic() + e.retry_delay > self.give_up:
                    raise
                time.sleep(e.retry_delay)

    def create(self, rpc, request, field, look):
        """Makes a call that must not be done twice, and returns a field of its response.

        After a lost response it looks for what the call has made: look returns that, or None.
        """
        try:
            return getattr(self.call(rpc, request), field)
        except grpc.RpcError as error:
            if not TypedError.of(error).outcome_unknown:
                raise
        if (found := self.find(look)) is None:
            stop(f"nobody knows whether {type(request).__name__} was done", TRY_LATER)
        return found

    def find(self, look):
        """Calls look until it returns something, or --settle is over: a replica of Graph can lack what is new for a while."""
        end = time.monotonic() + self.args.settle
        while (found := look()) is None and time.monotonic() < end:
            time.sleep(min(self.args.poll, 2))
        return found

    def pages(self, rpc, request, field):
        """Yields the items of a list, from all its pages."""
        while True:
            page = self.call(rpc, request)
            yield from getattr(page, field)
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token

    def stream(self, rpc, request, field):
        """Yields the items of a long list, from a stream of its pages.

        A stream can end before the list does: the server stops, ten minutes are over (both STREAM_RESUME), the
        connection breaks. The next one goes on behind the last page that came.
        """
        broken = 0
        while True:
            try:
                for page in rpc(request, timeout=max(1, self.give_up - time.monotonic()), metadata=self.metadata()):
                    yield from getattr(page, field)
                    if not page.next_page_token:
                        return
                    request.page_token, broken = page.next_page_token, 0
            except grpc.RpcError as error:
                e = TypedError.of(error)
                delay = e.retry_delay
                if not e.reason and broken < 5:  # The connection broke. To read again does no harm.
                    delay, broken = 1, broken + 1
                if delay is None or time.monotonic() + delay > self.give_up:
                    raise
                time.sleep(delay)

    def wait(self, rpc, request, field):
        """Waits until a resource is in one of the states that the request names, or will not be, and returns it.

        Each call waits a little less than its deadline.
        """
        while (response := self.call(rpc, request)).result == WAIT_RESULT_TIMED_OUT:
            if time.monotonic() > self.give_up:
                stop("it takes longer than --patience", TRY_LATER)
        return getattr(response, field)


def stop(message, code):
    print(message, file=sys.stderr)
    sys.exit(code)


def run(main):
    """Runs a program. A call that failed ends it with what the error says, and never with a stack trace."""
    try:
        sys.exit(main())
    except grpc.RpcError as error:
        e = TypedError.of(error)
        stop(f"{e.metadata.get('operation', 'a call')} failed: {why(e)}", TRY_LATER if e.outcome_unknown else 1)
    except OSError as error:
        stop(f"a file cannot be read: {error}", 2)


def why(error):
    """Returns what an error is and what to do about it, for people."""
    return f"{error.reason or error.code}: {error.resolution or error.message}"


def read_csv(path):
    """Reads the columns mail and id (object id in Microsoft Entra ID; can be missing), each mailbox once."""
    with open(path, newline="", encoding="utf-8-sig") as file:
        rows = list(csv.DictReader(file))
    if not rows or "mail" not in rows[0]:
        stop(f"{path} has no rows, or no column mail", 2)
    return {row["mail"].strip().lower(): (row.get("id") or "").strip().lower() for row in rows if row["mail"].strip()}
