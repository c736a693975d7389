"""Microsoft's Python SDK on the emulator. Usage: python main.py http://127.0.0.1:50082"""

import asyncio
import contextlib
import json
import sys
import traceback
import urllib.request

from kiota_abstractions.base_request_configuration import RequestConfiguration
from msgraph.generated.models.exchange_protection_policy import ExchangeProtectionPolicy
from msgraph.generated.models.mailbox_protection_unit import MailboxProtectionUnit
from msgraph.generated.models.o_data_errors.o_data_error import ODataError
from msgraph.generated.models.protection_policy_status import ProtectionPolicyStatus
from msgraph.generated.models.protection_unit_status import ProtectionUnitStatus
from msgraph.generated.solutions.backup_restore.exchange_protection_policies.item.mailbox_protection_units.mailbox_protection_units_request_builder import MailboxProtectionUnitsRequestBuilder as UnitsBuilder  # noqa: E501
from msgraph_core.tasks.page_iterator import PageIterator

from emulator import connect

# From the emulator's README.
TENANT_A = "aaaaaaaa-0000-4000-8000-00000000000a"
TENANT_C = "cccccccc-0000-4000-8000-00000000000c"
POLICY_C = "b71df0ed-09d4-41c7-8a7e-362675b6c0c6"
USERS = [f"e0000001-67ef-4440-8a1c-00000000000{n}" for n in (1, 2, 3, 7, 8)]
UNKNOWN_POLICY = "00000000-0000-4000-8000-000000000000"

ORIGIN = sys.argv[1]
passed = failed = 0


def control(path, body):
    """Calls the emulator's own API, which is no part of Graph."""
    urllib.request.urlopen(f"{ORIGIN}/_emulator/{path}", json.dumps(body).encode(), timeout=10).close()


@contextlib.contextmanager
def step(name):
    global passed, failed
    try:
        yield
        passed += 1
        print(f"ok      {name}")
    except Exception:
        failed += 1
        print(f"FAILED  {name}: {traceback.format_exc()}")


def same(got, want):
    if got != want:
        raise AssertionError(f"got {got!r}, want {want!r}")


async def refused(call, status, code):
    try:
        await call
    except ODataError as error:
        same((error.response_status_code, error.error.code), (status, code))
        same(len(error.error.inner_error.request_id), 36)
        return
    raise AssertionError(f"no error, want {code}")


def top(n):
    return RequestConfiguration(query_parameters=UnitsBuilder.MailboxProtectionUnitsRequestBuilderGetQueryParameters(top=n))


async def main():
    root = connect(ORIGIN, TENANT_A).solutions.backup_restore
    client_c = connect(ORIGIN, TENANT_C)
    root_c = client_c.solutions.backup_restore
    control("reset", {})
    control("clock", {"speed": 0})

    with step("list: tenant A has no policy"):
        same((await root.protection_policies.get()).value, [])

    with step("list: a token of tenant C shows that tenant's policy"):
        found = (await root_c.protection_policies.get()).value
        same([(p.id, type(p)) for p in found], [(POLICY_C, ExchangeProtectionPolicy)])

    with step("create: an Exchange policy with 5 mailboxes"):
        units = [MailboxProtectionUnit(directory_object_id=user) for user in USERS]
        made = await root.exchange_protection_policies.post(
            ExchangeProtectionPolicy(display_name="Mailboxes", mailbox_protection_units=units))
        same((made.display_name, made.status), ("Mailboxes", ProtectionPolicyStatus.Inactive))
        policy = root.protection_policies.by_protection_policy_base_id(made.id)
        exchange_policy = root.exchange_protection_policies.by_exchange_protection_policy_id(made.id)

    with step("page: its units come as 2, 2, 1 through next links"):
        page = await exchange_policy.mailbox_protection_units.get(top(2))
        pages = [page.value]
        while page.odata_next_link:
            page = await exchange_policy.mailbox_protection_units.with_url(page.odata_next_link).get()
            pages.append(page.value)
        same([len(p) for p in pages], [2, 2, 1])
        same(sorted(unit.directory_object_id for p in pages for unit in p), USERS)

    with step("page: PageIterator reads tenant C's 20 mailboxes, 3 at a time"):
        policy_c = root_c.exchange_protection_policies.by_exchange_protection_policy_id(POLICY_C)
        first, ids = await policy_c.mailbox_protection_units.get(top(3)), []
        same(len(first.value), 3)
        await PageIterator(first, client_c.request_adapter).iterate(lambda unit: ids.append(unit.id) or True)
        same((len(ids), len(set(ids))), (20, 20))

    with step("read: the policy"):
        got = await policy.get()
        same((type(got), got.id, got.display_name, got.status),
             (ExchangeProtectionPolicy, made.id, "Mailboxes", ProtectionPolicyStatus.Inactive))

    with step("update: PATCH displayName"):
        await exchange_policy.patch(ExchangeProtectionPolicy(display_name="Renamed"))
        same((await policy.get()).display_name, "Renamed")

    with step("activate: updating, and active 5 emulated minutes later"):
        same((await policy.activate.post()).status, ProtectionPolicyStatus.Updating)
        control("clock", {"advance": "5m"})
        same((await policy.get()).status, ProtectionPolicyStatus.Active)
        units = (await exchange_policy.mailbox_protection_units.get()).value
        same([unit.status for unit in units], [ProtectionUnitStatus.Protected] * len(USERS))

    with step("error: 409 PolicyCreationNotAllowed while a policy is active"):
        second = ExchangeProtectionPolicy(display_name="Second", mailbox_protection_units=[])
        await refused(root.exchange_protection_policies.post(second), 409, "PolicyCreationNotAllowed")

    with step("error: 404 PolicyNotFound on an unknown GUID"):
        unknown = root.protection_policies.by_protection_policy_base_id(UNKNOWN_POLICY)
        await refused(unknown.get(), 404, "PolicyNotFound")

    with step("deactivate: inactive 2 emulated minutes later"):
        await policy.deactivate.post()
        control("clock", {"advance": "2m"})
        same((await policy.get()).status, ProtectionPolicyStatus.Inactive)

    with step("delete: the policy is gone"):
        await policy.delete()
        await refused(policy.get(), 404, "PolicyNotFound")

    print(f"Python: {passed} passed, {failed} failed")
    return 1 if failed else 0


sys.exit(asyncio.run(main()))
