"""Reads the typed errors of this server and prints what it would do about each: python main.py ADDRESS REQUEST_ID"""

import sys

import grpc
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_status import rpc_status

from m365.backupstorage.v1 import protection_policy_service_pb2 as policy_pb
from m365.backupstorage.v1 import protection_policy_service_pb2_grpc as policy_grpc
from m365.backupstorage.v1 import protection_unit_pb2
from m365.backupstorage.v1 import protection_unit_service_pb2 as unit_pb
from m365.backupstorage.v1 import protection_unit_service_pb2_grpc as unit_grpc
from m365.backupstorage.v1 import restore_session_service_pb2 as restore_pb
from m365.backupstorage.v1 import restore_session_service_pb2_grpc as restore_grpc
from m365.backupstorage.v1 import service_app_service_pb2 as app_pb
from m365.backupstorage.v1 import service_app_service_pb2_grpc as app_grpc

TENANT_C = "cccccccc-0000-4000-8000-00000000000c"
UNKNOWN = "00000000-0000-4000-8000-000000000404"
POLICY_C = "b71df0ed-09d4-41c7-8a7e-362675b6c0c6"
UNIT_C = "e0000011-f1af-426c-8b0c-000000000003"
# The token of a user of tenant C, without a signature, which the emulator does not check.
USER_C = "e30.eyJ0aWQiOiJjY2NjY2NjYy0wMDAwLTQwMDAtODAwMC0wMDAwMDAwMDAwMGMifQ."


class TypedError:
    """The content of an error: of a call that failed, or of a field in a response."""

    def __init__(self, status, trailer):
        self.code = code_pb2.Code.Name(status.code)
        self.message = status.message
        self.info = error_details_pb2.ErrorInfo()
        self.retry = self.resource = None
        self.fields = []
        for packed in status.details:
            if packed.Is(error_details_pb2.ErrorInfo.DESCRIPTOR):
                packed.Unpack(self.info)
            elif packed.Unpack(retry := error_details_pb2.RetryInfo()):
                self.retry = retry.retry_delay
            elif packed.Unpack(bad := error_details_pb2.BadRequest()):
                self.fields = [violation.field for violation in bad.field_violations]
            elif packed.Unpack(resource := error_details_pb2.ResourceInfo()):
                self.resource = resource
        trailer = dict(trailer)
        self.request_id = trailer.get("x-request-id")
        # gRPC runtimes obey this trailer when a service config allows retries: milliseconds, negative for never.
        pushback = trailer.get("grpc-retry-pushback-ms")
        self.pushback = int(pushback) if pushback is not None else None

    def next(self):
        """Returns what the program would do next."""
        match self.info.reason:  # The name of an ErrorReason.
            case "POLICY_NOT_FOUND":
                return "forget"
            case "INVALID_DISPLAY_NAME":
                return "correct:" + ",".join(self.fields)
            case "PROTECTION_UNITS_LIMIT_BREACHED":
                return "split:" + self.info.metadata["documentedLimit"]
            case "FORBIDDEN":
                return "ask:" + self.info.metadata["permission"]
        if self.info.metadata.get("outcome") == "unknown":
            # A write that may have been done: look before calling again.
            return "look-then-wait" if self.retry else "look"
        return "wait" if self.retry else "report"

    def show(self, rpc):
        pushback = self.pushback
        metadata = [f"{key}:{value.replace(' ', '_')}" for key, value in sorted(self.info.metadata.items()) if key != "graphDate"]
        print(
            rpc,
            f"code={self.code}",
            f"reason={self.info.reason or '-'}",
            f"domain={self.info.domain or '-'}",
            f"resource={f'{self.resource.resource_type}/{self.resource.resource_name}' if self.resource else '-'}",
            f"retry={f'{self.retry.seconds}s' if self.retry else '-'}",
            f"pushback={'-' if pushback is None else 'never' if pushback < 0 else f'{pushback // 1000}s'}",
            f"field={','.join(self.fields) or '-'}",
            f"metadata={','.join(metadata) or '-'}",
            f"request={self.request_id or '-'}",
            f"planted={self.info.metadata.get('graphRequestId') or self.message.split(' ')[-1] or '-'}",
            f"next={self.next()}",
        )


def main(address, request_id):
    def options(tenant, user=None):
        metadata = [("x-request-id", request_id)]
        if tenant:
            metadata.append(("x-tenant-id", tenant))
        if user:
            metadata.append(("x-user-assertion", user))
        return {"timeout": 20, "metadata": metadata}

    with grpc.insecure_channel(address) as channel:
        policies = policy_grpc.ProtectionPolicyServiceStub(channel)
        restores = restore_grpc.RestoreSessionServiceStub(channel)
        apps = app_grpc.ServiceAppServiceStub(channel)
        units = unit_grpc.ProtectionUnitServiceStub(channel)

        too_many = [protection_unit_pb2.NewMailboxProtectionUnit(directory_object_id=f"00000000-0000-4000-8000-{i:012}") for i in range(51)]
        for stub, rpc, request, tenant, user in [
            (policies, "GetProtectionPolicy", policy_pb.GetProtectionPolicyRequest(protection_policy_id=UNKNOWN), None, None),
            (policies, "CreateExchangeProtectionPolicy", policy_pb.CreateExchangeProtectionPolicyRequest(), None, None),
            (policies, "CreateExchangeProtectionPolicy", policy_pb.CreateExchangeProtectionPolicyRequest(display_name="Mailboxes", mailbox_protection_units=too_many), None, None),
            (policies, "CreateExchangeProtectionPolicy", policy_pb.CreateExchangeProtectionPolicyRequest(display_name="Mailboxes"), TENANT_C, None),
            (policies, "ActivateProtectionPolicy", policy_pb.ActivateProtectionPolicyRequest(protection_policy_id=POLICY_C), TENANT_C, None),
            (restores, "ActivateRestoreSession", restore_pb.ActivateRestoreSessionRequest(restore_session_id=UNKNOWN), None, None),
            (policies, "CreateSharePointProtectionPolicy", policy_pb.CreateSharePointProtectionPolicyRequest(display_name="Sites"), None, None),
            (policies, "CreateOneDriveForBusinessProtectionPolicy", policy_pb.CreateOneDriveForBusinessProtectionPolicyRequest(display_name="Drives"), None, None),
            (apps, "ListServiceApps", app_pb.ListServiceAppsRequest(), None, None),
            (policies, "ListProtectionPolicies", policy_pb.ListProtectionPoliciesRequest(), None, None),
            # Without a user this fails with DELEGATED_TOKEN_REQUIRED.
            (units, "OffboardProtectionUnit", unit_pb.OffboardProtectionUnitRequest(protection_unit_id=UNIT_C), TENANT_C, USER_C),
        ]:
            try:
                getattr(stub, rpc)(request, **options(tenant, user))
            except grpc.RpcError as error:
                # Errors of the gRPC runtime itself have no Status, such as UNAVAILABLE when nothing listens.
                status = rpc_status.from_call(error) or status_pb2.Status(code=error.code().value[0], message=error.details())
                TypedError(status, error.trailing_metadata()).show(rpc)
            else:
                sys.exit(f"{rpc} did not fail")

        # This call does not fail. The unit in its response contains an error, which says why it is not protected.
        response, call = units.GetProtectionUnit.with_call(unit_pb.GetProtectionUnitRequest(protection_unit_id=UNIT_C), **options(TENANT_C))
        TypedError(response.protection_unit.error, call.trailing_metadata()).show("GetProtectionUnit")


if __name__ == "__main__":
    main(*sys.argv[1:])
