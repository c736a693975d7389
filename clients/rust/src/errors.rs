//! Reads the errors of the server: why a call failed, whether and when it can be repeated, which field is wrong, and
//! whether a write may have been done.

use std::collections::HashMap;
use std::time::Duration;

use tonic_types::{ErrorDetails, ErrorInfo, RpcStatusExt, StatusExt};

/// The content of an error: of a call that failed, or of a field in a response.
#[derive(Clone, Debug)]
pub struct TypedError {
    pub code: tonic::Code,
    /// For people. Programs do not read it.
    pub message: String,
    /// Name of an ErrorReason, such as `POLICY_NOT_FOUND`. Empty for an error that the gRPC runtime made. A reason that
    /// this version does not know is treated by its code.
    pub reason: String,
    pub domain: String,
    /// That of the ErrorInfo.
    pub metadata: HashMap<String, String>,
    /// The time to wait before the same request can be sent again. None when it cannot.
    pub retry_delay: Option<Duration>,
    /// Paths of the fields of the request that are wrong.
    pub fields: Vec<String>,
    /// Type and name of the resource that the error is about.
    pub resource: Option<(String, String)>,
    /// Whether the call may have been done, if it was a write: look before you repeat it. True without a reason too: no
    /// server says then what was done.
    pub outcome_unknown: bool,
}

impl TypedError {
    fn new(code: tonic::Code, message: &str, details: &ErrorDetails) -> Self {
        let info = details.error_info().cloned().unwrap_or_else(|| ErrorInfo::new("", "", HashMap::new()));
        Self {
            code,
            message: message.into(),
            outcome_unknown: info.metadata.get("outcome").is_some_and(|it| it == "unknown") || info.reason.is_empty() && code != tonic::Code::Ok,
            reason: info.reason,
            domain: info.domain,
            metadata: info.metadata,
            retry_delay: details.retry_info().map(|it| it.retry_delay.unwrap_or_default()),
            fields: details.bad_request().map_or(vec![], |it| it.field_violations.iter().map(|it| it.field.clone()).collect()),
            resource: details.resource_info().map(|it| (it.resource_type.clone(), it.resource_name.clone())),
        }
    }
}

/// Reads the error of a call. One that the gRPC runtime made has a code and a message alone.
impl From<&tonic::Status> for TypedError {
    fn from(status: &tonic::Status) -> Self {
        Self::new(status.code(), status.message(), &status.get_error_details())
    }
}

/// Reads a Status in a field of a response, such as the error of a protection unit.
impl From<&tonic_types::Status> for TypedError {
    fn from(status: &tonic_types::Status) -> Self {
        Self::new(status.code.into(), &status.message, &status.get_error_details())
    }
}
