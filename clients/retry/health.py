"""Shows which runtimes ask for health before they call a server: health.py SCRATCH CONFIG CONFIG_REPLICAS

SCRATCH contains the server, and in `clients` a program for each language. A server that stops says NOT_SERVING and still
takes calls for --drain-wait. A runtime that asks makes no call to it, and its read ends with a bare UNAVAILABLE; one
that does not ask gets OK.
"""

import json
import pathlib
import re
import subprocess
import sys
import time
import uuid

# With service_config_replicas.json. With service_config.json nobody asks.
ASKS = {"cpp": True, "go": True, "java": True, "node": False, "python": True, "rust": False}
METHOD = "m365.backupstorage.v1.BackupRestoreService/GetBackupRestore"
PATIENCE = 60  # Seconds. A busy machine is slow.


class DrainingServer:
    """A server that has got SIGTERM, and takes calls until it is killed."""

    def __init__(self, program):
        command = [program, "--listen", "127.0.0.1:0", "--drain-wait", "10m"]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        banner = re.match(r"Serving gRPC on ([^ ,]+),", self.process.stdout.readline())
        if not banner:
            sys.exit("The server did not start:\n" + self.process.stderr.read())
        self.address = banner[1]

    def drain(self):
        self.process.terminate()
        for line in self.process.stderr:
            if json.loads(line)["msg"].startswith("stopping"):
                return
        sys.exit("The server did not say that it stops")

    def kill(self):
        self.process.kill()
        self.process.wait()


def read(client, address, config):
    """Returns the code with which a read ends, and whether it has details."""
    tenant = "aaaaaaaa-0000-4000-8000-00000000000a"
    call = {"method": METHOD, "tenant": tenant, "requestId": str(uuid.uuid4()), "deadline": 20, "request": ""}
    command = [client, address, config, json.dumps([call])]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    if done.returncode != 0:
        sys.exit(f"{client} ended with {done.returncode}: {done.stderr}")
    [result] = json.loads(done.stdout)
    return result["code"] + (" " + result["reason"] if result["reason"] else "")


def main(scratch, config, replicas):
    scratch = pathlib.Path(scratch)
    clients = sorted(path.name for path in (scratch / "clients").iterdir())
    wrong, begin = [], time.monotonic()
    server = DrainingServer(scratch / "server")
    try:
        for drained in (False, True):
            if drained:
                server.drain()
            for name in clients:
                for file in (config, replicas):
                    want = "UNAVAILABLE" if drained and file == replicas and ASKS[name] else "OK"
                    got = read(scratch / "clients" / name, server.address, file)
                    if got != want:
                        wrong.append(f"{name}, {pathlib.Path(file).name}, {'NOT_SERVING' if drained else 'SERVING'}: {got}, want {want}")
    finally:
        server.kill()
    if wrong:
        sys.exit("\n".join(["clients/retry: health is not asked as expected:"] + wrong))
    asking = ", ".join(name for name in clients if ASKS[name])
    print(f"clients/retry: with service_config_replicas.json health is asked by {asking} ({time.monotonic() - begin:.0f} s).")


if __name__ == "__main__":
    main(*sys.argv[1:])
