"""A small backup tool on Microsoft's Python SDK for Graph: protects mailboxes, reports, and restores one."""

import asyncio

from kiota_abstractions.base_request_configuration import RequestConfiguration
from kiota_abstractions.method import Method
from msgraph.generated.models.destination_type import DestinationType
from msgraph.generated.models.exchange_protection_policy import ExchangeProtectionPolicy
from msgraph.generated.models.exchange_restore_session import ExchangeRestoreSession
from msgraph.generated.models.mailbox_protection_units_bulk_addition_job import MailboxProtectionUnitsBulkAdditionJob
from msgraph.generated.models.mailbox_restore_artifact import MailboxRestoreArtifact
from msgraph.generated.models.o_data_errors.o_data_error import ODataError
from msgraph.generated.models.protection_policy_status import ProtectionPolicyStatus
from msgraph.generated.models.protection_units_bulk_job_status import ProtectionUnitsBulkJobStatus
from msgraph.generated.models.restore_point import RestorePoint
from msgraph.generated.models.restore_session_status import RestoreSessionStatus
from msgraph.generated.solutions.backup_restore.restore_points.restore_points_request_builder import RestorePointsRequestBuilder
from msgraph_core.tasks.page_iterator import PageIterator


class NoRestorePointError(Exception):
    """The mailbox has no restore point before the time."""


class BackupTool:
    """graph is a GraphServiceClient. sleep waits for seconds between two looks; tests give one that takes no time."""

    def __init__(self, graph, sleep=asyncio.sleep):
        self.graph, self.sleep = graph, sleep
        self.root = graph.solutions.backup_restore

    async def everything(self, first):
        """Returns the items of all pages of a list."""
        items = []
        await PageIterator(first, self.graph.request_adapter).iterate(lambda item: items.append(item) or True)
        return items

    async def wait(self, get, *ends):
        while (result := await get()).status not in ends:
            await self.sleep(60)
        return result

    async def policy(self, name):
        """Returns the policy with a name, or None."""
        policies = await self.everything(await self.root.protection_policies.get())
        return next((policy for policy in policies if policy.display_name == name), None)

    async def protect(self, name, mailboxes):
        """Has a policy protect the mailboxes, and returns the addresses that failed, with Graph's codes."""
        policy = await self.policy(name) or await self.root.exchange_protection_policies.post(ExchangeProtectionPolicy(display_name=name))
        jobs = self.root.exchange_protection_policies.by_exchange_protection_policy_id(policy.id).mailbox_protection_units_bulk_addition_jobs
        title = f"{len(mailboxes)} mailboxes from {min(mailboxes)}"
        found = await self.everything(await jobs.get())
        job = next((job for job in found if job.display_name == title), None)
        if job is None:
            # The SDK has no method for it, so this is the request of get with another method and a body.
            request = jobs.to_get_request_information()
            request.http_method = Method.POST
            request.set_content_from_parsable(self.graph.request_adapter, "application/json",
                                              MailboxProtectionUnitsBulkAdditionJob(display_name=title, mailboxes=mailboxes))
            job = await self.graph.request_adapter.send_async(request, MailboxProtectionUnitsBulkAdditionJob, {"XXX": ODataError})
        job = await self.wait(jobs.by_mailbox_protection_units_bulk_addition_job_id(job.id).get,
                              ProtectionUnitsBulkJobStatus.Completed, ProtectionUnitsBulkJobStatus.CompletedWithErrors)
        item = self.root.protection_policies.by_protection_policy_base_id(policy.id)
        if (await item.get()).status == ProtectionPolicyStatus.Inactive:
            await item.activate.post()
        await self.wait(item.get, ProtectionPolicyStatus.Active, ProtectionPolicyStatus.ActiveWithErrors)
        return {detail.target: detail.code for detail in (job.error.details if job.error else None) or []}

    async def units(self, name):
        """Returns the units of a policy."""
        policy = await self.policy(name)
        units = self.root.exchange_protection_policies.by_exchange_protection_policy_id(policy.id).mailbox_protection_units
        return await self.everything(await units.get())

    async def report(self, name):
        """Returns status and code of the error of the units of a policy, by address."""
        return {unit.email: (unit.status.value, unit.error.code if unit.error else None) for unit in await self.units(name)}

    async def restore(self, unit_id, before):
        """Restores a mailbox to the last restore point before a time, and returns the name of the new folder."""
        query = RestorePointsRequestBuilder.RestorePointsRequestBuilderGetQueryParameters(
            expand=[f"protectionUnit($filter=id eq '{unit_id}')"], filter=f"protectionDateTime lt {before}", orderby=["protectionDateTime desc"])
        points = await self.root.restore_points.get(RequestConfiguration(query_parameters=query))
        if not points.value:
            raise NoRestorePointError
        session = await self.root.exchange_restore_sessions.post(ExchangeRestoreSession(mailbox_restore_artifacts=[
            MailboxRestoreArtifact(restore_point=RestorePoint(id=points.value[0].id), destination_type=DestinationType.New)]))
        item = self.root.restore_sessions.by_restore_session_base_id(session.id)
        await item.activate.post()
        await self.wait(item.get, RestoreSessionStatus.Completed, RestoreSessionStatus.CompletedWithError, RestoreSessionStatus.Failed)
        artifacts = await self.root.exchange_restore_sessions.by_exchange_restore_session_id(session.id).mailbox_restore_artifacts.get()
        return artifacts.value[0].restored_folder_name
