"""Checks words: those that clients can see, and those of functions, types and tests.

Usage, at the root of the repository:

    words.py              fails for each of these:
                          - a replaced word as a key that a client can see: a field, option, message or enum of the
                            contract, a JSON key, a key of metadata or of a log line, a flag
                          - `gate` or `findOut` in text that a client can see, and any of the words there in backticks
                          - a word that .golangci.yaml forbids in the name of a function or type, which forbidigo, the
                            linter, sees where the name is used and not where it is declared
                          - a test whose name is longer than 50 characters, outside graph/emulator
                          - a line of comment in Go or proto that is wider than 120 columns
    words.py --self-test  plants each of these faults in a copy, and fails unless it is found
"""

import json
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

# As keys they are gone: each has a better word, see the glossary in ARCHITECTURE.md. In English sentences all but the
# first two are allowed.
WORDS = ["gate", "findout", "found", "problem", "about", "text", "remedy", "work"]
PROSE = re.compile(r"\b(gate|find_?out)\b", re.I)
QUOTED = re.compile(r"`(?:[\w.]+\.)?(" + "|".join(WORDS) + r"|find_out)(?:=[^`]*)?`", re.I)
MAX_TEST_NAME, MAX_COMMENT = 50, 120

# A comment line that can have no line break: an address, or the example of a whole ErrorInfo, which clients copy.
UNBREAKABLE = re.compile(r"\s*//\s*(\S+|ErrorInfo: `\{.*\}`)$|//(go:|nolint|line )")
GO_STRING = r'"((?:[^"\\]|\\.)*)"'


class Faults:
    def __init__(self):
        self.found, self.read = [], 0

    def add(self, path, number, what):
        self.found.append(f"{path}:{number}: {what}")

    def key(self, path, number, key):
        self.read += 1
        if key.lower().replace("_", "").replace("-", "") in WORDS:
            self.add(path, number, f"the key {key} is a replaced word")

    def prose(self, path, number, text):
        self.read += 1
        for match in (*PROSE.finditer(text), *QUOTED.finditer(text)):
            self.add(path, number, f"{match[0]} is a replaced word")


def lines_of(path):
    return enumerate(path.read_text(encoding="utf-8").split("\n"), 1)


def proto(faults, path):
    for number, line in lines_of(path):
        code, _, comment = line.partition("//") if not re.match(r'[^"]*"[^"]*//', line) else (line, "", "")
        for text in re.findall(GO_STRING, code):
            faults.prose(path, number, text)
        faults.prose(path, number, comment)
        code = re.sub(GO_STRING, '""', code)
        for key in re.findall(r"\b(\w+)\s*=\s*\d+\s*[;\[]", code):  # fields and enum values
            faults.key(path, number, key)
        for key in re.findall(r"\b(\w+)\s*:", code):  # options
            faults.key(path, number, key)
        for key in re.findall(r"\b(?:message|enum|oneof|service|rpc)\s+(\w+)", code):
            faults.key(path, number, key)


def text_page(faults, path):
    for number, line in lines_of(path):
        faults.prose(path, number, line)
        for key in re.findall(r'"(\w+)":', line):
            faults.key(path, number, key)


def status_file(faults, path):
    for number, line in lines_of(path):
        key = re.match(r"\s*([\w-]+)(?:\[\d+\])?:", line)
        if key:
            faults.key(path, number, key[1])
        faults.prose(path, number, line)


def json_file(faults, path):
    def walk(value):
        if isinstance(value, dict):
            for key, inner in value.items():
                faults.key(path, 1, key)
                walk(inner)
        elif isinstance(value, list):
            for inner in value:
                walk(inner)
        elif isinstance(value, str):
            faults.prose(path, 1, value)

    walk(json.loads(path.read_text(encoding="utf-8")))


def go_keys(faults, path):
    """Keys of metadata, of log lines and of flags, and the texts beside them."""
    code = path.read_text(encoding="utf-8")
    calls = (
        r'\.set\(' + GO_STRING,
        r'[mM]etadata\[' + GO_STRING + r'\]',
        r'slog\.(?:String|Int|Int64|Uint64|Bool|Duration|Time|Any|Float64|Group)\(' + GO_STRING,
        r'(?:String|Bool|Int|Duration)Var\(&[\w.]+, ' + GO_STRING,
        r'Var\(&?[\w.]+, ' + GO_STRING,
    )
    for call in calls:
        for match in re.finditer(call, code):
            faults.key(path, 1 + code.count("\n", 0, match.start()), match[1])
    for number, line in lines_of(path):
        # A flag's help, and the message of a log line.
        if re.search(r"Var\(|\.(LogAttrs|Debug|Info|Warn|Error)\(", line):
            for text in re.findall(GO_STRING, line):
                faults.prose(path, number, text)


def go_names(faults, path, forbidden):
    emulator = str(path).startswith("graph/emulator/")
    for number, line in lines_of(path):
        name = re.match(r"(?:func (?:\([^)]*\) )?|type )(\w+)", line)
        if not name:
            continue
        faults.read += 1
        if re.search(forbidden, name[1]) and not emulator:
            faults.add(path, number, f"{name[1]} has a replaced word")
        if str(path).endswith("_test.go") and re.match(r"Test|Fuzz|Benchmark", name[1]) and not emulator:
            if len(name[1]) > MAX_TEST_NAME:
                faults.add(path, number, f"the name {name[1]} has {len(name[1])} characters, more than {MAX_TEST_NAME}")


def comments(faults, path):
    for number, line in lines_of(path):
        if re.match(r"\s*//", line) and len(line) > MAX_COMMENT and not UNBREAKABLE.match(line):
            faults.add(path, number, f"a comment of {len(line)} columns, more than {MAX_COMMENT}")


def check(root):
    """Returns the faults of the tree in the folder root, and how many things were looked at."""
    faults = Faults()
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"], cwd=root, check=True, capture_output=True, text=True
    )
    paths = [path for path in map(pathlib.Path, sorted(set(listed.stdout.split("\n")) - {""})) if (root / path).exists()]
    config = (root / ".golangci.yaml").read_text(encoding="utf-8")
    forbidden = re.search(r"forbidigo:\n.*?pattern: '([^']*)'", config, re.S)[1]
    readers = [
        (r"proto/m365/.*\.proto", proto),
        (r"proto/(ERRORS|OPERATIONS)\.md|README\.md|(docs|clients)/.*\.md", text_page),
        (r"proto/(errors|service_config\w*)\.json", json_file),
        (r"service/testdata/status/.*\.txt", status_file),
        (r"(service|cmd/server|graph/credential)/(.*/)?(?!\w*_test\.go)[^/]*\.go", go_keys),
        (r"(?!gen/).*\.go", lambda f, path: go_names(f, path, forbidden)),
        (r"(?!gen/).*\.(go|proto)", comments),
    ]
    counts = []
    for pattern, reader in readers:
        matching = [path for path in paths if re.fullmatch(pattern, str(path))]
        counts.append(len(matching))
        for path in matching:
            reader(faults, At(root, path))
    for (pattern, _), count in zip(readers, counts):
        if count == 0:
            faults.add(pattern, 0, "no file is called like this, so that nothing was checked")
    return faults.found, faults.read


class At:
    """A file that is read below a root, and named without it."""

    def __init__(self, root, path):
        self.root, self.path = root, path

    def __str__(self):
        return str(self.path)

    def read_text(self, encoding):
        return (self.root / self.path).read_text(encoding=encoding)


def self_test(root):
    plants = [
        ("proto/m365/backupstorage/v1/planted.proto", 'message M {\n  string remedy = 1;\n}\n', "2: the key remedy"),
        ("proto/m365/backupstorage/v1/planted.proto", 'message M {\n  // Has `text`, or not.\n}\n', "2: `text`"),
        ("proto/m365/backupstorage/v1/planted.proto", '// The gate is closed.\n', "1: gate"),
        ("proto/m365/backupstorage/v1/planted.proto", 'enum E {\n  A = 0 [(error_spec) = {\n    about: "a"\n  }];\n}\n', "3: the key about"),
        ("proto/m365/backupstorage/v1/planted.proto", 'enum Work {}\n', "1: the key Work"),
        ("proto/ERRORS.md", "Metadata has `findOut`.\n", "1: findOut"),
        ("proto/errors.json", '{"reasons": [{"problem": 1}]}', "1: the key problem"),
        ("service/testdata/status/PLANTED.txt", "metadata:\n  found: x\n", "2: the key found"),
        ("service/planted.go", 'package service\n\nfunc f() { x.set("gate", "local") }\n', "3: the key gate"),
        ("service/internal/planted/planted.go", 'package planted\n\nvar a = slog.String("problem", "x")\n', "3: the key problem"),
        ("cmd/server/planted.go", 'package main\n\nfunc f() { flags.IntVar(&c.work, "work", 1, "") }\n', "3: the key work"),
        ("cmd/server/planted.go", 'package main\n\nfunc f() { flags.IntVar(&c.x, "x", 1, "of the gate") }\n', "3: gate"),
        ("graph/planted.go", "package graph\n\nfunc newGate() {}\n", "3: newGate has"),
        ("graph/planted_test.go", "package graph\n\ntype lanes struct{}\n", "3: lanes has"),
        ("graph/planted_test.go", f"package graph\n\nfunc Test{'A' * 47}() {{}}\n", "3: the name TestAAA"),
        ("graph/planted.go", f"package graph\n\n\t// A comment {'that goes on ' * 9}\n", "3: a comment of 131 columns"),
    ]
    # Nothing of these is a fault.
    plants += [
        ("proto/m365/backupstorage/v1/planted.proto", "// What a policy is about, if found at work.\nenum E {\n  NOT_FOUND = 1;\n}\n", None),
        ("service/planted.go", 'package service\n\nfunc f() { x.set("cause", "not found") }\n', None),
        ("graph/planted_test.go", f"package graph\n\nfunc Test{'A' * 46}() {{ navigate(\"gate\") }}\n", None),
        ("graph/planted.go", f"package graph\n\n// https://example.org/{'long' * 40}\n", None),
    ]
    wrong = []
    with tempfile.TemporaryDirectory() as folder:
        copy = pathlib.Path(folder)
        subprocess.run(["git", "init", "--quiet", copy], check=True)
        clean = {
            "proto/m365/backupstorage/v1/clean.proto": "",
            "proto/ERRORS.md": "",
            "proto/errors.json": "{}",
            "service/testdata/status/CLEAN.txt": "",
            "service/clean.go": "package service\n",
            ".golangci.yaml": (root / ".golangci.yaml").read_text(encoding="utf-8"),
        }
        for path, text in clean.items():
            (copy / path).parent.mkdir(parents=True, exist_ok=True)
            (copy / path).write_text(text, encoding="utf-8")
        if found := check(copy)[0]:
            wrong.append(f"found where nothing was planted: {found}")
        for path, text, expected in plants:
            (copy / path).parent.mkdir(parents=True, exist_ok=True)
            (copy / path).write_text(text, encoding="utf-8")
            found = check(copy)[0]
            if expected is None and found:
                wrong.append(f"not a fault, and found: {found}")
            elif expected and not any(fault.startswith(f"{path}:{expected}") for fault in found):
                wrong.append(f"planted, and not found: {path}:{expected}; found: {found}")
            (copy / path).unlink()
            if path in clean:
                (copy / path).write_text(clean[path], encoding="utf-8")
        shutil.rmtree(copy / "service/testdata")
        if not any("nothing was checked" in fault for fault in check(copy)[0]):
            wrong.append("that a kind of file is missing was not found")
    print(f"self-test of words.py: {len(plants) + 2 - len(wrong)} passed, {len(wrong)} failed")
    print("".join(line + "\n" for line in wrong), end="")
    sys.exit(1 if wrong else 0)


def main():
    root = pathlib.Path(".")
    if sys.argv[1:] == ["--self-test"]:
        self_test(root)
    if sys.argv[1:]:
        sys.exit(__doc__)
    found, read = check(root)
    print("".join(fault + "\n" for fault in found), end="")
    print(f"{read} keys, texts and names, {len(found)} faults")
    sys.exit(1 if found or read < 1000 else 0)


main()
