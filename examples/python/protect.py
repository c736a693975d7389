"""Protects the mailboxes of a CSV file: makes a policy with them, activates it, and says which are not protected.

    python protect.py --tenant GUID --policy "All staff" staff.csv

The file has a column mail and, if it can, a column id: the object ids of the users in Microsoft Entra ID, which are used
then. The program can be run again at any time, also after it was killed: it finds what it has already made by its name.
Exit code 0: all are protected. 1: some are not, or a call failed. 75: run it again.
"""

import hashlib

from common import Server, TypedError, parser, read_csv, run, why
from m365.backupstorage.v1 import protection_policy_pb2 as policy_pb
from m365.backupstorage.v1 import protection_policy_service_pb2 as policies_pb
from m365.backupstorage.v1 import protection_unit_bulk_addition_job_pb2 as job_pb
from m365.backupstorage.v1 import protection_unit_bulk_addition_job_service_pb2 as jobs_pb
from m365.backupstorage.v1 import protection_unit_pb2 as unit_pb
from m365.backupstorage.v1 import protection_unit_service_pb2 as units_pb
from m365.backupstorage.v1 import workload_pb2


def find_policy(server, name):
    """Returns the Exchange policy with a name, or None."""
    for policy in server.pages(server.policies.ListProtectionPolicies, policies_pb.ListProtectionPoliciesRequest(), "protection_policies"):
        if policy.workload == workload_pb2.WORKLOAD_EXCHANGE and policy.display_name == name:
            return policy
    return None


def find_job(server, policy_id, name):
    """Returns the bulk addition job of a policy with a name, or None."""
    request = jobs_pb.ListMailboxProtectionUnitsBulkAdditionJobsRequest(protection_policy_id=policy_id)
    for job in server.pages(server.jobs.ListMailboxProtectionUnitsBulkAdditionJobs, request, "bulk_addition_jobs"):
        if job.display_name == name:
            return job
    return None


def add(server, policy_id, mailboxes, name):
    """Adds up to 50,000 mailboxes to a policy by a bulk addition job, and returns the job when it has ended.

    mailboxes is a dict of addresses and object ids. A job with this name that is there already is waited for.
    """
    job = find_job(server, policy_id, name)
    if job is None:
        request = jobs_pb.CreateMailboxProtectionUnitsBulkAdditionJobRequest(protection_policy_id=policy_id, display_name=name)
        request.mailboxes.extend(mail for mail, user_id in mailboxes.items() if not user_id)
        request.directory_object_ids.extend(user_id for user_id in mailboxes.values() if user_id)
        job = server.create(
            server.jobs.CreateMailboxProtectionUnitsBulkAdditionJob, request, "bulk_addition_job", lambda: find_job(server, policy_id, name))
    return ended(server, policy_id, job.id)


def ended(server, policy_id, job_id):
    """Returns a bulk addition job when it has ended."""
    request = jobs_pb.WaitMailboxProtectionUnitsBulkAdditionJobRequest(
        protection_policy_id=policy_id, bulk_addition_job_id=job_id,
        until=[job_pb.PROTECTION_UNITS_BULK_JOB_STATUS_COMPLETED, job_pb.PROTECTION_UNITS_BULK_JOB_STATUS_COMPLETED_WITH_ERRORS])
    return server.wait(server.jobs.WaitMailboxProtectionUnitsBulkAdditionJob, request, "bulk_addition_job")


def failures(server, policy_id):
    """Returns the error of each mailbox that the last job that named it could not add, by address or object id."""
    errors = {}
    request = jobs_pb.ListMailboxProtectionUnitsBulkAdditionJobsRequest(protection_policy_id=policy_id)
    jobs = list(server.pages(server.jobs.ListMailboxProtectionUnitsBulkAdditionJobs, request, "bulk_addition_jobs"))
    for job in sorted(jobs, key=lambda job: job.created_date_time.ToNanoseconds()):
        get = jobs_pb.GetMailboxProtectionUnitsBulkAdditionJobRequest(protection_policy_id=policy_id, bulk_addition_job_id=job.id)
        job = server.call(server.jobs.GetMailboxProtectionUnitsBulkAdditionJob, get).bulk_addition_job
        for name in [*job.users.mailboxes, *job.users.directory_object_ids]:
            errors.pop(name.lower(), None)
        errors.update((failed.target.lower(), TypedError(failed.error)) for failed in job.failed_resources)
    return errors


def settled(server, policy_id):
    """Returns the policy when it is no longer updating."""
    request = policies_pb.WaitProtectionPolicyRequest(protection_policy_id=policy_id, until=[
        policy_pb.PROTECTION_POLICY_STATUS_INACTIVE,
        policy_pb.PROTECTION_POLICY_STATUS_ACTIVE,
        policy_pb.PROTECTION_POLICY_STATUS_ACTIVE_WITH_ERRORS])
    return server.wait(server.policies.WaitProtectionPolicy, request, "protection_policy")


def main():
    arguments = parser(__doc__)
    arguments.add_argument("--policy", required=True, help="name of the policy")
    arguments.add_argument("csv")
    args = arguments.parse_args()
    mailboxes = read_csv(args.csv)
    server = Server(args)

    policy = find_policy(server, args.policy)
    if policy is None:
        request = policies_pb.CreateExchangeProtectionPolicyRequest(display_name=args.policy)
        policy = server.create(
            server.policies.CreateExchangeProtectionPolicy, request, "protection_policy", lambda: find_policy(server, args.policy))

    # The name says what the job adds: the next run with the same file finds the job, and makes no second one.
    name = "protect " + hashlib.sha256("\n".join(sorted(map(str, mailboxes.items()))).encode()).hexdigest()[:16]
    job = add(server, policy.id, mailboxes, name)
    for failed in job.failed_resources:
        print(f"not added: {failed.target}: {why(TypedError(failed.error))}")
    print(f"{len(mailboxes) - len(job.failed_resources)} of {len(mailboxes)} mailboxes are in the policy {policy.id}")

    policy = settled(server, policy.id)
    if policy.status == policy_pb.PROTECTION_POLICY_STATUS_INACTIVE:
        def activated():
            found = settled(server, policy.id)
            return None if found.status == policy_pb.PROTECTION_POLICY_STATUS_INACTIVE else found
        request = policies_pb.ActivateProtectionPolicyRequest(protection_policy_id=policy.id)
        server.create(server.policies.ActivateProtectionPolicy, request, "protection_policy", activated)
        server.find(activated)  # It is inactive again when no mailbox can be protected.

    done = total = 0
    request = units_pb.ListExchangeProtectionPolicyUnitsRequest(protection_policy_id=policy.id)
    for unit in server.stream(server.streams.StreamExchangeProtectionPolicyUnits, request, "protection_units"):
        total += 1
        if unit.status == unit_pb.PROTECTION_UNIT_STATUS_PROTECTED and not unit.HasField("error"):
            done += 1
            continue
        status = unit_pb.ProtectionUnitStatus.Name(unit.status).removeprefix("PROTECTION_UNIT_STATUS_")
        reason = why(TypedError(unit.error)) if unit.HasField("error") else "no error yet"
        print(f"not protected: {unit.user.email or unit.user.directory_object_id}: {status}: {reason}")
    print(f"{done} of {total} mailboxes of the policy are protected")
    return 0 if done == total and not job.failed_resources else 1


if __name__ == "__main__":
    run(main)
