"""Runs the console sessions of a page as they stand there and compares what they print.

Lines that begin with "$ " are commands (with the lines that follow, up to a complete command), run one after another in
one bash. The other lines must be what the command prints; "…" stands for the rest of a line, and alone on a line for
any number of lines. Usage: sessions.py PAGE
"""

import re
import subprocess
import sys


def sessions(text):
    for block in re.findall(r"^```console\n(.*?)^```$", text, re.M | re.S):
        lines = block.split("\n")[:-1]
        command, expected = None, []
        for line in lines:
            if line.startswith("$ "):
                if command is not None:
                    yield command, expected
                command, expected = line[2:], []
            elif command is not None and not complete(command):
                command += "\n" + line
            else:
                expected.append(line)
        if command is not None:
            yield command, expected


def complete(command):
    return subprocess.run(["bash", "-n", "-c", command], capture_output=True).returncode == 0


def mismatch(printed, expected):
    """Returns the first of the expected lines that was not printed, or None."""
    at = 0
    anywhere = False
    for line in expected:
        if line == "…":
            anywhere = True
            continue
        pattern = re.compile("^" + ".*".join(re.escape(part) for part in line.split("…")) + "$")
        while at < len(printed) and not pattern.match(printed[at]):
            if not anywhere:
                return line
            at += 1
        if at == len(printed):
            return line
        at += 1
        anywhere = False
    if at < len(printed) and not anywhere:
        return "(nothing more than) " + (expected[-1] if expected else "nothing")
    return None


def main():
    text = open(sys.argv[1], encoding="utf-8").read()
    shell = subprocess.Popen(["bash"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    ran = failed = 0
    for command, expected in sessions(text):
        shell.stdin.write(command + "\necho; echo __END__\n")
        shell.stdin.flush()
        printed = []
        while (line := shell.stdout.readline()) and line != "__END__\n":
            printed.append(line.rstrip("\n"))
        if not line:
            sys.exit(f"bash ended at: {command}")
        while printed and printed[-1] == "":
            printed.pop()
        ran += 1
        missing = mismatch(printed, expected)
        if missing is not None:
            failed += 1
            print(f"{sys.argv[1]}: $ {command}\n  not printed: {missing}\n  printed:")
            print("\n".join("    " + line for line in printed))
    print(f"{sys.argv[1]}: {ran - failed} passed, {failed} failed")
    if ran < 5 or failed:
        sys.exit(1)


main()
