"""Reads the errors of the server: why a call failed, whether and when it can be repeated, which field is wrong, and
whether a write may have been done.

    try:
        policies.CreateExchangeProtectionPolicy(request)
    except grpc.RpcError as error:
        e = TypedError.of(error)
        if e.reason == "INVALID_DISPLAY_NAME":
            print("correct", e.fields)
        elif e.outcome_unknown:
            print("look with", e.metadata["verifyWith"])
        elif e.retry_delay is not None:
            time.sleep(e.retry_delay)
"""

from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_status import rpc_status

from m365.backupstorage.v1 import error_reason_pb2, error_spec_pb2


class TypedError:
    """The content of an error: of a call that failed, or of a field in a response.

    code             name of the gRPC code, such as "NOT_FOUND"
    message          for people; programs do not read it
    reason           name of an ErrorReason, such as "POLICY_NOT_FOUND"; "" for an error that the gRPC runtime made.
                     A reason that this version does not know is treated by its code
    domain           that of the reason
    resolution       a sentence for people: what to do about the reason; "" for a reason that this version does not know
    metadata         that of the ErrorInfo, as a dict
    retry_delay      seconds to wait before the same request can be sent again; None when it cannot
    fields           paths of the fields of the request that are wrong
    resource         ResourceInfo of the resource that the error is about, or None
    outcome_unknown  whether the call may have been done, if it was a write: look before you repeat it. True without a
                     reason too: no server says then what was done
    """

    def __init__(self, status):
        """Reads a google.rpc.Status, such as the error of a protection unit."""
        self.code = code_pb2.Code.Name(status.code)
        self.message = status.message
        self.reason = self.domain = ""
        self.metadata = {}
        self.retry_delay = self.resource = None
        self.fields = []
        for packed in status.details:
            if packed.Is(error_details_pb2.ErrorInfo.DESCRIPTOR):
                packed.Unpack(info := error_details_pb2.ErrorInfo())
                self.reason, self.domain, self.metadata = info.reason, info.domain, dict(info.metadata)
            elif packed.Unpack(retry := error_details_pb2.RetryInfo()):
                self.retry_delay = retry.retry_delay.seconds + retry.retry_delay.nanos / 1e9
            elif packed.Unpack(bad := error_details_pb2.BadRequest()):
                self.fields = [violation.field for violation in bad.field_violations]
            elif packed.Unpack(resource := error_details_pb2.ResourceInfo()):
                self.resource = resource
        known = error_reason_pb2.ErrorReason.DESCRIPTOR.values_by_name.get(self.reason)
        self.resolution = known.GetOptions().Extensions[error_spec_pb2.error_spec].resolution if known else ""
        self.outcome_unknown = self.metadata.get("outcome") == "unknown" or (not self.reason and self.code != "OK")

    @classmethod
    def of(cls, error):
        """Reads the grpc.RpcError of a call. One that the gRPC runtime made has a code and a message alone."""
        status = rpc_status.from_call(error)
        return cls(status or status_pb2.Status(code=error.code().value[0], message=error.details() or ""))
