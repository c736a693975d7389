"""Checks that the facts in proto/testdata are those of the reference. Usage: reference.py REFERENCE TESTDATA"""

import csv
import pathlib
import re
import sys

reference, own = map(pathlib.Path, sys.argv[1:])


def rows(path):
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))


def compare(name, theirs, ours):
    missing, extra = theirs - ours, ours - theirs
    for row in sorted(missing):
        print(f"{name}: missing {row}")
    for row in sorted(extra):
        print(f"{name}: not in the reference {row}")
    return len(missing) + len(extra), len(theirs)


operations = [r for r in rows(reference / "operations.tsv") if r["version"] == "v1.0"]
for row in operations:
    # Ours are the contract's path, and of what a page says of success ("201 (text) / 202 (example)") the numbers.
    row["path"] = row["rpc_path"]
    # Of the query options, ours say only where Microsoft's page says that there are none.
    row["query_options"] = "none" if row["query"].startswith("none") else "-"
    row["success"] = " ".join(re.findall(r"\b\d{3}\b", row["success"]))
columns = ["service", "rpc", "method", "path", "idempotency", "least_permission", "app_only", "error_section", "success", "query_options"]
results = [
    compare(
        "operations",
        {tuple(r[c] for c in columns) for r in operations},
        {tuple(r[c] for c in columns) for r in rows(own / "operations.tsv")},
    )
]
columns = ["section", "http_status", "graph_code", "arises"]
theirs, ours = rows(reference / "documented_errors.tsv"), rows(own / "documented_errors.tsv")
made_by_hand = {(r["section"], r["graph_code"]) for r in theirs if r["arises"] == "http"}
for row in ours:
    # Where the reference knows of requests made by hand only, the contract can have got a field since.
    if row["arises"] == "input" and (row["section"], row["graph_code"]) in made_by_hand:
        row["arises"] = "http"
results.append(
    compare(
        "documented_errors",
        {tuple(r[c] for c in columns) + (len(r["operations"].split("; ")),) for r in theirs},
        {tuple(r[c] for c in columns) + (len(r["operations"].split()),) for r in ours},
    )
)
columns = ["graph_code", "reason", "grpc_code", "retry_delay", "work_done", "detail"]
results.append(
    compare(
        "error_reasons",
        {tuple(r[c] for c in columns) for r in rows(reference / "error_reasons.tsv")},
        {tuple(r[c] for c in columns) for r in rows(own / "error_reasons.tsv")},
    )
)
results.append(
    compare(
        "http_status_errors",
        {
            # Of codes that differ between reads and writes, our table has the read's; the tests know the write's.
            (r["http_status"], r["reason"], r["grpc_code"].removeprefix("read: ").split(";")[0], r["retry_info"])
            for r in rows(reference / "http_status_errors.tsv")
        },
        {tuple(list(r.values())[:4]) for r in rows(own / "http_status_errors.tsv")},
    )
)
wrong, total = map(sum, zip(*results))
print(f"{total - wrong} passed, {wrong} failed")
sys.exit(1 if wrong or total < 280 else 0)
