"""Compares the numbers and names that the pages and the comments of the contract state with the code.

Usage, at the root of the repository: numbers.py, or numbers.py --self-test, which plants each kind of fault in a copy
of a small repository and fails unless it is found.

numbers.tsv says where each number comes from, one row for each statement:

    pages     the pages that make the statement; * stands for any text
    text      the statement, with {} for each number. White space fits any white space
    values    for each {} the value in the code, or - when nothing is compared
    reason    why nothing is compared; only with -

A value is an expression over numbers and these names, without spaces:

    service.maxStreams            the constant, variable or field maxStreams in the Go files of the folder service
    --max-calls                   the default of a flag of the server
    graph/emulator~RegExp         what the group of a regular expression matches in those files, read as Go
    count:REGEXP@FILES            how often a regular expression occurs in files

What fails: a number that differs from the code, a number in no row, a row that fits nothing, a - without a reason, and
a flag, an environment variable, a reason or a test in `code` that does not exist; and in the first column of a table
with the heading "field", "metadata" or "`msg` begins with" what no Go text has. A test of cmd/server compares the table
of flags and their defaults.
"""

import fnmatch
import pathlib
import re
import subprocess
import sys
import tempfile

TABLE = ".ci/numbers.tsv"
PAGES = ("README.md", "SECURITY.md", "docs/*.md", "graph/emulator/README.md", "proto/m365/backupstorage/v1/*.proto")
FLAGS = "docs/configuration.md"  # A test of cmd/server writes its tables from the flags.
FENCE = re.compile(r"^( *)(```|~~~).*?^ *\2[^\n]*$", re.M | re.S)
WRITTEN = re.compile(r"<!-- table begins -->.*?<!-- table ends -->", re.S)  # By a test of internal/metrics, which compares it.
SECOND, BYTE = 10**9, 1
UNITS = {
    "ms": SECOND // 1000, "s": SECOND, "second": SECOND, "min": 60 * SECOND, "minute": 60 * SECOND, "h": 3600 * SECOND,
    "hour": 3600 * SECOND, "day": 86400 * SECOND, "week": 7 * 86400 * SECOND, "year": 365 * 86400 * SECOND,
    "byte": BYTE, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "MB": 10**6,
}
WORDS = {word: n for n, word in enumerate("zero one two three four five six seven eight nine ten eleven twelve".split())}
UNIT = r"(?:\s+(?P<unit>" + "|".join(f"{one}s?" for one in UNITS) + r")\b)"
DIGITS = r"\d+(?:,\d{3})*(?:\.\d+)?"
# Digits, with a unit or without; a word only with a unit.
NUMBER = re.compile(
    rf"(?<![\w.,#/:+~-])(?:(?P<digits>{DIGITS})(?![\w:/]|[.,]\d|-\w){UNIT}?"
    rf"|(?P<word>{'|'.join(WORDS)}){UNIT.replace('unit', 'unit_of_word')})"
)
ANY = rf"(?:{DIGITS}|\b(?:{'|'.join(WORDS)})\b)(?:\s+(?:{'|'.join(f'{unit}s?' for unit in UNITS)})\b)?"
# Numbers that are names: of a standard, a licence, a user or group of the emulator's directory, a year.
MONTHS = "January|February|March|April|May|June|July|August|September|October|November|December"
NAMED = re.compile(rf"\b(?:RFC|ISO|TLS|Apache|Microsoft|users?|[Gg]roups?|{MONTHS})\s+$")
STATUSES = {200, 201, 202, 204, *range(300, 309), *range(400, 432), 451, *range(500, 512)}
GO_UNITS = {"Nanosecond": 1, "Millisecond": SECOND // 1000, "Second": SECOND, "Minute": 60 * SECOND, "Hour": 3600 * SECOND}
CODES = set("""OK CANCELLED UNKNOWN INVALID_ARGUMENT DEADLINE_EXCEEDED NOT_FOUND ALREADY_EXISTS PERMISSION_DENIED
    RESOURCE_EXHAUSTED FAILED_PRECONDITION ABORTED OUT_OF_RANGE UNIMPLEMENTED INTERNAL UNAVAILABLE DATA_LOSS
    UNAUTHENTICATED""".split())


def blank(match):
    """Takes a text away, and keeps its lines, so that numbers of lines stay right."""
    return re.sub(r"[^\n]", " ", match[0])


def flags_of(root):
    """The flags and their defaults, as the page has them that a Go test writes: what is no number has None."""
    flags, rows = {}, re.search(r"<!-- flags:.*?<!-- end of flags", (root / FLAGS).read_text(encoding="utf-8"), re.S)
    units = {None: 1, "s": GO_UNITS["Second"], "m": GO_UNITS["Minute"], "h": GO_UNITS["Hour"]}
    for name, default in re.findall(r"^\| `--([a-z0-9-]+)` \|(?: `([^`]*)`)? \|", rows[0] if rows else "", re.M):
        number = re.fullmatch(r"(\d+)(s|m|h)?", default)
        flags[name] = int(number[1]) * units[number[2]] if number else None
    return flags


class Code:
    """The values that the code has."""

    def __init__(self, root):
        self.root, self.texts = root, {}

    def text(self, folder):
        if folder not in self.texts:
            files = sorted(file for file in (self.root / folder).glob("*.go") if not file.name.endswith("_test.go"))
            lines = "\n".join(file.read_text(encoding="utf-8") for file in files).split("\n")
            self.texts[folder] = "\n".join(re.sub(r"(^|\s)//.*", "", line) for line in lines)
        return self.texts[folder]

    def value(self, expression):
        """The value of an expression of the table."""
        if expression.startswith("count:"):
            pattern, _, files = expression[len("count:"):].rpartition("@")
            texts = [file.read_text(encoding="utf-8") for file in self.root.glob(files)]
            return sum(len(re.findall(pattern, text, re.M)) for text in texts)
        if expression.startswith("--"):
            return flags_of(self.root).get(expression[2:]) or fail(f"there is no flag {expression}")
        if "~" in expression:
            folder, _, pattern = expression.partition("~")
            found = re.search(pattern, self.text(folder))
            return self.go(folder, found[1]) if found else fail(f"nothing in {folder} fits {pattern}")
        return evaluate(re.sub(r"([a-z][\w/-]*)\.(\w+)", lambda name: str(self.name(name[1], name[2])), expression))

    def name(self, folder, name):
        """The value of a constant, a variable or a field of a literal."""
        text = self.text(folder)
        for several in re.finditer(r"^[ \t]*(?:const |var )?((?:\w+, )+\w+) = ([^\n]+)$", text, re.M):
            names = several[1].split(", ")
            if name in names:
                return self.go(folder, several[2].split(", ")[names.index(name)])
        found = re.search(rf"\b{name}\b(?:[ \t]+[\w.]+)?[ \t]*(?:=|:)[ \t]*([^\n]+)", text)
        return self.go(folder, found[1]) if found else fail(f"there is no {name} in {folder}")

    def go(self, folder, expression):
        """The value of a Go expression: it ends where a bracket closes that it did not open, or at a comma."""
        expression = re.sub(r"cmp\.Or\([\w.]+, (.*)\)", r"\1", expression)
        depth = 0
        for at, char in enumerate(expression):
            depth += (char in "([{") - (char in ")]}")
            if depth < 0 or char == "," and depth == 0:
                expression = expression[:at]
                break
        expression = re.sub(r"\btime\.(\w+)", lambda unit: str(GO_UNITS[unit[1]]), expression.strip())
        # In Go << binds as tightly as *.
        expression = re.sub(r"<<\s*(\d+)", r"* 2 ** \1", expression)

        def resolve(name):
            package, _, inner = name[0].rpartition(".")
            if not package or package == "int":
                return name[0] if name[0] == "int" else str(self.name(folder, name[0]))
            imported = re.search(rf'"[^"\n]*/backupstorage/([\w/-]*\b{package})"', self.text(folder))
            return str(self.name(imported[1] if imported else package, inner))

        return evaluate(re.sub(r"(?<![\w.])[A-Za-z]\w*(?:\.\w+)?", resolve, expression))


def evaluate(expression):
    if not re.fullmatch(r"(?:[\d\s_.*/+()-]|int)+", expression):
        fail(f"{expression} is no number")
    value = eval(expression.replace("/", "//"), {"__builtins__": {}, "int": int})  # Digits, operators and int alone.
    return value


def fail(text):
    raise LookupError(text)


def read(text):
    """The value of a number on a page, in bytes or nanoseconds where it has a unit."""
    digits, _, unit = re.sub(r"\s+", " ", text).partition(" ")
    number = WORDS.get(digits) if digits in WORDS else float(digits.replace(",", ""))
    return number * (UNITS.get(unit) or UNITS.get(unit.rstrip("s")) or 1 if unit else 1)


def page_text(path, root):
    text = (root / path).read_text(encoding="utf-8")
    if path.endswith(".proto"):
        return "\n".join(re.sub(r"^\s*//", "", line) if re.match(r"\s*//", line) else "" for line in text.split("\n"))
    return WRITTEN.sub(blank, FENCE.sub(blank, text))


def pattern_of(text):
    words = [re.escape(word).replace(r"\{\}", f"({ANY})") for word in text.split()]
    return re.compile(r"\s+".join(words))


def read_table(root):
    rows, faults = [], []
    for number, line in enumerate((root / TABLE).read_text(encoding="utf-8").split("\n"), 1):
        if not line or line.startswith("#") or line.startswith("pages\t"):
            continue
        cells = line.split("\t")
        if len(cells) not in (3, 4) or cells[1].count("{}") != len(cells[2].split()):
            faults.append(f"{TABLE}:{number}: not pages, text, a value for each {{}}, reason: {line}")
        elif ("-" in cells[2].split()) != (len(cells) == 4 and cells[3] != ""):
            faults.append(f"{TABLE}:{number}: a reason stands with - alone, and must stand there: {line}")
        else:
            rows.append((number, cells[0], cells[1], cells[2].split()))
    return rows, faults


def check_numbers(root, pages, code):
    """Returns the faults, how many numbers were compared, and how many are on the list of those that are not."""
    rows, faults = read_table(root)
    texts = {path: page_text(path, root) for path in pages}
    covered, compared, listed = {path: set() for path in pages}, 0, 0
    for number, where, text, values in rows:
        fits = 0
        for path in fnmatch.filter(pages, where):
            for match in pattern_of(text).finditer(texts[path]):
                fits += 1
                for group, value in enumerate(values, 1):
                    covered[path].update(range(*match.span(group)))
                    if value == "-":
                        listed += 1
                        continue
                    compared += 1
                    line = 1 + texts[path].count("\n", 0, match.start(group))
                    try:
                        is_now = code.value(value)
                    except (LookupError, SyntaxError) as problem:
                        faults.append(f"{TABLE}:{number}: {value}: {problem}")
                        continue
                    if read(match[group]) != is_now:
                        faults.append(f"{path}:{line}: {match[group]}: {value} is {is_now}")
        if not fits:
            faults.append(f"{TABLE}:{number}: no page has: {text}")
    for path, text in texts.items():
        prose = re.sub(r"`[^`\n]*`|\]\([^)\n]*\)", blank, text)
        prose = re.sub(r"^\s*\d+\. ", blank, prose, flags=re.M)
        for match in NUMBER.finditer(prose):
            value = float(match["digits"].replace(",", "")) if match["digits"] else None
            if value is not None and not match["unit"] and (value in (0, 1) or value in STATUSES or NAMED.search(prose[: match.start()])):
                continue
            if match.start() not in covered[path]:
                line = 1 + prose.count("\n", 0, match.start())
                around = " ".join(text[max(0, match.start() - 40) : match.end() + 30].split())
                faults.append(f"{path}:{line}: {' '.join(match[0].split())} is in no row of {TABLE}: … {around} …")
    return faults, compared, listed


def check_names(root, pages):
    """Returns the faults, and how many names were looked up."""

    def grep(pattern, *files):
        found = [file.read_text(encoding="utf-8") for glob in files for file in root.glob(glob)]
        return {name for text in found for name in re.findall(pattern, text, re.M)}

    flags = set(flags_of(root))
    variables = {"BACKUPSTORAGE_" + flag.upper().replace("-", "_") for flag in flags}
    variables |= grep(r'"([A-Z][A-Z0-9_]+)"', "cmd/server/*.go", "graph/**/*.go", "service/*.go", "clients/**/*.go", "internal/**/*.go")
    # The libraries of OpenTelemetry read these.
    variables |= {f"OTEL_{name}" for name in ("EXPORTER_OTLP_HEADERS", "EXPORTER_OTLP_CERTIFICATE", "SERVICE_NAME")}
    # Kubernetes sets such variables for a Service.
    variables |= {"BACKUPSTORAGE_SERVICE_HOST", "BACKUPSTORAGE_PORT_50051_TCP"}
    variables |= {"GOMEMLIMIT", "HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR"}
    # Launchers of the emulator read the first one.
    variables |= {"BACKUPSTORAGE_EMULATOR"} | {"BACKUPSTORAGE_EMULATOR_LISTEN"}
    values = grep(r"^\s+([A-Z][A-Z0-9_]+) = \d+", "proto/m365/backupstorage/v1/*.proto")
    # A value is also written without the name of its enum.
    short = {"_".join(parts[n:]) for parts in (value.split("_") for value in values) for n in range(1, len(parts))}
    # The types of a precondition or quota.
    values |= grep(r'"([A-Z][A-Z0-9_]+)"', "proto/m365/backupstorage/v1/*.proto")
    tests = grep(r"^func ((?:Test|Fuzz|Benchmark)\w+)", "**/*_test.go")
    # Flags of the program and of its commands, which the page of those of serve does not have.
    options = {"help", "version", "permissions"} | grep(r"(?<![\w-])--([a-z-]+)", ".ci/run")
    # Those of cmd/emulator are fields of structs: ClockStart is --clock-start.
    fields = grep(r"^\t([A-Z]\w+)\s.*`.*help:", "graph/emulator/program/config.go", "cmd/emulator/main.go")
    options |= {re.sub(r"(?<=[a-z])(?=[A-Z])", "-", name).lower() for name in fields}
    options |= grep(r'name:"([a-z-]+)"', "graph/emulator/program/config.go")
    http2 = {"SERVING", "NOT_SERVING", "ENHANCE_YOUR_CALM", "INTERNAL_ERROR", "CANCEL", "RST_STREAM"}
    texts = grep(r'"((?:[^"\\\n]|\\.)*)"', *(f"{room}/**/*.go" for room in ("cmd/server", "graph", "service", "internal")))
    logged = {"time", "level", "msg"}  # Written by log/slog.
    faults, count = [], 0
    for path in pages:
        text = page_text(path, root)
        heading = None
        for line, cells in enumerate((row.split("|") for row in text.split("\n")), 1):
            cell = cells[1].strip() if len(cells) > 2 else None
            heading = None if cell is None else heading or cell
            if heading not in ("field", "metadata", "`msg` begins with") or cell == heading:
                continue
            for name in re.findall(r"`([^`]+)`", cell):
                count += 1
                begins = "begins" in heading and any(known.startswith(name) for known in texts)
                if name not in texts | logged and not begins:
                    faults.append(f"{path}:{line}: no Go text is {name}")
        for span in re.finditer(r"`([^`\n]+)`", text):
            line = 1 + text.count("\n", 0, span.start())
            names = [("flag", name, flags | options) for name in re.findall(r"(?<![\w-])--([a-z][a-z0-9-]*)", span[1])]
            names += [
                ("reason, status or variable", name, variables | values | short | CODES | http2)
                for name in re.findall(r"(?<![\w.\"'/-])[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+(?![\w*…])", span[1])
            ]
            names += [("test", name, tests) for name in re.findall(r"(?<![\w])(?:Test|Fuzz|Benchmark)[A-Z]\w*", span[1])]
            for kind, name, known in names:
                count += 1
                # What follows -run is the part of a name.
                part = kind == "test" and "-run" in span[1] and any(name in test for test in tests)
                if name not in known and not part:
                    faults.append(f"{path}:{line}: there is no {kind} {name}")
    return faults, count


def check(root):
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    files = subprocess.run(command, cwd=root, check=True, capture_output=True, text=True).stdout.split("\n")
    pages = sorted({file for glob in PAGES for file in fnmatch.filter(files, glob) if (root / file).exists()})
    faults, compared, listed = check_numbers(root, pages, Code(root))
    more, names = check_names(root, pages)
    return faults + more, f"{compared} numbers compared, {listed} on the list, {names} names"


GOOD = {
    "README.md": "# A\n\nAt most 250 streams,\nfor 60 s or two minutes; `--max-calls` is 1,000, a body 24 MiB.\n"
    "Graph keeps a unit for 90 days. Answers are 404. `FIRST_REASON` `BACKUPSTORAGE_MAX_CALLS` `TestA`\n\n```\n77 MiB\n```\n"
    "\n| field | meaning |\n|---|---|\n| `time`, `attempts` | a |\n\n| other | |\n|---|---|\n| `anything` | a |\n"
    "\n<!-- table begins -->\n| 77 |\n<!-- table ends -->\n",
    "proto/m365/backupstorage/v1/a.proto": "// Limit: 50\n// units.\nenum E {\n  FIRST_REASON = 1;\n}\n",
    "service/a.go": "package service\n\nimport \"x/backupstorage/graph\"\n\nconst (\n\tmaxStreams = 250 // of one\n\tshort, long = time.Minute, 2 * time.Minute\n)\n"
    "\nvar p = parameters{Body: 3 * graph.Eight << 20, Units: cmp.Or(l.Units, 50)}\n\nvar key = \"attempts\"\n",
    "service/a_test.go": "package service\n\nfunc TestA(t *testing.T) {}\n",
    "graph/a.go": "package graph\n\nconst Eight = 8\n",
    "docs/configuration.md": "<!-- flags: by a test -->\n\n| flag | default |\n|---|---|\n| `--max-calls` | `1000` |\n\n<!-- end of flags -->\n",
    TABLE: "pages\ttext\tvalues\treason\n"
    "*.md\tAt most {} streams, for {} or {}\tservice.maxStreams service.short service.long\n"
    "*.md\t`--max-calls` is {}, a body {}\t--max-calls service.Body\n"
    "*.md\tkeeps a unit for {}\t-\tMicrosoft's\n"
    "proto/*\tLimit: {} units\tservice~Units:\\s+cmp.Or\\(l.Units,\\s(\\d+)\n",
}


def self_test():
    plants = [
        ("a constant changes", "service/a.go", "= 250", "= 251", "README.md:3: 250: service.maxStreams is 251"),
        ("the other package changes", "graph/a.go", "= 8", "= 9", "README.md:4: 24 MiB: service.Body is"),
        ("a default changes", "docs/configuration.md", "1000", "900", "README.md:4: 1,000: --max-calls is 900"),
        ("a page changes", "README.md", "60 s", "61 s", "README.md:4: 61 s: service.short is"),
        ("a word changes", "README.md", "two minutes", "three minutes", "README.md:4: three minutes: service.long is"),
        ("a comment changes", "proto/m365/backupstorage/v1/a.proto", "50", "51", "a.proto:1: 51: service~Units"),
        ("a new number", "README.md", "Answers", "It has 7 doors. Answers", "README.md:5: 7 is in no row"),
        ("a new number in a word", "README.md", "Answers", "It takes five\nminutes. Answers", "five minutes is in no row"),
        ("an unknown field", "README.md", "`attempts`", "`tries`", "README.md:13: no Go text is tries"),
        ("a row without a statement", "README.md", "keeps a unit", "holds a unit", "no page has: keeps a unit"),
        ("no reason", TABLE, "\tMicrosoft's", "\t", "a reason stands with - alone"),
        ("a value too few", TABLE, " service.long", "", "a value for each {}"),
        ("a constant that is gone", "service/a.go", "maxStreams", "streams", "there is no maxStreams in service"),
        ("an unknown flag", "README.md", "`--max-calls`", "`--max-call` `--max-calls`", "there is no flag max-call"),
        ("an unknown reason", "README.md", "`FIRST_REASON`", "`FIRST_RAISIN`", "variable FIRST_RAISIN"),
        ("an unknown variable", "README.md", "`BACKUPSTORAGE_MAX_CALLS`", "`BACKUPSTORAGE_CALLS`", "BACKUPSTORAGE_CALLS"),
        ("an unknown test", "README.md", "`TestA`", "`TestB`", "there is no test TestB"),
    ]
    wrong = []
    for name, file, old, new, expected in [("nothing", None, "", "", None), *plants]:
        with tempfile.TemporaryDirectory() as folder:
            root = pathlib.Path(folder)
            subprocess.run(["git", "init", "--quiet", root], check=True)
            for path, text in GOOD.items():
                (root / path).parent.mkdir(parents=True, exist_ok=True)
                if path == file:
                    assert old in text, name
                    text = text.replace(old, new, 1)
                (root / path).write_text(text, encoding="utf-8")
            faults, _ = check(root)
            if expected is None and faults or expected and not any(expected in fault for fault in faults):
                wrong.append(f"{name}: found {faults}, expected {expected}")
    print("\n".join([*wrong, f"self-test of numbers.py: {len(plants) + 1 - len(wrong)} passed, {len(wrong)} failed"]))
    return not wrong


def main():
    if sys.argv[1:] == ["--self-test"]:
        sys.exit(not self_test())
    if sys.argv[1:]:
        sys.exit(__doc__)
    faults, summary = check(pathlib.Path("."))
    print("\n".join([*faults, f"{summary}, {len(faults)} faults"]))
    sys.exit(bool(faults))


if __name__ == "__main__":
    main()
