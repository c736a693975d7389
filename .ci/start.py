"""Measures how long a built server takes until it is ready, and its resident memory before a call.

Usage: start.py BINARY [SECONDS [MEGABYTES]]   fails above 1 s, and above 40 MB, unless told otherwise
"""

import pathlib
import re
import socket
import subprocess
import sys
import time
import urllib.request

most_seconds, most_megabytes = (float(x) for x in (sys.argv[2:] + ["1", "40"][len(sys.argv) - 2 :]))


def free_address():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"


def ready(admin):
    try:
        return urllib.request.urlopen(f"http://{admin}/readyz", timeout=1).status == 200
    except OSError:
        return False


def resident(pid):
    text = pathlib.Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    return int(re.search(r"VmRSS:\s+(\d+) kB", text)[1]) * 1024 / 1e6


best, memory = 10.0, 0.0
for _ in range(5):
    admin = free_address()
    begin = time.monotonic()
    # The emulator is in it, as on a desk: with another upstream there is less.
    command = [sys.argv[1], "--listen", "127.0.0.1:0", "--admin-listen", admin]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while time.monotonic() - begin < 10 and not ready(admin):
        time.sleep(0.005)
    best = min(best, time.monotonic() - begin)
    # What it does only once, after its start.
    time.sleep(1)
    memory = max(memory, resident(server.pid))
    server.terminate()
    server.wait()
print(f"ready {best * 1000:.0f} ms after its start, {memory:.1f} MB resident before a call")
sys.exit(1 if best > most_seconds or memory > most_megabytes else 0)
