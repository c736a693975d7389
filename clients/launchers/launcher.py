"""Uses the launcher as a test of somebody would. Prints one line at the end."""

import json
import os
import urllib.request

from m365.backupstorage.emulator import Emulator, EmulatorError

TENANT = "77777777-0000-4000-8000-000000000007"


def get(emulator, path, token=None):
    request = urllib.request.Request(emulator.url + "/v1.0" + path)
    request.add_header("Authorization", "Bearer " + (token or emulator.token(tenant=TENANT)))
    with urllib.request.urlopen(request, context=emulator._tls) as answer:
        return json.load(answer)


def refused(what, says):
    try:
        what()
    except EmulatorError as error:
        assert says in str(error), error
    else:
        raise AssertionError("nothing was refused")


for tls in (False, True):
    with Emulator(tls=tls, flags=["--scenario=tests", "--clock-stopped", "--require-token"]) as emulator:
        assert emulator.url.startswith("https" if tls else "http:"), emulator.url
        policies = emulator.seed(
            {"tenant": TENANT, "serviceStatus": "enabled", "people": [{"mail": "ada@corp.example"}],
             "policies": [{"workload": "exchange", "units": 1}]}
        )
        assert get(emulator, "/solutions/backupRestore/protectionPolicies")["value"][0]["id"] == policies[0]
        assert get(emulator, "/users/ada@corp.example", emulator.token(tenant=TENANT, user="ada@corp.example"))["id"]
        before = emulator.control("GET", "clock")["now"]
        assert emulator.advance("5m", tenant=TENANT) > before == emulator.control("GET", "clock")["now"]
        emulator.fault({"operation": "GET /protectionPolicies", "status": 503, "times": 1}, tenant=TENANT)
        try:
            get(emulator, "/solutions/backupRestore/protectionPolicies")
            raise AssertionError("the rule does not act")
        except urllib.error.HTTPError as error:
            assert error.code == 503, error
            error.close()
        assert [e["status"] for e in emulator.ledger(tenant=TENANT, operation="GET /protectionPolicies")] == [200, 503]
        emulator.reset(TENANT)
        assert emulator.ledger(tenant=TENANT, kind="request") == []
        refused(lambda: emulator.seed({"tenant": TENANT, "peeple": []}), "peeple")
        folder = emulator._folder.name
    assert not os.path.exists(folder)
    emulator.stop()
refused(lambda: Emulator(flags=["--scenario=x"]), "--scenario must be")
refused(lambda: Emulator(program="/nowhere/emulator"), "/nowhere/emulator")
print("Python: ok")
