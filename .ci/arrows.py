"""Checks the imports of all packages against the table of rooms in ARCHITECTURE.md.

Usage, at the root of the repository:

    arrows.py              fails for an import that the table does not have, for a package in no room, for a room
                           without a package, for a package of tests that a program reaches, and for depguard rules
                           that differ from the table
    arrows.py --write      writes the depguard rules of .golangci.yaml from the table, so that editors show the same
    arrows.py --self-test  plants each of these faults in a copy of the input, and fails unless it is found
"""

import copy
import json
import re
import subprocess
import sys

PAGE, LINTERS = "ARCHITECTURE.md", ".golangci.yaml"
BEGIN, END = "    # Written by `.ci/arrows.py --write` from ARCHITECTURE.md.\n", "    # End of what arrows.py writes.\n"
ONLY_TESTS = "Only tests import "


def read_table(page):
    """Returns the rooms, name to (may import, tests also may import), those that only tests import, and faults."""
    section = re.search(r"^## Rooms\n(.*?)(?=^## |\Z)", page, re.M | re.S)
    if not section:
        return {}, [], [f"{PAGE} has no section Rooms"]
    rooms, faults, only_tests = {}, [], []
    for line in section[1].split("\n"):
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if not line.startswith("|") or cells[0] == "room" or set(line) <= set("|- "):
            if line.startswith(ONLY_TESTS):
                only_tests = re.findall(r"`([^`]+)`", line)
            continue
        name = re.fullmatch(r"`([^`]+)`", cells[0])
        if len(cells) != 4 or not name:
            faults.append(f"{PAGE}: a row of the table of rooms is not `room`, text, rooms, rooms: {line}")
            continue
        lists = []
        for cell in cells[2:]:
            if not re.fullmatch(r"-|`[^`]+`(, `[^`]+`)*", cell):
                faults.append(f"{PAGE}: {name[1]}: neither - nor a list of `rooms`: {cell}")
            lists.append(re.findall(r"`([^`]+)`", cell))
        rooms[name[1]] = tuple(lists)
    for name, lists in rooms.items():
        faults += [f"{PAGE}: {name}: there is no room {other}" for l in lists for other in l if other not in rooms]
    faults += [f"{PAGE}: only tests: there is no room {other}" for other in only_tests if other not in rooms]
    if not only_tests:
        faults.append(f"{PAGE} has no line that begins with {ONLY_TESTS!r}")
    return rooms, only_tests, faults


def fits(package, room):
    if room.endswith("/..."):
        return package == room[:-4] or package.startswith(room[:-3])
    return re.fullmatch(re.escape(room).replace(r"\*", "[^/]*"), package) is not None


def check(page, packages):
    """Returns the faults. Packages are those of `go list -json`, with paths below the module alone."""
    rooms, only_tests, faults = read_table(page)
    room_of = {}
    for package in packages:
        found = [room for room in rooms if fits(package["path"], room)]
        if len(found) != 1:
            faults.append(f"{package['path']} lies in {' and '.join(found) or 'no room'}")
        room_of[package["path"]] = found[0] if found else None
    for room in rooms:
        if room not in room_of.values():
            faults.append(f"room {room} has no package")
    for package in packages:
        room = room_of[package["path"]]
        if room is None:
            continue
        may, tests_also = rooms[room]
        for kind, allowed in (("imports", {room, *may}), ("tests", {room, *may, *tests_also})):
            for imported in package[kind]:
                if room_of.get(imported) is not None and room_of[imported] not in allowed:
                    word = "imports" if kind == "imports" else "has a test that imports"
                    faults.append(f"{package['path']} {word} {imported}")
    # What a program is linked with. Only packages of this module import packages of this module, so that following
    # their imports finds all.
    imports = {package["path"]: package["imports"] for package in packages}
    for program in (package["path"] for package in packages if package["program"]):
        ways = {program: [program]}
        for reached in (queue := [program]):
            for imported in imports.get(reached, []):
                if imported not in ways:
                    ways[imported] = ways[reached] + [imported]
                    queue.append(imported)
        for package, way in ways.items():
            if any(fits(package, room) for room in only_tests):
                faults.append(f"{program} reaches {package}, which is for tests: {' > '.join(way)}")
    return faults


def depguard(page, module):
    """Returns the rules of depguard that say the same as the table."""
    rooms, _, _ = read_table(page)
    lines = ["    depguard:", "      rules:"]

    def rule(name, files, allowed):
        # Without a pattern behind it a package is meant exactly, which depguard writes as $.
        exact = (re.sub(r"(\.\.\.|\*)$", "", room) if room[-1] in ".*" else room + "$" for room in sorted(allowed))
        lines.append(f"        {name}:")
        lines.append("          list-mode: lax")
        lines.append(f"          files: {json.dumps(files)}")
        lines.append(f"          allow: [{', '.join(f'{module}/{package}' for package in exact)}]")
        lines.append("          deny:")
        lines.append(f"            - {{pkg: {module}, desc: the table of ARCHITECTURE.md does not have it}}")

    for room, (may, tests_also) in rooms.items():
        name = room.replace("/...", "").replace("*", "all").replace("/", "-")
        folder = "${config-path}/" + room.replace("/...", "/**")
        # A file has to match one of the patterns, and none of those with an exclamation mark.
        rule(name, [f"{folder}/*.go"] + ["!**/*_test.go"] * bool(tests_also), {room, *may})
        if tests_also:
            rule(name + "-tests", [f"{folder}/*_test.go"], {room, *may, *tests_also})
    return "".join(line + "\n" for line in lines)


def read_packages(module):
    listed = subprocess.run(["go", "list", "-json", "-tags", "reference,live", "./..."], check=True, capture_output=True, text=True)
    text, decoder, packages = listed.stdout.lstrip(), json.JSONDecoder(), []
    while text:
        package, end = decoder.raw_decode(text)
        text = text[end:].lstrip()

        def own(*kinds):
            paths = (path for kind in kinds for path in package.get(kind) or [])
            return sorted({path.removeprefix(module + "/") for path in paths if path.startswith(module + "/")})

        packages.append(
            {
                "path": package["ImportPath"].removeprefix(module + "/"),
                "program": package["Name"] == "main",
                "imports": own("Imports"),
                "tests": own("TestImports", "XTestImports"),
            }
        )
    return packages


def split(config):
    """Returns what stands before the depguard rules, the rules, and what stands behind."""
    if config.count(BEGIN) != 1 or config.count(END) != 1:
        sys.exit(f"{LINTERS} needs one line {BEGIN.strip()!r} and one line {END.strip()!r}")
    before, rest = config.split(BEGIN)
    return (before + BEGIN, *rest.split(END))


def self_test(page, packages):
    """Each fault, what it does to a copy of the input, and what has to be found."""

    def package(path, **more):
        return lambda page, packages: (page, packages + [{"path": path, "program": False, "imports": [], "tests": [], **more}])

    def imports(path, imported, kind="imports"):
        def plant(page, packages):
            next(p for p in packages if p["path"] == path)[kind].append(imported)
            return page, packages

        return plant

    def text(old, new):
        return lambda page, packages: (page.replace(old, new, 1), packages)

    def detour(page, packages):
        packages.append({"path": "service/internal/servicetest", "program": False, "imports": [], "tests": []})
        return imports("service", "service/internal/servicetest")(page, packages)

    plants = [
        (imports("graph", "service"), "graph imports service"),
        (imports("graph/emulator", "graph", "tests"), "graph/emulator has a test that imports graph"),
        (imports("graph", "graph/emulator"), "graph imports graph/emulator"),
        (package("service/internal/nowhere"), "service/internal/nowhere lies in no room"),
        (package("nowhere"), "nowhere lies in no room"),
        (detour, "cmd/server reaches service/internal/servicetest, which is for tests: cmd/server > service > service/internal/servicetest"),
        (imports("cmd/server", "graph/credential/authoritytest"), "cmd/server imports graph/credential/authoritytest"),
        (text("| room |", "| `attic` | Nothing. | - | - |\n| room |"), "room attic has no package"),
        (text("| `internal/graphjson` | - |", "| all | - |"), f"{PAGE}: gen/...: neither - nor a list of `rooms`: all"),
        (text("| `internal/graphjson` | - |", "| `cellar` | - |"), f"{PAGE}: gen/...: there is no room cellar"),
        (text(ONLY_TESTS, "Tests alone import "), f"{PAGE} has no line that begins with {ONLY_TESTS!r}"),
    ]
    missed = []
    for plant, expected in plants:
        if expected in check(page, packages):
            sys.exit(f"self-test: there without planting it: {expected}")
        if expected not in check(*plant(page, copy.deepcopy(packages))):
            missed.append(expected)
    rules = depguard(page, "m")
    if depguard(page.replace("| `internal/graphjson` | - |", "| - | - |", 1), "m") == rules:
        missed.append("the depguard rules do not follow the table")
    print(f"self-test of arrows.py: {len(plants) + 1 - len(missed)} passed, {len(missed)} failed")
    print("".join(f"planted, and not found: {expected}\n" for expected in missed), end="")
    sys.exit(1 if missed else 0)


def main():
    with open(PAGE, encoding="utf-8") as file:
        page = file.read()
    with open(LINTERS, encoding="utf-8") as file:
        before, rules, behind = split(file.read())
    module = subprocess.run(["go", "list", "-m"], check=True, capture_output=True, text=True).stdout.strip()
    if sys.argv[1:] == ["--write"]:
        with open(LINTERS, "w", encoding="utf-8") as file:
            file.write(before + depguard(page, module) + END + behind)
        return
    packages = read_packages(module)
    if sys.argv[1:] == ["--self-test"]:
        self_test(page, packages)
    if sys.argv[1:]:
        sys.exit(__doc__)
    faults = check(page, packages)
    if rules != depguard(page, module):
        faults.append(f"the depguard rules of {LINTERS} are not those of the table: run .ci/arrows.py --write")
    print("".join(fault + "\n" for fault in faults), end="")
    arrows = sum(len(package["imports"]) + len(package["tests"]) for package in packages)
    print(f"{len(packages)} packages with {arrows} imports of each other, {len(faults)} faults")
    # A number of packages that is too small says that the input was not read.
    sys.exit(1 if faults or len(packages) < 10 or arrows < 20 else 0)


main()
