//! Reads the typed errors of this server and prints what it would do about each: client ADDRESS REQUEST_ID. With
//! wait-and-stream or repeat-with-key in place of the id it does what that module shows.

use std::collections::BTreeMap;
use std::error::Error;
use std::time::Duration;

use tonic::metadata::{Ascii, MetadataMap, MetadataValue};
use tonic::{Request, Response, Status};

use errors::TypedError;
use stubs::google::rpc::Code;
use stubs::m365::backupstorage::v1::{
    protection_policy_service_client::ProtectionPolicyServiceClient, protection_unit_service_client::ProtectionUnitServiceClient,
    restore_session_service_client::RestoreSessionServiceClient, service_app_service_client::ServiceAppServiceClient, *,
};

mod channel;
mod errors;
mod repeat_with_key;
mod wait_and_stream;

// The program does not use every message.
#[allow(dead_code, clippy::all)]
mod stubs {
    include!(concat!(env!("OUT_DIR"), "/stubs.rs"));
}

/// Prints the content of an error, and what the program would do next.
fn show(rpc: &str, error: &TypedError, trailers: &MetadataMap) {
    let trailer = |key| trailers.get(key).and_then(|value| value.to_str().ok());
    // Every number that the runtime has is one of google.rpc.Code.
    let code = Code::try_from(i32::from(error.code)).unwrap_or(Code::Unknown);
    let metadata = BTreeMap::from_iter(&error.metadata);
    let fact = |key| error.metadata.get(key).map_or("-", String::as_str);
    let fields = error.fields.join(",");
    let resource = error.resource.as_ref().map(|(kind, name)| format!("{kind}/{name}"));
    // gRPC runtimes obey this trailer when a service config allows retries: milliseconds, negative for never.
    let pushback = trailer("grpc-retry-pushback-ms").map(|value| match value.parse::<u64>() {
        Ok(ms) => format!("{}s", ms / 1000),
        Err(_) => "never".into(),
    });

    // The name of an ErrorReason decides, never a message.
    let next = match error.reason.as_str() {
        "POLICY_NOT_FOUND" => "forget".into(),
        "INVALID_DISPLAY_NAME" => format!("correct:{fields}"),
        "PROTECTION_UNITS_LIMIT_BREACHED" => format!("split:{}", fact("documentedLimit")),
        "FORBIDDEN" => format!("ask:{}", fact("permission")),
        _ => match (error.outcome_unknown, error.retry_delay.is_some()) {
            (true, true) => "look-then-wait".into(),
            (true, false) => "look".into(),
            (false, true) => "wait".into(),
            (false, false) => "report".into(),
        },
    };

    let listed: Vec<_> =
        metadata.iter().filter(|(key, _)| **key != "graphDate").map(|(key, value)| format!("{key}:{}", value.replace(' ', "_"))).collect();
    let planted = error.metadata.get("graphRequestId").map(String::as_str).or(error.message.split(' ').next_back());
    let parts = [
        ("code", code.as_str_name()),
        ("reason", &error.reason),
        ("domain", &error.domain),
        ("resource", &resource.unwrap_or_default()),
        ("retry", &error.retry_delay.map_or(String::new(), |delay| format!("{}s", delay.as_secs()))),
        ("pushback", &pushback.unwrap_or_default()),
        ("field", &fields),
        ("metadata", &listed.join(",")),
        ("request", trailer("x-request-id").unwrap_or_default()),
        ("planted", planted.unwrap_or_default()),
        ("next", &next),
    ];
    let line = parts.map(|(name, value)| format!(" {name}={}", if value.is_empty() { "-" } else { value }));
    println!("{rpc}{}", line.concat());
}

/// Prints the error of a call that must fail.
fn failed<T>(rpc: &str, result: Result<Response<T>, Status>) -> Result<(), Box<dyn Error>> {
    let Err(status) = result else {
        return Err(format!("{rpc} did not fail").into());
    };
    show_failure(rpc, &status)
}

/// Prints the error of a call that failed.
fn show_failure(rpc: &str, status: &Status) -> Result<(), Box<dyn Error>> {
    show(rpc, &TypedError::from(status), status.metadata());
    Ok(())
}

/// Returns a request in tenant C of the emulator, which has an active policy for mailboxes.
fn in_tenant_c<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("x-tenant-id", MetadataValue::from_static("cccccccc-0000-4000-8000-00000000000c"));
    request
}

/// Returns a request in tenant C on behalf of one of its users. The user's token has no signature, which the emulator does
/// not check.
fn for_user_of_c<T>(message: T) -> Request<T> {
    let mut request = in_tenant_c(message);
    let token = "e30.eyJ0aWQiOiJjY2NjY2NjYy0wMDAwLTQwMDAtODAwMC0wMDAwMDAwMDAwMGMifQ.";
    request.metadata_mut().insert("x-user-assertion", MetadataValue::from_static(token));
    request
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(address), Some(request_id)) = (arguments.next(), arguments.next()) else {
        return Err("usage: client ADDRESS REQUEST_ID".into());
    };
    let channel = channel::endpoint(&address)?.connect().await?;
    match request_id.as_str() {
        "wait-and-stream" => return wait_and_stream::wait_and_stream(channel).await,
        "repeat-with-key" => return repeat_with_key::repeat_with_key(channel).await,
        _ => {}
    }
    let request_id: MetadataValue<Ascii> = request_id.parse()?;
    let with_id = move |mut request: Request<()>| {
        request.set_timeout(Duration::from_secs(20));
        request.metadata_mut().insert("x-request-id", request_id.clone());
        channel::authorize(request)
    };
    let mut policies = ProtectionPolicyServiceClient::with_interceptor(channel.clone(), with_id.clone());
    let mut sessions = RestoreSessionServiceClient::with_interceptor(channel.clone(), with_id.clone());
    let mut apps = ServiceAppServiceClient::with_interceptor(channel.clone(), with_id.clone());
    let mut units = ProtectionUnitServiceClient::with_interceptor(channel, with_id);

    let nobody = "00000000-0000-4000-8000-000000000404";
    let unknown_policy = GetProtectionPolicyRequest { protection_policy_id: nobody.into() };
    let nameless = CreateExchangeProtectionPolicyRequest::default();
    let mailboxes = CreateExchangeProtectionPolicyRequest { display_name: "Mailboxes".into(), ..Default::default() };
    let mut too_many = mailboxes.clone();
    too_many.mailbox_protection_units =
        (0..51).map(|i| NewMailboxProtectionUnit { directory_object_id: format!("00000000-0000-4000-8000-{i:012}") }).collect();
    let active_policy = ActivateProtectionPolicyRequest { protection_policy_id: "b71df0ed-09d4-41c7-8a7e-362675b6c0c6".into(), ..Default::default() };
    let unknown_session = ActivateRestoreSessionRequest { restore_session_id: nobody.into(), ..Default::default() };
    let sites = CreateSharePointProtectionPolicyRequest { display_name: "Sites".into(), ..Default::default() };
    let drives = CreateOneDriveForBusinessProtectionPolicyRequest { display_name: "Drives".into(), ..Default::default() };

    failed("GetProtectionPolicy", policies.get_protection_policy(unknown_policy).await)?;
    failed("CreateExchangeProtectionPolicy", policies.create_exchange_protection_policy(nameless).await)?;
    failed("CreateExchangeProtectionPolicy", policies.create_exchange_protection_policy(too_many).await)?;
    failed("CreateExchangeProtectionPolicy", policies.create_exchange_protection_policy(in_tenant_c(mailboxes)).await)?;
    failed("ActivateProtectionPolicy", policies.activate_protection_policy(in_tenant_c(active_policy)).await)?;
    failed("ActivateRestoreSession", sessions.activate_restore_session(unknown_session).await)?;
    failed("CreateSharePointProtectionPolicy", policies.create_share_point_protection_policy(sites).await)?;
    failed("CreateOneDriveForBusinessProtectionPolicy", policies.create_one_drive_for_business_protection_policy(drives).await)?;
    failed("ListServiceApps", apps.list_service_apps(ListServiceAppsRequest::default()).await)?;
    failed("ListProtectionPolicies", policies.list_protection_policies(ListProtectionPoliciesRequest::default()).await)?;
    // Without a user this fails with DELEGATED_TOKEN_REQUIRED.
    let protected_unit = OffboardProtectionUnitRequest { protection_unit_id: "e0000011-f1af-426c-8b0c-000000000003".into(), ..Default::default() };
    failed("OffboardProtectionUnit", units.offboard_protection_unit(for_user_of_c(protected_unit)).await)?;

    // This call fails only for callers who may not make it. The unit in its response contains an error, which says why it
    // is not protected.
    let unit = GetProtectionUnitRequest { protection_unit_id: "e0000011-f1af-426c-8b0c-000000000003".into() };
    let response = match units.get_protection_unit(in_tenant_c(unit)).await {
        Ok(response) => response,
        Err(status) => return show_failure("GetProtectionUnit", &status),
    };
    let error = response.get_ref().protection_unit.as_ref().and_then(|unit| unit.error.as_ref()).ok_or("the unit has no error")?;
    show("GetProtectionUnit", &TypedError::from(error), response.metadata());
    Ok(())
}
