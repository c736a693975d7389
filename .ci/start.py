"""Measures how long a built server takes until it accepts connections; fails above one second. Usage: start.py BINARY"""

import socket
import subprocess
import sys
import time

best = 10.0
for _ in range(5):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    begin = time.monotonic()
    server = subprocess.Popen([sys.argv[1], "--listen", f"127.0.0.1:{port}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while time.monotonic() - begin < 10:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            break
        except OSError:
            time.sleep(0.005)
    best = min(best, time.monotonic() - begin)
    server.terminate()
    server.wait()
print(f"serves {best * 1000:.0f} ms after its start")
sys.exit(1 if best > 1 else 0)
