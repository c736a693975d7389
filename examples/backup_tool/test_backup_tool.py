"""Tests of the backup tool, against the emulator. No test waits: the tool's sleep advances the emulator's clock."""

import pytest
from kiota_abstractions.api_error import APIError

from backup_tool import BackupTool

HANA, BRUNO, NOBODY = "hana.holm.7@a.example", "bruno.berg.1@a.example", "nobody@a.example"
JOBS = "POST /exchangeProtectionPolicies/{id}/mailboxProtectionUnitsBulkAdditionJobs"


@pytest.fixture
def tool(emulator, graph):
    async def sleep(seconds):
        emulator.advance(f"{seconds}s")

    return BackupTool(graph, sleep)


async def test_protects_mailboxes(emulator, tool):
    assert await tool.protect("Mail", [HANA, BRUNO]) == {}
    assert await tool.report("Mail") == {HANA: ("protected", None), BRUNO: ("protected", None)}


async def test_reports_an_unknown_address(tool):
    assert await tool.protect("Mail", [HANA, NOBODY]) == {NOBODY: "EmailNotFound"}
    assert set(await tool.report("Mail")) == {HANA}


async def test_second_run_changes_nothing(emulator, tool):
    await tool.protect("Mail", [HANA, BRUNO])
    writes = emulator.requests("POST")
    await tool.protect("Mail", [HANA, BRUNO])
    assert emulator.requests("POST") == writes


async def test_run_after_a_lost_response_makes_no_second_job(emulator, tool):
    emulator.fault(JOBS, status=500, afterWork=True, times=1)
    with pytest.raises(APIError):
        await tool.protect("Mail", [HANA])
    assert await tool.protect("Mail", [HANA]) == {}
    assert emulator.changes("mailboxProtectionUnitsBulkAdditionJob", "active") == 1
    assert emulator.changes("exchangeProtectionPolicy", "inactive") == 1


async def test_sdk_obeys_a_throttle(emulator, tool):
    emulator.fault(JOBS, status=429, retryAfter=["1"], times=1)
    assert await tool.protect("Mail", [HANA]) == {}
    assert [status for operation, status in emulator.requests("POST") if operation.endswith("Jobs")] == [429, 201]


async def test_reports_a_quota(emulator, tool):
    emulator.seed(policies=[{"workload": "exchange", "units": 150, "displayName": "Mail"}])
    unit = "e0000011-67ef-4440-8a1c-000000000007"  # of user 7
    emulator.fault("GET /exchangeProtectionPolicies/{id}/mailboxProtectionUnits", item=unit, inBand={"code": "QuotaExceeded"})
    report = await tool.report("Mail")
    assert len(report) == 150
    assert {mail: code for mail, (_, code) in report.items() if code} == {HANA: "QuotaExceeded"}


async def test_restores_a_mailbox(emulator, tool):
    emulator.seed(policies=[{"workload": "exchange", "units": 5, "protectedFor": "48h"}])
    now = emulator.advance("0s")
    assert await tool.restore("e0000011-67ef-4440-8a1c-000000000001", now) == "Restored 1"
    assert emulator.changes("exchangeRestoreSession", "completed") == 1


async def test_restores_nothing_without_a_point(emulator, tool):
    emulator.seed(policies=[{"workload": "exchange", "units": 5}])
    with pytest.raises(LookupError):
        await tool.restore("e0000011-67ef-4440-8a1c-000000000001", "2020-01-01T00:00:00Z")
    assert emulator.requests("POST") == []
