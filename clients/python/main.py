"""Reads the typed errors of this server and says what it would do: python main.py ADDRESS REQUEST_ID"""

import sys

import grpc
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

from m365.backupstorage.v1 import protection_policy_service_pb2 as pb
from m365.backupstorage.v1 import protection_policy_service_pb2_grpc as pb_grpc
from m365.backupstorage.v1 import protection_unit_pb2


def detail(status, kind):
    """Returns the status's detail of a kind, or None."""
    for packed in status.details:
        message = kind()
        if packed.Unpack(message):
            return message
    return None


def show(rpc, call, request, request_id):
    """Makes a call that fails and prints what the error says."""
    try:
        call(request, timeout=20, metadata=[("x-request-id", request_id)])
        sys.exit(f"{rpc} did not fail")
    except grpc.RpcError as err:
        error = err
    status = rpc_status.from_call(error) or status_pb2.Status()
    info = detail(status, error_details_pb2.ErrorInfo) or error_details_pb2.ErrorInfo()
    retry_info = detail(status, error_details_pb2.RetryInfo)
    bad_request = detail(status, error_details_pb2.BadRequest) or error_details_pb2.BadRequest()
    resource = detail(status, error_details_pb2.ResourceInfo)
    field = ",".join(violation.field for violation in bad_request.field_violations)
    trailer = dict(error.trailing_metadata())
    # What the gRPC runtime obeys if a service config lets it retry; milliseconds, or -1 for not.
    pushback = trailer.get("grpc-retry-pushback-ms")
    match info.reason:  # The name of an ErrorReason.
        case "POLICY_NOT_FOUND":
            action = "forget"
        case "INVALID_DISPLAY_NAME":
            action = f"correct:{field}"
        case "PROTECTION_UNITS_LIMIT_BREACHED":
            action = f"split:{info.metadata['documentedLimit']}"
        case _:
            # For retry_info.retry_delay.ToTimedelta()
            action = "wait" if retry_info else "report"
    print(
        rpc,
        f"code={error.code().name}",
        f"reason={info.reason or '-'}",
        f"domain={info.domain or '-'}",
        f"resource={f'{resource.resource_type}/{resource.resource_name}' if resource else '-'}",
        f"retry={'yes' if retry_info else 'no'}",
        f"pushback={'-' if pushback is None else 'never' if pushback.startswith('-') else 'allowed'}",
        f"field={field or '-'}",
        f"metadata.graphCode={info.metadata.get('graphCode', '-')}",
        f"metadata.documentedLimit={info.metadata.get('documentedLimit', '-')}",
        f"request={trailer.get('x-request-id', '-')}",
        f"next={action}",
    )


def main(address, request_id):
    units = [protection_unit_pb2.NewMailboxProtectionUnit(directory_object_id=f"00000000-0000-4000-8000-{i:012}") for i in range(51)]
    with grpc.insecure_channel(address) as channel:
        policies = pb_grpc.ProtectionPolicyServiceStub(channel)
        show("GetProtectionPolicy", policies.GetProtectionPolicy, pb.GetProtectionPolicyRequest(protection_policy_id="00000000-0000-4000-8000-000000000404"), request_id)
        show("CreateExchangeProtectionPolicy", policies.CreateExchangeProtectionPolicy, pb.CreateExchangeProtectionPolicyRequest(), request_id)
        show("CreateExchangeProtectionPolicy", policies.CreateExchangeProtectionPolicy, pb.CreateExchangeProtectionPolicyRequest(display_name="Mailboxes", mailbox_protection_units=units), request_id)
        show("ListProtectionPolicies", policies.ListProtectionPolicies, pb.ListProtectionPoliciesRequest(), request_id)


if __name__ == "__main__":
    main(*sys.argv[1:])
