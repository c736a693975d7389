"""A front of two replicas: it forwards connections to the first one, and stops that one while it streams.

    python3 front.py EMULATOR FIRST PID SECOND

EMULATOR is the URL of the emulator that both use, FIRST and SECOND are their addresses, and PID is the process of the
first. When the emulator has sent the second page of the mailboxes, the first replica is told to stop; connections that
come from then on go to the second. Prints its own address.
"""

import asyncio
import json
import os
import signal
import sys
import urllib.request


def second_page_is_sent(emulator):
    with urllib.request.urlopen(f"{emulator}/_emulator/ledger", timeout=10) as response:
        entries = json.load(response)["entries"]
    return any("mailboxProtectionUnit?" in entry.get("path", "") and "skiptoken" in entry["path"] and entry.get("status") == 200
               for entry in entries)


async def copy(reader, writer):
    """Copies bytes to the end, which it passes on."""
    try:
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
    except ConnectionError:
        pass
    finally:
        writer.close()


async def main(emulator, first, pid, second):
    to = first

    async def forward(reader, writer):
        host, port = to.rsplit(":", 1)
        try:
            there = await asyncio.open_connection(host, int(port))
        except OSError:
            writer.close()
            return
        await asyncio.gather(copy(reader, there[1]), copy(there[0], writer))

    server = await asyncio.start_server(forward, "127.0.0.1", 0)
    print("{}:{}".format(*server.sockets[0].getsockname()), flush=True)
    while not await asyncio.to_thread(second_page_is_sent, emulator):
        await asyncio.sleep(0.02)
    to = second
    os.kill(int(pid), signal.SIGTERM)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
