"""Waits for a policy, and reads a long list of mailboxes by a stream that is cut: python wait_and_stream.py ADDRESS"""

import sys
import time

import grpc

from channel import open_channel
from google.protobuf.duration_pb2 import Duration
from m365.backupstorage.errors import TypedError
from m365.backupstorage.v1.protection_policy_pb2 import PROTECTION_POLICY_STATUS_ACTIVE, ProtectionPolicyStatus
from m365.backupstorage.v1 import protection_policy_service_pb2 as policy_pb
from m365.backupstorage.v1.protection_policy_service_pb2_grpc import ProtectionPolicyServiceStub
from m365.backupstorage.v1 import protection_unit_service_pb2 as unit_pb
from m365.backupstorage.v1.protection_unit_service_pb2_grpc import ProtectionUnitServiceStub
from m365.backupstorage.v1.protection_unit_stream_service_pb2_grpc import ProtectionUnitStreamServiceStub
from m365.backupstorage.v1 import wait_result_pb2 as result_pb


def wait(policies):
    """Creates and activates a policy, waits for a second, and then until it is active."""
    created = policies.CreateSharePointProtectionPolicy(policy_pb.CreateSharePointProtectionPolicyRequest(display_name="Sites"), timeout=20)
    policy_id = created.protection_policy.id
    policies.ActivateProtectionPolicy(policy_pb.ActivateProtectionPolicyRequest(protection_policy_id=policy_id), timeout=20)

    # With nothing seen the wait ends at once. Then a change ends it: another content than the one with this revision.
    request = policy_pb.WaitProtectionPolicyRequest(protection_policy_id=policy_id)
    response = policies.WaitProtectionPolicy(request, timeout=60)
    show("wait with nothing seen", response)
    request = policy_pb.WaitProtectionPolicyRequest(protection_policy_id=policy_id, seen=response.revision, max_wait=Duration(seconds=1))
    show("wait for a change", policies.WaitProtectionPolicy(request, timeout=60))

    request = policy_pb.WaitProtectionPolicyRequest(protection_policy_id=policy_id, until=[PROTECTION_POLICY_STATUS_ACTIVE])
    while True:  # A wait lasts at most 45 s. The deadline is longer than that.
        response = policies.WaitProtectionPolicy(request, timeout=60)
        if response.result != result_pb.WAIT_RESULT_TIMED_OUT:
            break
    show("wait until ACTIVE", response)


def show(what, response):
    result = result_pb.WaitResult.Name(response.result).removeprefix("WAIT_RESULT_")
    print(f"{what}: {result}, {ProtectionPolicyStatus.Name(response.protection_policy.status)}")


def read(pages, request, units, most=None):
    """Reads the pages of a stream into units, at most so many. request.page_token is where the next call goes on."""
    count = 0
    for page in pages:
        units.extend(page.protection_units)
        request.page_token = page.next_page_token
        count += 1
        if count == most:
            pages.cancel()
            break
    return count


def main(address):
    with open_channel(address) as channel:
        wait(ProtectionPolicyServiceStub(channel))
        lists, streams = ProtectionUnitServiceStub(channel), ProtectionUnitStreamServiceStub(channel)

        # A stream has no deadline, or one of minutes. Its end without an error says that the list is complete. The server
        # can end it before the list ends: when it stops, and after ten minutes. Another one goes on.
        units, request = [], unit_pb.ListMailboxProtectionUnitsRequest(page_size=500)
        pages, complete = 0, False
        while not complete:
            try:
                for page in streams.StreamMailboxProtectionUnits(request):
                    pages += read([page], request, units)
                complete = True
            except grpc.RpcError as error:
                e = TypedError.of(error)
                if e.reason != "STREAM_RESUME":
                    raise
                print("the stream is to be resumed")
                time.sleep(e.retry_delay)
        print(f"stream: {pages} pages, {len(units)} units, {len({unit.id for unit in units})} ids")

        for way in "stream", "list":
            units, request = [], unit_pb.ListMailboxProtectionUnitsRequest(page_size=500)
            pages = read(streams.StreamMailboxProtectionUnits(request), request, units, most=2)
            if way == "stream":
                pages += read(streams.StreamMailboxProtectionUnits(request), request, units)
            while request.page_token:  # Empty after the last page.
                pages += read([lists.ListMailboxProtectionUnits(request, timeout=20)], request, units)
            print(f"cut after 2 pages, resumed with the {way}: {pages} pages, {len(units)} units, {len({unit.id for unit in units})} ids")

        # The second page of this list fails. The first one is valid.
        request = unit_pb.ListExchangeProtectionPolicyUnitsRequest(protection_policy_id=units[0].policy_id, page_size=500)
        pages = 0
        try:
            for page in streams.StreamExchangeProtectionPolicyUnits(request):
                pages += 1
        except grpc.RpcError as error:
            print(f"error after {pages} page: {TypedError.of(error).reason}")


if __name__ == "__main__":
    main(*sys.argv[1:])
