"""What protect.py must not be: it repeats a call that failed. The judge has to find what it does twice."""

import grpc

from common import Server, parser, read_csv, run
from m365.backupstorage.v1 import protection_policy_service_pb2 as policies_pb
from m365.backupstorage.v1 import protection_unit_bulk_addition_job_service_pb2 as jobs_pb
from protect import ended, settled


def repeat(rpc, request, server):
    try:
        return server.call(rpc, request)
    except grpc.RpcError:
        return server.call(rpc, request)


def main():
    arguments = parser(__doc__)
    arguments.add_argument("--policy", required=True)
    arguments.add_argument("csv")
    args = arguments.parse_args()
    mailboxes = read_csv(args.csv)
    server = Server(args)
    request = policies_pb.CreateExchangeProtectionPolicyRequest(display_name=args.policy)
    policy = repeat(server.policies.CreateExchangeProtectionPolicy, request, server).protection_policy
    request = jobs_pb.CreateMailboxProtectionUnitsBulkAdditionJobRequest(protection_policy_id=policy.id, display_name="all", mailboxes=mailboxes)
    job = repeat(server.jobs.CreateMailboxProtectionUnitsBulkAdditionJob, request, server).bulk_addition_job
    ended(server, policy.id, job.id)
    settled(server, policy.id)
    server.call(server.policies.ActivateProtectionPolicy, policies_pb.ActivateProtectionPolicyRequest(protection_policy_id=policy.id))
    settled(server, policy.id)
    print(f"{len(mailboxes)} of {len(mailboxes)} mailboxes are in the policy {policy.id}")
    print(f"{len(mailboxes)} of {len(mailboxes)} mailboxes of the policy are protected")


if __name__ == "__main__":
    run(main)
