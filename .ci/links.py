"""Checks that the local links of all Markdown pages lead to a file, and to a heading where they name one.

Usage, at the root of the repository: links.py, or links.py --self-test, which plants dead links and fails unless they
are found.
"""

import pathlib
import re
import subprocess
import sys
import tempfile

FENCE = re.compile(r"^(```|~~~).*?^\1[^\n]*$", re.M | re.S)
INLINE = re.compile(r"\[(?:[^\[\]]|\[[^\]]*\])*\]\(\s*<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\s*\)")
REFERENCE = re.compile(r"^\[[^\]]+\]:\s*<?(\S+?)>?\s*$", re.M)


def blank(match):
    """Takes a text away, and keeps its lines, so that numbers of lines stay right."""
    return re.sub(r"[^\n]", " ", match[0])


def anchors(text):
    """The names by which GitHub links to the headings of a page."""
    names, seen = set(re.findall(r'<a (?:id|name)="([^"]+)"', text)), {}
    for heading in re.findall(r"^#{1,6}\s+(.*?)\s*#*\s*$", FENCE.sub(blank, text), re.M):
        heading = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        name = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        count = seen.get(name, 0)
        seen[name] = count + 1
        names.add(f"{name}-{count}" if count else name)
    return names


def check(root):
    """Returns the dead links, and how many links there are."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=root, check=True, capture_output=True, text=True)
    files = {path for path in listed.stdout.split("\n") if path and (root / path).exists()}
    there = files | {str(parent) for path in files for parent in pathlib.PurePath(path).parents}
    dead, count = [], 0
    for page in sorted(path for path in files if path.endswith(".md")):
        text = FENCE.sub(blank, (root / page).read_text(encoding="utf-8"))
        text = re.sub(r"`[^`\n]*`", lambda match: "x" * len(match[0]), text)
        for match in (*INLINE.finditer(text), *REFERENCE.finditer(text)):
            target, _, anchor = match[1].partition("#")
            if re.match(r"[a-z][a-z+.-]*:", match[1]):
                continue
            count += 1
            path = str(pathlib.PurePath(page).parent / target) if target else page
            parts = []
            for part in pathlib.PurePath(path).parts:
                if part == ".." and parts:
                    parts.pop()
                elif part != ".":
                    parts.append(part)
            path = "/".join(parts) or "."
            line = 1 + text.count("\n", 0, match.start())
            if path not in there:
                dead.append(f"{page}:{line}: {match[1]}: there is no {path}")
            elif anchor and path.endswith(".md") and anchor not in anchors((root / path).read_text(encoding="utf-8")):
                dead.append(f"{page}:{line}: {match[1]}: {path} has no heading {anchor}")
    return dead, count


def self_test():
    good = "# A [`page`](b.md)\n\n## Of a b\n\n## Of a b\n\n[here](#of-a-b-1) [there](d/b.md#a-page) [folder](d)\n```\n[code](no.md)\n```\n`[x](no.md)`\n"
    plants = {
        "[x](no.md)\n": "a.md:1: no.md: there is no no.md",
        "\n[x\ny](d/no.md#a)\n": "a.md:2: d/no.md#a: there is no d/no.md",
        "[x](d/b.md#no)\n": "a.md:1: d/b.md#no: d/b.md has no heading no",
        "# A\n\n[x](#b)\n": "a.md:3: #b: a.md has no heading b",
        "[x]\n\n[x]: ../no.md\n": "a.md:3: ../no.md: there is no ../no.md",
    }
    wrong = []
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder)
        subprocess.run(["git", "init", "--quiet", root], check=True)
        (root / "d").mkdir()
        (root / "d/b.md").write_text("# A page\n\n[up](../a.md)\n", encoding="utf-8")
        (root / "b.md").write_text("[web](https://example.org/no.md)\n", encoding="utf-8")
        (root / "a.md").write_text(good, encoding="utf-8")
        if (result := check(root)) != ([], 5):
            wrong.append(f"of a tree without dead links: {result}")
        for text, expected in plants.items():
            (root / "a.md").write_text(text, encoding="utf-8")
            if (found := check(root)[0]) != [expected]:
                wrong.append(f"planted: {expected}; found: {found}")
    print(f"self-test of links.py: {len(plants) + 1 - len(wrong)} passed, {len(wrong)} failed")
    print("".join(line + "\n" for line in wrong), end="")
    sys.exit(1 if wrong else 0)


def main():
    if sys.argv[1:] == ["--self-test"]:
        self_test()
    if sys.argv[1:]:
        sys.exit(__doc__)
    dead, count = check(pathlib.Path("."))
    print("".join(line + "\n" for line in dead), end="")
    print(f"{count} local links, {len(dead)} dead")
    sys.exit(1 if dead or count < 20 else 0)


main()
