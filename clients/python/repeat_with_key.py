"""Creates a policy although the answer to the first call is lost: python repeat_with_key.py ADDRESS"""

import sys
import time
import uuid

import grpc

from channel import open_channel
from m365.backupstorage.errors import TypedError
from m365.backupstorage.v1 import protection_policy_service_pb2 as policy_pb
from m365.backupstorage.v1.protection_policy_service_pb2_grpc import ProtectionPolicyServiceStub


def create(policies, request):
    """Returns the id of the policy, and whether the call was a repetition of one that was done."""
    response, call = policies.CreateSharePointProtectionPolicy.with_call(request, timeout=20)
    return response.protection_policy.id, dict(call.trailing_metadata()).get("x-idempotent-replay") == "true"


def create_at_last(policies, request):
    for n in range(1, 6):
        try:
            policy_id, repeated = create(policies, request)
        except grpc.RpcError as error:
            e = TypedError.of(error)
            print(f"call {n}: {e.reason}, outcome unknown: {str(e.outcome_unknown).lower()}")
            # With a key it is safe to call again when nobody knows what was done. Without one a program looks first.
            if not e.outcome_unknown and e.retry_delay is None:
                raise
            time.sleep(max(e.retry_delay or 0, 0.1))
        else:
            print(f"call {n}: OK, repeated: {str(repeated).lower()}")
            return policy_id
    raise SystemExit("no good answer")


def main(address):
    with open_channel(address) as channel:
        policies = ProtectionPolicyServiceStub(channel)
        # A key for this write alone. A program that may die before it is done keeps it, with the request.
        request = policy_pb.CreateSharePointProtectionPolicyRequest(display_name="Sites", idempotency_key=str(uuid.uuid4()))
        policy_id = create_at_last(policies, request)
        again, repeated = create(policies, request)
        print(f"the same again: the same policy: {str(again == policy_id).lower()}, repeated: {str(repeated).lower()}")
        # Another request needs a key of its own.
        request.display_name = "Other sites"
        try:
            create(policies, request)
        except grpc.RpcError as error:
            print(f"another request with the key: {TypedError.of(error).reason}")
        policies = policies.ListProtectionPolicies(policy_pb.ListProtectionPoliciesRequest(), timeout=20).protection_policies
        print(f"policies: {len(policies)}")


if __name__ == "__main__":
    main(*sys.argv[1:])
