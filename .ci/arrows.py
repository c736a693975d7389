"""Checks imports (lines of `importer imported` on standard input) against the table of the architecture."""

import sys

MODULE = "github.com/m365backup/backupstorage"
MAY = {
    "gen": {"gen"},
    "graph": {"graph", "gen"},
    "emulator": {"emulator"},
    "service": {"service", "graph", "gen"},
    "cmd": {"cmd", "service", "graph", "emulator", "gen"},
    "clients": {"clients", "gen"},
    "proto": set(),
}


def room(path):
    parts = path.removeprefix(MODULE + "/").split("/")
    return "emulator" if parts[:2] == ["graph", "emulator"] else parts[0]


wrong, seen = [], 0
for line in sys.stdin:
    pair = line.split()
    if len(pair) == 2 and all(p.startswith(MODULE + "/") for p in pair):
        seen += 1
        if room(pair[1]) not in MAY[room(pair[0])]:
            wrong.append(line.strip())
print(f"{seen - len(wrong)} passed, {len(wrong)} failed")
print("\n".join(wrong))
sys.exit(1 if wrong or seen < 5 else 0)
