"""Tests of the backup tool, against the emulator. No test waits: the tool's sleep advances the emulator's clock."""

import pytest
from kiota_abstractions.api_error import APIError

from backup_tool import BackupTool, NoRestorePointError

HANA, BRUNO, NOBODY = "hana@corp.example", "bruno@corp.example", "nobody@corp.example"
JOBS = "POST /exchangeProtectionPolicies/{id}/mailboxProtectionUnitsBulkAdditionJobs"


@pytest.fixture
def tool(company, graph):
    async def sleep(seconds):
        company.advance(f"{seconds}s")

    return BackupTool(graph, sleep)


async def test_protects_mailboxes(company, tool):
    assert await tool.protect("Mail", [HANA, BRUNO]) == {}
    assert await tool.report("Mail") == {HANA: ("protected", None), BRUNO: ("protected", None)}


async def test_reports_an_unknown_address(tool):
    assert await tool.protect("Mail", [HANA, NOBODY]) == {NOBODY: "EmailNotFound"}
    assert set(await tool.report("Mail")) == {HANA}


async def test_second_run_changes_nothing(company, tool):
    await tool.protect("Mail", [HANA, BRUNO])
    writes = company.requests("POST")
    await tool.protect("Mail", [HANA, BRUNO])
    assert company.requests("POST") == writes


async def test_run_after_a_lost_response_makes_no_second_job(company, tool):
    company.fault(JOBS, status=500, afterWork=True, times=1)
    with pytest.raises(APIError):
        await tool.protect("Mail", [HANA])
    assert await tool.protect("Mail", [HANA]) == {}
    assert company.changes("mailboxProtectionUnitsBulkAdditionJob", "active") == 1
    assert company.changes("exchangeProtectionPolicy", "inactive") == 1


async def test_sdk_obeys_a_throttle(company, tool):
    company.fault(JOBS, status=429, retryAfter=["1"], times=1)
    assert await tool.protect("Mail", [HANA]) == {}
    assert [status for operation, status in company.requests("POST") if operation.endswith("Jobs")] == [429, 201]


async def test_reports_a_quota(company, tool):
    company.seed(people=[{"mail": HANA, "overQuota": True}, {"mail": BRUNO}])
    await tool.protect("Mail", [HANA, BRUNO])
    assert {mail: code for mail, (_, code) in (await tool.report("Mail")).items()} == {HANA: "QuotaExceeded", BRUNO: None}


async def test_reads_all_pages(company, tool):
    people = [HANA, *(f"person{n}@corp.example" for n in range(149))]
    company.seed(people=[{"mail": mail} for mail in people], policies=[{"workload": "exchange", "displayName": "Mail", "members": people}])
    assert set(await tool.report("Mail")) == set(people)


async def test_restores_a_mailbox(company, tool):
    company.seed(policies=[{"workload": "exchange", "displayName": "Mail", "members": [HANA], "protectedFor": "48h"}])
    [unit] = await tool.units("Mail")
    assert await tool.restore(unit.id, company.now()) == "Restored 1"
    assert company.changes("exchangeRestoreSession", "completed") == 1


async def test_restores_nothing_without_a_point(company, tool):
    company.seed(policies=[{"workload": "exchange", "displayName": "Mail", "members": [HANA]}])
    [unit] = await tool.units("Mail")
    with pytest.raises(NoRestorePointError):
        await tool.restore(unit.id, "2020-01-01T00:00:00Z")
    assert company.requests("POST") == []
