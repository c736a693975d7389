"""Says who is not protected, and why, as CSV: mail, id, status, reason and what to do.

    python not_protected.py --tenant GUID --user-token-file FILE staff.csv

The file has those who should be protected: a column mail and, if it can, a column id, as for protect.py. The program
only reads. Exit code 0: all of the file are protected. 1: some are not, or a call failed. 75: run it again.
"""

import csv
import sys

from common import Server, TypedError, parser, read_csv, run, stop
from m365.backupstorage.v1 import protection_policy_pb2 as policy_pb
from m365.backupstorage.v1 import protection_policy_service_pb2 as policies_pb
from m365.backupstorage.v1 import protection_unit_pb2 as unit_pb
from m365.backupstorage.v1 import protection_unit_service_pb2 as units_pb
from m365.backupstorage.v1 import workload_pb2
from protect import failures

# What the state of a unit without an error says.
ADVICE = {
    "PROTECT_REQUESTED": "Wait: protection is being set up.",
    "UNPROTECT_REQUESTED": "Its policy is being deactivated. Activate the policy again.",
    "REMOVE_REQUESTED": "It is being removed from its policy. When that is done, run keep_in_step.py.",
    "OFFBOARD_REQUESTED": "Its backups are about to be deleted. A user can cancel that with CancelOffboardProtectionUnit.",
    "CANCEL_OFFBOARD_REQUESTED": "Its offboarding is being cancelled. When that is done, run keep_in_step.py.",
}


def explain(unit, error, policies):
    """Returns status, reason and what to do for a mailbox that is not protected."""
    if unit is None:
        if error:
            return "NOT_ADDED", error.reason, error.resolution or error.message
        return "NOT_ADDED", "", "It was never added to a policy. Run keep_in_step.py."
    status = unit_pb.ProtectionUnitStatus.Name(unit.status).removeprefix("PROTECTION_UNIT_STATUS_")
    if unit.HasField("error"):
        error = TypedError(unit.error)
        return status, error.reason, error.resolution or error.message
    if status in ADVICE:
        return status, "", ADVICE[status]
    if unit.policy_id not in policies:
        return status, "", "It is in no policy any more. Run keep_in_step.py."
    if policies[unit.policy_id].status == policy_pb.PROTECTION_POLICY_STATUS_INACTIVE:
        return status, "", f"Its policy {policies[unit.policy_id].display_name} is inactive. Activate it."
    return status, "", "Graph gives no reason. Add it again; if that does not help, ask Microsoft's support."


def main():
    arguments = parser(__doc__)
    arguments.add_argument("csv")
    args = arguments.parse_args()
    mailboxes = read_csv(args.csv)
    by_id = all(mailboxes.values())
    if not by_id and not args.user_token_file:
        stop("without a column id that is full, the program needs --user-token-file", 2)

    server = Server(args)
    request = units_pb.ListMailboxProtectionUnitsRequest()
    units = {(unit.user.directory_object_id if by_id else unit.user.email).lower(): unit
             for unit in server.stream(server.streams.StreamMailboxProtectionUnits, request, "protection_units")}
    request = policies_pb.ListProtectionPoliciesRequest()
    policies = {policy.id: policy for policy in server.pages(server.policies.ListProtectionPolicies, request, "protection_policies")
                if policy.workload == workload_pb2.WORKLOAD_EXCHANGE}
    errors = {}
    for policy_id in policies:
        errors.update(failures(server, policy_id))

    out = csv.writer(sys.stdout, lineterminator="\n")
    out.writerow(["mail", "id", "status", "reason", "what to do"])
    count = 0
    for mail, user_id in mailboxes.items():
        unit = units.get(user_id if by_id else mail)
        # A unit with an error gets no new restore points, whatever its status says: its quota may be used up.
        if unit is None or unit.status != unit_pb.PROTECTION_UNIT_STATUS_PROTECTED or unit.HasField("error"):
            out.writerow([mail, user_id, *explain(unit, errors.get(user_id) or errors.get(mail), policies)])
            count += 1
    print(f"{len(mailboxes) - count} of {len(mailboxes)} mailboxes are protected", file=sys.stderr)
    return 1 if count else 0


if __name__ == "__main__":
    run(main)
