//! Creates a policy although the answer to the first call is lost: client ADDRESS repeat-with-key

use std::error::Error;
use std::time::Duration;

use tonic::transport::Channel;
use tonic::{Request, Status};

use crate::channel;
use crate::errors::TypedError;
use crate::stubs::m365::backupstorage::v1::{protection_policy_service_client::ProtectionPolicyServiceClient, *};

pub async fn repeat_with_key(channel: Channel) -> Result<(), Box<dyn Error>> {
    // A key for this write alone. A program that may die before it is done keeps it, with the request.
    let idempotency_key = Some(uuid::Uuid::now_v7().to_string());
    let request = CreateSharePointProtectionPolicyRequest { display_name: "Sites".into(), idempotency_key, ..Default::default() };
    let id = create_at_last(&channel, &request).await?;
    let (again, repeated) = create(&channel, &request).await?;
    println!("the same again: the same policy: {}, repeated: {repeated}", again == id);
    // Another request needs a key of its own.
    let other = CreateSharePointProtectionPolicyRequest { display_name: "Other sites".into(), ..request };
    if let Err(status) = create(&channel, &other).await {
        println!("another request with the key: {}", TypedError::from(&status).reason);
    }
    let mut policies = ProtectionPolicyServiceClient::with_interceptor(channel, channel::authorize);
    let list = policies.list_protection_policies(ListProtectionPoliciesRequest::default()).await?.into_inner();
    println!("policies: {}", list.protection_policies.len());
    Ok(())
}

/// Returns the id of the policy, and whether the call was a repetition of one that was done.
async fn create(channel: &Channel, message: &CreateSharePointProtectionPolicyRequest) -> Result<(String, bool), Status> {
    let mut policies = ProtectionPolicyServiceClient::with_interceptor(channel.clone(), channel::authorize);
    let mut request = Request::new(message.clone());
    request.set_timeout(Duration::from_secs(20));
    let response = policies.create_share_point_protection_policy(request).await?;
    let repeated = response.metadata().get("x-idempotent-replay").is_some_and(|it| it == "true");
    Ok((response.into_inner().protection_policy.unwrap_or_default().id, repeated))
}

async fn create_at_last(channel: &Channel, request: &CreateSharePointProtectionPolicyRequest) -> Result<String, Status> {
    for n in 1.. {
        match create(channel, request).await {
            Ok((id, repeated)) => {
                println!("call {n}: OK, repeated: {repeated}");
                return Ok(id);
            }
            Err(status) => {
                let error = TypedError::from(&status);
                println!("call {n}: {}, outcome unknown: {}", error.reason, error.outcome_unknown);
                // With a key it is safe to call again when nobody knows what was done. Without one a program looks first.
                if n == 5 || !error.outcome_unknown && error.retry_delay.is_none() {
                    return Err(status);
                }
                tokio::time::sleep(error.retry_delay.unwrap_or_default().max(Duration::from_millis(100))).await;
            }
        }
    }
    unreachable!("the loop ends after five calls")
}
