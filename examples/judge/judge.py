"""Runs the programs of ../ against the emulator under faults, and joins what they print with what the emulator did.

    python judge.py SCRATCH [SEED]      SCRATCH is the folder that ../run has filled

Nothing may be doubled and nothing missing; a program says what Graph's lists say; run again, it writes nothing. Then the
judge proves that it sees faults: naive.py repeats calls, and an output is falsified.
"""

import concurrent.futures
import csv
import io
import random
import re
import sys
import time
import traceback

from world import World, log

POLICIES = "POST /exchangeProtectionPolicies"
JOBS = "POST /exchangeProtectionPolicies/{id}/mailboxProtectionUnitsBulkAdditionJobs"
ACTIVATE = "POST /protectionPolicies/{id}/activate"
PATCH = "PATCH /exchangeProtectionPolicies/{id}"
SESSIONS = "POST /{workload}RestoreSessions"
ACTIVATE_SESSION = "POST /restoreSessions/{id}/activate"
BROWSE = "POST /oneDriveForBusinessBrowseSessions"
GET_SESSION = "GET /restoreSessions/{id}"
GET_POLICY = "GET /protectionPolicies/{id}"

LOST = {"cut": "after", "times": 1}
NOT_DONE = {"cut": "before", "times": 1}
GATEWAY = {"status": 504, "afterWork": True, "times": 1}
TRUNCATED = {"body": {"mode": "truncated"}, "times": 1}
REFUSED = {"status": 429, "retryAfter": ["1"], "times": 3}
SLOW = {"delay": "1s", "afterWork": True, "times": 1}  # long enough to kill the program, or to cut its connection
STALE_DRAFT = {"body": {"mode": "raw", "content": '{"@odata.type": "#microsoft.graph.exchangeRestoreSession", "id": "x", "status": "draft"}'}, "times": 2}
STALE_POLICY = {"body": {"mode": "raw", "content": '{"@odata.type": "#microsoft.graph.exchangeProtectionPolicy", "id": "x", "status": "inactive"}'},
                "after": 1, "times": 2}  # The first look is before the activation.
READS = [{"operation": "GET *", "status": 503, "times": 5, "after": 2}, {"operation": "GET *", "cut": "before", "times": 4, "after": 3},
         {"operation": "GET *", "status": 429, "retryAfter": ["1"], "times": 4, "after": 4}]


def equal(what, got, want):
    if got != want:
        if isinstance(got, set) and isinstance(want, set):
            got, want = f"{len(got)}, too many {sorted(got - want)[:5]}", f"{len(want)}, missing {sorted(want - got)[:5]}"
        raise AssertionError(f"{what}: got {got}, want {want}")


def once(what, ids):
    if len(ids) != len(set(ids)):
        raise AssertionError(f"{what} was done twice: {sorted(id for id in set(ids) if ids.count(id) > 1)[:5]}")
    return set(ids)


def converge(tenant, program, *arguments, event=None, **options):
    """Runs a program until it has a result, and then once more, when it must write nothing and say the same."""
    for attempt in range(6):
        code, out, err = tenant.run(program, *arguments, event=event if attempt == 0 else None, **options)
        if code not in (75, -9):
            break
    if code not in (0, 1) or err and program != "not_protected":
        raise AssertionError(f"{program} ended with {code}: {err}")
    tenant.end_faults()
    writes = len(tenant.writes())
    again = tenant.run(program, *arguments, **options)[:2]
    equal(f"writes of a second run of {program}", tenant.writes()[writes:], [])
    return code, out, again


def write_csv(tenant, mails, ids=None):
    path = tenant.world.scratch / f"{tenant.id}.csv"
    with open(path, "w") as file:
        file.write("mail,id\n" if ids else "mail\n")
        file.writelines(f"{mail},{ids[mail]}\n" if ids else f"{mail}\n" for mail in mails)
    return path


def number(pattern, text):
    found = re.search(pattern, text)
    if not found:
        raise AssertionError(f"no line fits {pattern!r} in {text!r}")
    return [int(group) if group.isdigit() else group for group in found.groups()]


def check_protect(tenant, out, code, mails, wrong):
    """Compares what protect.py has printed and done with what Graph has. wrong are failures, with their reasons."""
    good = set(mails) - wrong.keys()
    made = tenant.changes("exchangeProtectionPolicy", "", "inactive")
    equal("policies that were made", len(made), 1)
    equal("jobs that were made", len(tenant.changes("mailboxProtectionUnitsBulkAdditionJob", "", "active")), 1)
    equal("activations", len(tenant.changes("exchangeProtectionPolicy", "inactive", "updating")), 1)
    equal("mailboxes that were added", len(once("an addition", tenant.changes("mailboxProtectionUnit", "unprotected", "protectRequested"))), len(good))
    units = tenant.graph(f"/exchangeProtectionPolicies/{made[0]}/mailboxProtectionUnits?$top=999")
    equal("units of the policy", {unit["email"] for unit in units if unit["status"] == "protected"}, good)
    equal("mailboxes not added, printed", dict(re.findall(r"^not added: (\S+): (\w+)", out, re.M)), wrong)
    equal("numbers of additions, printed", number(r"(\d+) of (\d+) mailboxes are in the policy (\S+)", out), [len(good), len(mails), made[0]])
    equal("numbers of protected mailboxes, printed", number(r"(\d+) of (\d+) mailboxes of the policy are protected", out), [len(good), len(good)])
    equal("exit code", code, 1 if wrong else 0)


def check_step(tenant, out, code, policy, before, mails, wrong):
    """The same for keep_in_step.py: before are the mailboxes of the policy at first."""
    good = set(mails) - wrong.keys()
    address = {unit["id"]: unit["email"] for unit in tenant.graph("/protectionUnits/microsoft.graph.mailboxProtectionUnit?$top=999")}
    equal("mailboxes added", {address[id] for id in once("an addition", tenant.changes("mailboxProtectionUnit", "unprotected", "protectRequested"))}, good - before)
    equal("mailboxes removed", {address[id] for id in once("a removal", tenant.changes("mailboxProtectionUnit", "protected", "removeRequested"))}, before - good)
    equal("jobs that were made", len(tenant.changes("mailboxProtectionUnitsBulkAdditionJob", "", "active")), 1 if set(mails) - before else 0)
    units = tenant.graph(f"/exchangeProtectionPolicies/{policy}/mailboxProtectionUnits?$top=999")
    equal("units of the policy", {unit["email"] for unit in units}, good)
    equal("mailboxes not added, printed", dict(re.findall(r"^not added: (\S+): (\w+)", out, re.M)), wrong)
    equal("numbers, printed", number(r"(\d+) of (\d+) mailboxes of the file are in the policy", out), [len(good), len(mails)])
    equal("exit code", code, 1 if wrong else 0)


def directory(world, users):
    """Returns a tenant without policies, and its people: addresses with their object ids."""
    tenant = world.tenant(users=users, policies=[{"workload": "exchange", "units": users - 2}])
    people = tenant.people()
    world.control("seed", {"tenant": tenant.id, "serviceStatus": "enabled", "users": users})
    tenant.mark()
    return tenant, people


def protect_and_keep(world, faults, users=80, event=None, by_id=False, program="protect", chance=False):
    """protect.py and keep_in_step.py, with faults in both."""
    tenant, people = directory(world, users)
    mails = list(people)[:users * 3 // 4]
    wrong = {} if by_id else {mail: "EMAIL_NOT_FOUND" for mail in (f"nobody@{tenant.id[:8]}.example", f"no.one@{tenant.id[:8]}.example")}
    broken = mails[7]
    wrong[people[broken] if by_id else broken] = "UNKNOWN_ERROR"
    file = write_csv(tenant, mails + [mail for mail in wrong if mail not in mails and "@" in mail], people if by_id else None)
    tenant.fault(operation=JOBS, item=people[broken] if by_id else broken, inBand={"code": "UnknownError"})
    for fault in faults:
        tenant.fault(**fault)
    if program == "naive":
        code, out, _ = tenant.run(program, "--policy", "All staff", file)
        return check_protect(tenant, out, code, mails + [mail for mail in wrong if mail not in mails], wrong)
    code, out, again = converge(tenant, program, "--policy", "All staff", file, event=event, user=not by_id)
    if by_id:  # For the checks, which go by addresses.
        out, wrong = out.replace(people[broken], broken), {broken: "UNKNOWN_ERROR"}
        again = again[0], again[1].replace(people[broken], broken)
    listed = mails + [mail for mail in wrong if mail not in mails]
    check_protect(tenant, out, code, listed, wrong)
    equal("what a second run says", again, (code, out))

    # Five people leave, ten come.
    policy = tenant.changes("exchangeProtectionPolicy", "", "inactive")[0]
    before = set(mails) - wrong.keys()
    listed = listed[5:] + list(people)[users * 3 // 4:][:10]
    file = write_csv(tenant, listed, people if by_id else None)
    tenant.mark()
    for fault in faults:
        tenant.fault(**fault)
    code, out, again = converge(tenant, "keep_in_step", "--policy", "All staff", file, event=event, user=not by_id)
    if by_id:
        out = out.replace(people[broken], broken)
    check_step(tenant, out, code, policy, before, listed, {mail: reason for mail, reason in wrong.items() if mail in listed})
    equal("changes of a second run, printed", number(r"added (\d+), removed (\d+)", again[1]), [0, 0])
    if not chance:
        equal("rules that acted", tenant.acted, tenant.rules)
        equal("events", tenant.events, 2 if event else 0)


def report(world, faults):
    """not_protected.py: people in each state."""
    tenant, people = directory(world, 60)
    mails = list(people)[:40]
    policy = tenant.graph("/exchangeProtectionPolicies", {"displayName": "All", "mailboxProtectionUnits": [{"directoryObjectId": people[mail]} for mail in mails]})["id"]
    tenant.graph(f"/exchangeProtectionPolicies/{policy}/mailboxProtectionUnitsBulkAdditionJobs", {"displayName": "more", "mailboxes": [mails[0], "nobody@x.example"]})
    tenant.graph(f"/protectionPolicies/{policy}/activate", {})
    world.clock(advance="1h")
    units = {unit["email"]: unit["id"] for unit in tenant.graph("/protectionUnits/microsoft.graph.mailboxProtectionUnit")}
    world.clock(speed=0)
    want = {"nobody@x.example": ("NOT_ADDED", "EMAIL_NOT_FOUND"), list(people)[50]: ("NOT_ADDED", "")}

    def remove(*who):
        tenant.graph(f"/exchangeProtectionPolicies/{policy}", {"mailboxProtectionUnits@delta": [
            {"@removed": {"reason": "deleted"}, "id": units[mail]} for mail in who]}, "PATCH")

    remove(mails[0], mails[1])
    world.clock(advance="1h")
    tenant.graph(f"/protectionUnits/{units[mails[1]]}/offboard", {}, "POST")
    remove(mails[2])
    tenant.graph(f"/exchangeProtectionPolicies/{policy}", {"mailboxProtectionUnits@delta": [{"directoryObjectId": people[list(people)[41]]}]}, "PATCH")
    want |= {mails[0]: ("UNPROTECTED", ""), mails[1]: ("OFFBOARD_REQUESTED", ""), mails[2]: ("REMOVE_REQUESTED", ""),
             list(people)[41]: ("PROTECT_REQUESTED", ""), mails[3]: ("PROTECTED", "QUOTA_EXCEEDED")}
    tenant.fault(operation="GET /protectionUnits/microsoft.graph.mailboxProtectionUnit", item=units[mails[3]], inBand={"code": "QuotaExceeded"})
    for fault in faults:
        tenant.fault(**fault)
    listed = mails + [list(people)[41], list(people)[50], "nobody@x.example"]
    tenant.mark()
    code, out, err = tenant.run("not_protected", write_csv(tenant, listed))
    equal("writes of a program that only reads", tenant.writes(), [])
    rows = {row["mail"]: (row["status"], row["reason"]) for row in csv.DictReader(io.StringIO(out))}
    equal("who is not protected, printed", rows, want)
    equal("numbers, printed", number(r"(\d+) of (\d+) mailboxes are protected", err), [len(listed) - len(want), len(listed)])
    equal("exit code", code, 1)
    for row in csv.DictReader(io.StringIO(out)):
        if not row["what to do"]:
            raise AssertionError(f"no advice for {row}")
    # By object ids, as an application.
    ids = {**people, "nobody@x.example": "e0000001-0000-4000-8000-00000000ffff"}
    out = tenant.run("not_protected", write_csv(tenant, listed, ids), user=False)[1]
    got = {row["mail"]: row["status"] for row in csv.DictReader(io.StringIO(out))}
    world.clock(speed=3600)
    equal("who is not protected, by id", got, {mail: status for mail, (status, _) in want.items()} | {mails[3]: "PROTECTED"})


def restore(world, program, faults, event=None, user=1, fails=False):
    """RestoreMailbox and restore-file."""
    workload = "exchange" if program == "RestoreMailbox" else "oneDriveForBusiness"
    tenant = world.tenant(users=30, policies=[{"workload": workload, "units": 20, "protectedFor": "720h"}])
    kind = "mailbox" if program == "RestoreMailbox" else "drive"
    units = tenant.graph(f"/protectionUnits/microsoft.graph.{kind}ProtectionUnit")
    unit = next(unit for unit in units if f".{user}@" in unit["email"])
    at = world.control("clock")["now"]
    tenant.mark()
    for fault in faults:
        tenant.fault(**{**fault, "operation": fault["operation"].replace("{workload}", workload)})
    if program == "RestoreMailbox":
        arguments = ["--mailbox", unit["email"], "--at", at]
    else:
        arguments = ["--owner", unit["email"], "--path", "Documents/Reports/report 17.docx", "--before", at]
    code, out, again = converge(tenant, program, *arguments, event=event) if not fails else (*tenant.run(program, *arguments)[:2], None)
    made = tenant.changes(f"{workload}RestoreSession", "", "draft")
    equal("sessions that were made", len(made), 1)
    equal("activations", len(tenant.changes(f"{workload}RestoreSession", "draft", "activating")), 1)
    equal("session, printed", number(r"session: (\S+)", out), made)
    equal("restore point's unit, printed", number(r"restore point: \S+ of unit (\S+)", out), [unit["id"]])
    collection = "mailboxRestoreArtifacts" if program == "RestoreMailbox" else "granularDriveRestoreArtifacts"
    artifacts = tenant.graph(f"/{workload}RestoreSessions/{made[0]}/{collection}")
    equal("artifacts", [artifact["status"] for artifact in artifacts], ["failed" if fails else "succeeded"])
    equal("exit code", code, 1 if fails else 0)
    if fails:
        number("not (restored)", out)
    elif program == "RestoreMailbox":
        equal("folder, printed", re.findall(r"restored: into the folder (.*)", out), [artifacts[0]["restoredFolderName"]])
    else:
        equal("browse sessions that were made", len(tenant.changes("oneDriveForBusinessBrowseSession", "", "creating")), 1)
        equal("path, printed", re.findall(r"restored: (.*)", out), [f"{artifacts[0]['restoredItemPath']}/report 17.docx"])
    if again:
        equal("what a second run says", again, (code, out))
        equal("rules that acted", tenant.acted, tenant.rules)
        equal("events", tenant.events, 1 if event else 0)


def bad_input(world):
    """What a person gets wrong ends each program with one line and exit code 2, or 1 when the server finds it."""
    tenant = world.tenant(users=10)
    tenant.mark()
    empty = write_csv(tenant, [])
    for program, arguments, want in [
            ("protect", ["--policy", "x", "nowhere.csv"], 2), ("protect", ["--policy", "x", empty], 2),
            ("keep_in_step", ["--policy", "x", write_csv(world.tenant(), ["a@b.example"])], 1), ("not_protected", ["nowhere.csv"], 2),
            ("RestoreMailbox", ["--mailbox", "a@b.example", "--at", "yesterday"], 2), ("RestoreMailbox", ["--mailbox", "a@b.example"], 2),
            ("RestoreMailbox", ["--mailbox", "a@b.example", "--at", "2030-01-01T00:00:00Z"], 1), ("restore-file", ["--owner", "a@b.example"], 2),
            ("restore-file", ["--owner", "a@b.example", "--path", "x", "--before", "yesterday"], 2),
            ("restore-file", ["--owner", "a@b.example", "--path", "x", "--befor", "yesterday"], 2),
            ("restore-file", ["--owner", "a@b.example", "--path", "x"], 1)]:
        code, out, err = tenant.run(program, *arguments)
        equal(f"exit code of {program} {arguments}", code, want)
        if not err.strip():
            raise AssertionError(f"{program} {arguments} says nothing")
    equal("writes", tenant.writes(), [])


def rule(operation, fault):
    return {"operation": operation, **fault}


def judge(world, stopped, seed):
    begin = time.monotonic()
    scenarios = [("3,000 addresses", lambda: protect_and_keep(world, [], users=4000)),
                 ("by object id, as an application", lambda: protect_and_keep(world, [], by_id=True))]
    for title, operation in {"policy": POLICIES, "job": JOBS, "activation": ACTIVATE}.items():
        for how, fault in {"lost": LOST, "truncated": TRUNCATED}.items():
            scenarios.append((f"{title} {how}", lambda f=rule(operation, fault): protect_and_keep(world, [f])))
    scenarios += [
        ("job not done", lambda: protect_and_keep(world, [rule(JOBS, NOT_DONE)])),
        ("job behind a gateway", lambda: protect_and_keep(world, [rule(JOBS, GATEWAY)])),
        ("removal lost", lambda: protect_and_keep(world, [rule(PATCH, LOST)])),
        ("removal not done", lambda: protect_and_keep(world, [rule(PATCH, NOT_DONE)])),
        ("everything refused", lambda: protect_and_keep(world, [rule("POST *", REFUSED), rule("PATCH *", REFUSED), *READS])),
        ("activation seen late", lambda: protect_and_keep(world, [rule(GET_POLICY, STALE_POLICY)])),
        ("killed after the policy", lambda: protect_and_keep(world, [rule(POLICIES, SLOW), rule(PATCH, SLOW)], event="kill")),
        ("killed after the job", lambda: protect_and_keep(world, [rule(JOBS, SLOW)], event="kill")),
        ("connection cut after the job", lambda: protect_and_keep(world, [rule(JOBS, SLOW)], event="cut")),
        ("connection cut after the policy and the removal", lambda: protect_and_keep(world, [rule(POLICIES, SLOW), rule(PATCH, SLOW)], event="cut")),
        ("bad input", lambda: bad_input(world)),
        # One after the other: they stop the clock.
        ("who is not protected, without and with faults", lambda: [report(stopped, faults) for faults in ([], READS)]),
    ]
    for program in ("RestoreMailbox", "restore-file"):
        scenarios += [(f"{program}, {title}", lambda p=program, o=options: restore(world, p, **o)) for title, options in {
            "session lost": {"faults": [rule(SESSIONS, LOST), *READS]},
            "activation lost": {"faults": [rule(ACTIVATE_SESSION, LOST), rule("POST *", REFUSED)]},
            "killed after the session": {"faults": [rule(SESSIONS, SLOW)], "event": "kill"},
            "connection cut after the activation": {"faults": [rule(ACTIVATE_SESSION, SLOW)], "event": "cut"},
            "session seen late": {"faults": [rule(GET_SESSION, STALE_DRAFT)]},
            "it fails": {"faults": [], "user": 5, "fails": True},
        }.items()]
    scenarios += [("restore-file, browse session lost", lambda: restore(world, "restore-file", [rule(BROWSE, LOST)])),
                  ("restore-file, session not done", lambda: restore(world, "restore-file", [rule(SESSIONS, NOT_DONE)]))]
    chance = random.Random(seed)
    for n in range(6):
        faults = [rule(chance.choice([POLICIES, JOBS, ACTIVATE, PATCH]), chance.choice([LOST, NOT_DONE, GATEWAY, TRUNCATED, REFUSED, SLOW])) for _ in range(3)]
        faults += chance.sample(READS, chance.randrange(3))
        event = chance.choice([None, "kill", "cut"])
        scenarios.append((f"number {n} by chance", lambda f=faults, e=event: protect_and_keep(world, f, event=e, chance=True)))

    # The judge must see what is wrong.
    for title, operation, seen in [("a second policy", POLICIES, "policies that were made: got 2"), ("a second job", JOBS, "jobs that were made: got 2"),
                                   ("what a program conceals", None, "mailboxes not added, printed")]:
        faults = [rule(operation, LOST)] if operation else []
        scenarios.append((f"the judge sees {title}", lambda f=faults, s=seen: fails(s, lambda: protect_and_keep(world, f, program="naive"))))

    def attempt(title, scenario):
        started = time.monotonic()
        try:
            scenario()
            log(f"ok      {title} ({time.monotonic() - started:.1f} s)")
            return 0
        except Exception as error:
            log(f"FAILED  {title}: {error if isinstance(error, AssertionError) else traceback.format_exc()}")
            return 1

    # Most of the time they wait for a Retry-After. Each has a tenant of its own.
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        failed = sum(pool.map(lambda scenario: attempt(*scenario), scenarios))
    log(f"{len(scenarios) - failed} of {len(scenarios)} passed in {time.monotonic() - begin:.0f} s, seed {seed}")
    return failed


def fails(how, scenario):
    try:
        scenario()
    except AssertionError as error:
        if how in str(error):
            return
        raise
    raise AssertionError(f"it does not see: {how}")


if __name__ == "__main__":
    world, stopped = World(sys.argv[1]), World(sys.argv[1])
    try:
        for each in (world, stopped):
            each.clock(speed=3600)
        sys.exit(1 if judge(world, stopped, int(sys.argv[2]) if len(sys.argv) > 2 else random.randrange(1000)) else 0)
    finally:
        world.stop()
        stopped.stop()
