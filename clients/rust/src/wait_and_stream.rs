//! Waits for a policy, and reads a long list of mailboxes by a stream that is cut: client ADDRESS wait-and-stream

use std::collections::HashSet;
use std::error::Error;

use tonic::transport::Channel;

use crate::channel;
use crate::errors::TypedError;
use crate::stubs::m365::backupstorage::v1::{
    protection_policy_service_client::ProtectionPolicyServiceClient, protection_unit_service_client::ProtectionUnitServiceClient,
    protection_unit_stream_service_client::ProtectionUnitStreamServiceClient, *,
};

pub async fn wait_and_stream(channel: Channel) -> Result<(), Box<dyn Error>> {
    wait(channel.clone()).await?;
    let mut lists = ProtectionUnitServiceClient::with_interceptor(channel.clone(), channel::authorize);
    // The server can end a stream before the list ends: when it stops, and after ten minutes. Another one goes on.
    let mut whole = Read::default();
    while let Err(status) = whole.stream(&channel, usize::MAX).await {
        let error = TypedError::from(&status);
        if error.reason != "STREAM_RESUME" {
            return Err(status.into());
        }
        println!("the stream is to be resumed");
        tokio::time::sleep(error.retry_delay.unwrap_or_default()).await;
    }
    whole.show("stream");

    for way in ["stream", "list"] {
        let mut cut = Read::default();
        cut.stream(&channel, 2).await?;
        if way == "stream" {
            cut.stream(&channel, usize::MAX).await?;
        }
        // The token is empty after the last page.
        while !cut.page_token.is_empty() {
            cut.add(lists.list_mailbox_protection_units(cut.request()).await?.into_inner());
        }
        cut.show(&format!("cut after 2 pages, resumed with the {way}"));
    }

    // The second page of this list fails. The first one is valid.
    let mut streams = ProtectionUnitStreamServiceClient::with_interceptor(channel, channel::authorize);
    let protection_policy_id = whole.units[0].policy_id.clone();
    let request = ListExchangeProtectionPolicyUnitsRequest { protection_policy_id, page_size: 500, ..Default::default() };
    let mut pages = 0;
    let mut stream = streams.stream_exchange_protection_policy_units(request).await?.into_inner();
    let error = loop {
        match stream.message().await {
            Ok(Some(_)) => pages += 1,
            Ok(None) => return Err("the stream did not fail".into()),
            Err(status) => break TypedError::from(&status),
        }
    };
    println!("error after {pages} page: {}", error.reason);
    Ok(())
}

/// Creates and activates a policy, waits for a second, and then until it is active.
async fn wait(channel: Channel) -> Result<(), Box<dyn Error>> {
    let mut policies = ProtectionPolicyServiceClient::with_interceptor(channel, channel::authorize);
    let request = CreateSharePointProtectionPolicyRequest { display_name: "Sites".into(), ..Default::default() };
    let created = policies.create_share_point_protection_policy(request).await?.into_inner();
    let protection_policy_id = created.protection_policy.unwrap_or_default().id;
    policies.activate_protection_policy(ActivateProtectionPolicyRequest { protection_policy_id: protection_policy_id.clone(), ..Default::default() }).await?;
    let show = |what, response: &WaitProtectionPolicyResponse| {
        let status = response.protection_policy.as_ref().map_or("-", |it| it.status().as_str_name());
        println!("{what}: {}, {status}", response.result().as_str_name().trim_start_matches("WAIT_RESULT_"));
    };

    // With nothing seen the wait ends at once. Then a change ends it: another content than the one with this revision.
    let request = WaitProtectionPolicyRequest { protection_policy_id, ..Default::default() };
    let response = policies.wait_protection_policy(request.clone()).await?.into_inner();
    show("wait with nothing seen", &response);
    let second = prost_types::Duration { seconds: 1, nanos: 0 };
    let change = WaitProtectionPolicyRequest { seen: response.revision, max_wait: Some(second), ..request.clone() };
    show("wait for a change", policies.wait_protection_policy(change).await?.get_ref());

    let active = WaitProtectionPolicyRequest { until: vec![ProtectionPolicyStatus::Active.into()], ..request };
    loop {
        let response = policies.wait_protection_policy(active.clone()).await?.into_inner();
        // A wait lasts at most 45 s.
        if response.result() != WaitResult::TimedOut {
            show("wait until ACTIVE", &response);
            return Ok(());
        }
    }
}

/// What was read of a list.
#[derive(Default)]
struct Read {
    pages: usize,
    units: Vec<ProtectionUnit>,
    /// Where the next call goes on, whether it is a stream or the list.
    page_token: String,
}

impl Read {
    fn request(&self) -> ListMailboxProtectionUnitsRequest {
        ListMailboxProtectionUnitsRequest { page_size: 500, page_token: self.page_token.clone(), ..Default::default() }
    }

    fn add(&mut self, page: ListMailboxProtectionUnitsResponse) {
        self.pages += 1;
        self.units.extend(page.protection_units);
        self.page_token = page.next_page_token;
    }

    /// Reads from a stream, up to page `most`. Its end, without an error, says that the list is complete.
    async fn stream(&mut self, channel: &Channel, most: usize) -> Result<(), tonic::Status> {
        let mut streams = ProtectionUnitStreamServiceClient::with_interceptor(channel.clone(), channel::authorize);
        let mut stream = streams.stream_mailbox_protection_units(self.request()).await?.into_inner();
        while self.pages < most {
            match stream.message().await? {
                Some(page) => self.add(page),
                None => break,
            }
        }
        Ok(()) // The drop of the stream cancels the call.
    }

    fn show(&self, what: &str) {
        let ids: HashSet<_> = self.units.iter().map(|unit| &unit.id).collect();
        println!("{what}: {} pages, {} units, {} ids", self.pages, self.units.len(), ids.len());
    }
}
