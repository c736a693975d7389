"""Reads the typed errors of this server and prints what it would do about each: python main.py ADDRESS REQUEST_ID"""

import sys

import grpc

from channel import open_channel
from m365.backupstorage.errors import TypedError
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


class Seen(TypedError):
    """An error, with what this program makes of it."""

    def next(self):
        """Returns what the program would do next."""
        match self.reason:  # The name of an ErrorReason.
            case "POLICY_NOT_FOUND":
                return "forget"
            case "INVALID_DISPLAY_NAME":
                return "correct:" + ",".join(self.fields)
            case "PROTECTION_UNITS_LIMIT_BREACHED":
                return "split:" + self.metadata["documentedLimit"]
            case "FORBIDDEN":
                return "ask:" + self.metadata["permission"]
        if self.outcome_unknown:
            # A write that may have been done: look before calling again.
            return "look" if self.retry_delay is None else "look-then-wait"
        return "report" if self.retry_delay is None else "wait"

    def show(self, rpc, trailer):
        trailer = dict(trailer)
        # gRPC runtimes obey this trailer when a service config allows retries: milliseconds, negative for never.
        pushback = trailer.get("grpc-retry-pushback-ms")
        pushback = None if pushback is None else int(pushback)
        metadata = [f"{key}:{value.replace(' ', '_')}" for key, value in sorted(self.metadata.items()) if key != "graphDate"]
        print(
            rpc,
            f"code={self.code}",
            f"reason={self.reason or '-'}",
            f"domain={self.domain or '-'}",
            f"resource={f'{self.resource.resource_type}/{self.resource.resource_name}' if self.resource else '-'}",
            f"retry={'-' if self.retry_delay is None else f'{int(self.retry_delay)}s'}",
            f"pushback={'-' if pushback is None else 'never' if pushback < 0 else f'{pushback // 1000}s'}",
            f"field={','.join(self.fields) or '-'}",
            f"metadata={','.join(metadata) or '-'}",
            f"request={trailer.get('x-request-id') or '-'}",
            f"planted={self.metadata.get('graphRequestId') or self.message.split(' ')[-1] or '-'}",
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

    with open_channel(address) as channel:
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
                Seen.of(error).show(rpc, error.trailing_metadata())
            else:
                sys.exit(f"{rpc} did not fail")

        # This call fails only for callers who may not make it. The unit in its response contains an error, which says
        # why it is not protected.
        try:
            response, call = units.GetProtectionUnit.with_call(unit_pb.GetProtectionUnitRequest(protection_unit_id=UNIT_C), **options(TENANT_C))
        except grpc.RpcError as error:
            Seen.of(error).show("GetProtectionUnit", error.trailing_metadata())
        else:
            Seen(response.protection_unit.error).show("GetProtectionUnit", call.trailing_metadata())


if __name__ == "__main__":
    main(*sys.argv[1:])
