"""Measures how long the emulator takes to start, its memory, and a seed of a million users.

Usage, at the root of the repository: python3 cmd/emulator/measure.py [BINARY]
"""

import json
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

ROUNDS = 20
TENANT = "99999999-9999-4999-8999-999999999999"


def started(binary):
    began = time.perf_counter()
    process = subprocess.Popen([binary, "--listen=127.0.0.1:0", "--exit-with-stdin"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    url = process.stdout.readline().removeprefix("Emulator on ").strip()
    # The line is written when it listens; the answer shows that it serves.
    with urllib.request.urlopen(url + "/_emulator/ready") as answer:
        assert json.load(answer)["ready"]
    return process, url, time.perf_counter() - began


def stop(process):
    process.stdin.close()
    process.wait()
    process.stdout.close()


def resident(process):
    with open(f"/proc/{process.pid}/status", encoding="ascii") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS:")) / 1024


def main():
    with tempfile.TemporaryDirectory() as folder:
        binary = sys.argv[1] if len(sys.argv) > 1 else folder + "/emulator"
        if len(sys.argv) == 1:
            subprocess.run(["go", "build", "-o", binary, "./cmd/emulator"], check=True)
        times = []
        for _ in range(ROUNDS):
            process, url, took = started(binary)
            times.append(took * 1000)
            stop(process)
        process, url, _ = started(binary)
        memory = resident(process)
        seed = {
            "tenant": TENANT, "users": 1_000_001, "serviceStatus": "enabled",
            "policies": [{"workload": "exchange", "units": 1_000_000, "protectedFor": "720h"}],
        }
        began = time.perf_counter()
        with urllib.request.urlopen(url + "/_emulator/seed", data=json.dumps(seed).encode()) as answer:
            json.load(answer)
        seeding = (time.perf_counter() - began) * 1000
        after = resident(process)
        stop(process)
    print(f"serves {statistics.median(times):.0f} ms after its start (median of {ROUNDS}; {min(times):.0f} to {max(times):.0f})")
    print(f"{memory:.0f} MB resident then")
    print(f"a million users seeded and protected in {seeding:.0f} ms, {after:.0f} MB resident then")


if __name__ == "__main__":
    main()
