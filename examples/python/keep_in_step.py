"""Keeps a policy in step with a CSV file: adds the mailboxes that are new in the file, removes those that are gone.

    python keep_in_step.py --tenant GUID --policy "All staff" --user-token-file FILE staff.csv

Graph shows addresses only to users. So the program needs the token of a user, or a file with a column id, the object ids
of the users in Microsoft Entra ID: then it compares ids, and can run without anybody at night.

It compares what should be with what is, and sends the difference. After a lost response it compares again, and
so does its next run. A second run changes nothing.
Exit code 0: in step. 1: some mailboxes could not be added or removed, or a call failed. 2: it would remove too many.
75: run it again.
"""

import uuid

import grpc

from common import TRY_LATER, Server, TypedError, parser, read_csv, run, stop, why
from m365.backupstorage.v1 import protection_policy_pb2 as policy_pb
from m365.backupstorage.v1 import protection_policy_service_pb2 as policies_pb
from m365.backupstorage.v1 import protection_unit_bulk_addition_job_pb2 as job_pb
from m365.backupstorage.v1 import protection_unit_bulk_addition_job_service_pb2 as jobs_pb
from m365.backupstorage.v1 import protection_unit_pb2 as unit_pb
from m365.backupstorage.v1 import protection_unit_service_pb2 as units_pb
from protect import add, ended, failures, find_policy, settled

BATCH = 50  # removals in one request


def units_of(server, policy_id, by_id):
    """Returns the units of a policy that stay in it, by the object id or the address of their users."""
    # What was asked for before must be done first: nobody sees the units of a job that is still active.
    jobs = jobs_pb.ListMailboxProtectionUnitsBulkAdditionJobsRequest(protection_policy_id=policy_id)
    for job in list(server.pages(server.jobs.ListMailboxProtectionUnitsBulkAdditionJobs, jobs, "bulk_addition_jobs")):
        if job.status == job_pb.PROTECTION_UNITS_BULK_JOB_STATUS_ACTIVE:
            ended(server, policy_id, job.id)
    settled(server, policy_id)
    request = units_pb.ListExchangeProtectionPolicyUnitsRequest(protection_policy_id=policy_id)
    return {
        (unit.user.directory_object_id if by_id else unit.user.email).lower(): unit
        for unit in server.stream(server.streams.StreamExchangeProtectionPolicyUnits, request, "protection_units")
        if unit.status != unit_pb.PROTECTION_UNIT_STATUS_REMOVE_REQUESTED}


def remove(server, policy_id, units):
    """Removes units from a policy, and returns the error of each one that was not removed, None for the others.

    What a call did whose outcome is unknown, the next look at the units shows: they are not in the result.
    """
    result = {}
    for i in range(0, len(units), BATCH):
        ids = {unit.id: name for name, unit in units[i:i + BATCH]}
        request = policies_pb.UpdateExchangeProtectionPolicyRequest(protection_policy_id=policy_id, remove_mailbox_protection_unit_ids=ids)
        try:
            response = server.call(server.policies.UpdateExchangeProtectionPolicy, request)
        except grpc.RpcError as error:
            e = TypedError.of(error)
            if e.reason == "PROTECTION_UNIT_ACTION_NOT_ALLOWED":  # A dynamic rule holds one of them; none was removed.
                result.update(dict.fromkeys(ids.values(), e))
            elif not e.outcome_unknown:
                raise
            continue
        result.update(dict.fromkeys(ids.values()))
        for change in response.mailbox_protection_units:
            if change.HasField("error") and change.protection_unit.id in ids:
                result[ids[change.protection_unit.id]] = TypedError(change.error)
    return result


def main():
    arguments = parser(__doc__)
    arguments.add_argument("--policy", required=True, help="name of the policy")
    arguments.add_argument("--most-removals", type=int, default=100, help="refuse to remove more: the file may be broken")
    arguments.add_argument("--try-again", action="store_true", help="also add those that an earlier job could not add")
    arguments.add_argument("csv")
    args = arguments.parse_args()
    mailboxes = read_csv(args.csv)
    by_id = all(mailboxes.values())
    if not by_id and not args.user_token_file:
        stop("without a column id that is full, the program needs --user-token-file", 2)
    wanted = {user_id if by_id else mail: (mail, user_id if by_id else "") for mail, user_id in mailboxes.items()}

    server = Server(args)
    policy = find_policy(server, args.policy)
    if policy is None or policy.status == policy_pb.PROTECTION_POLICY_STATUS_INACTIVE:
        stop("there is no active policy with that name: run protect.py first", 1)

    before = units = units_of(server, policy.id, by_id)
    # What was tried, with the error if there is one. Nothing is tried twice in a run.
    tried = {} if args.try_again else failures(server, policy.id)
    for _ in range(5):
        missing = [name for name in wanted if name not in units and name not in tried]
        extra = [(name, unit) for name, unit in units.items() if name not in wanted and name not in tried]
        if not missing and not extra:
            break
        if len(extra) > args.most_removals:
            stop(f"the file lacks {len(extra)} mailboxes of the policy, more than --most-removals", 2)
        tried.update(remove(server, policy.id, extra))
        if missing:
            job = add(server, policy.id, dict(wanted[name] for name in missing), f"keep in step {uuid.uuid4()}")
            tried.update(dict.fromkeys(missing))
            tried.update((failed.target.lower(), TypedError(failed.error)) for failed in job.failed_resources)
        units = units_of(server, policy.id, by_id)
    else:
        stop("the policy does not stay in step", TRY_LATER)

    print(f"added {len(units.keys() - before)}, removed {len(before.keys() - units)}")
    wrong = sorted(wanted.keys() ^ units.keys())
    for name in wrong:
        print(f"{'not removed' if name in units else 'not added'}: {name}: {why(tried[name]) if tried.get(name) else 'Graph does not say why'}")
    print(f"{len(wanted.keys() & units.keys())} of {len(wanted)} mailboxes of the file are in the policy")
    return 1 if wrong else 0


if __name__ == "__main__":
    run(main)
