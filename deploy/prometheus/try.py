"""Runs the expressions of the alerts and of the dashboard on a real Prometheus that scrapes three real replicas.

Usage, at the root of the repository:

    try.py --parse                     every expression is one that promtool accepts
    try.py SERVER [--absent FAMILY]... each expression returns data, unless it needs a family that is said to be absent

Of an alert only the value is asked for, without the bound that it is compared with: nothing is wrong here. The
programs prometheus and promtool come from Debian's package prometheus.
"""

import json
import pathlib
import re
import socket
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request

ALERTS, DASHBOARD = pathlib.Path("deploy/prometheus/alerts.yaml"), pathlib.Path("deploy/grafana/backupstorage.json")
REPLICAS = 3
BOUND = re.compile(r"\s*(>|<|==|!=)\s*[\d.* ]+$")


def alert_expressions():
    """Yields (name, expression without its bound)."""
    text = ALERTS.read_text(encoding="utf-8")
    for name, rest in re.findall(r"- alert: (\w+)\n\s+expr: (.*?)\n\s+for:", text, re.S):
        for part in re.split(r"\band\n", rest.removeprefix("|")):
            expression = " ".join(part.split())
            if not expression.startswith("absent("):
                yield name, BOUND.sub("", expression)


def dashboard_expressions():
    """Yields (title, expression) with Grafana's variables as it would fill them in."""
    values = {"$__rate_interval": "15s", "$__range": "15s", "$job": ".*", "$instance": ".*"}
    for panel in json.loads(DASHBOARD.read_text(encoding="utf-8"))["panels"]:
        for target in panel.get("targets", []):
            expression = target["expr"]
            for variable, value in values.items():
                expression = expression.replace(variable, value)
            yield panel["title"], expression


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def parse(folder):
    rules = [{"record": f"try:{n}", "expr": e} for n, (_, e) in enumerate([*alert_expressions(), *dashboard_expressions()])]
    # JSON is YAML.
    file = folder / "rules.yaml"
    file.write_text(json.dumps({"groups": [{"name": "try", "rules": rules}]}), encoding="utf-8")
    subprocess.run(["promtool", "check", "rules", str(file)], check=True)


def ask(port, expression):
    url = f"http://127.0.0.1:{port}/api/v1/query?" + urllib.parse.urlencode({"query": expression})
    with urllib.request.urlopen(url, timeout=10) as answer:
        return json.load(answer)["data"]["result"]


def wait(what, ready):
    for _ in range(600):
        try:
            if ready():
                return
        except OSError:
            pass
        time.sleep(0.1)
    raise SystemExit(f"try: {what} does not get ready")


def run(server, absent, folder):
    processes, targets = [], []
    try:
        for n in range(REPLICAS):
            admin = free_port()
            targets.append(f"127.0.0.1:{admin}")
            log = (folder / f"replica-{n}.log").open("w", encoding="utf-8")
            flags = ["--listen", f"127.0.0.1:{free_port()}", "--admin-listen", f"127.0.0.1:{admin}"]
            processes.append(subprocess.Popen([server, *flags], stdout=log, stderr=log))
        port, config = free_port(), folder / "prometheus.yaml"
        config.write_text(
            json.dumps(
                {
                    "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
                    "rule_files": [str(ALERTS.resolve())],
                    "scrape_configs": [{"job_name": "backupstorage", "static_configs": [{"targets": targets}]}],
                }
            ),
            encoding="utf-8",
        )
        log = (folder / "prometheus.log").open("w", encoding="utf-8")
        flags = [f"--config.file={config}", f"--storage.tsdb.path={folder / 'data'}", f"--web.listen-address=127.0.0.1:{port}"]
        processes.append(subprocess.Popen(["prometheus", *flags], stdout=log, stderr=log))
        # Two scrapes at least, or there is no rate.
        wait("Prometheus", lambda: len(ask(port, 'count_over_time(up{job="backupstorage"}[15s]) > 3')) == REPLICAS)
        without = []
        for name, expression in [*alert_expressions(), *dashboard_expressions()]:
            if not ask(port, expression) and not any(family in expression for family in absent):
                without.append(f"{name}: {expression}")
        for family in absent:
            if ask(port, f'{{__name__=~"{family}.*"}}'):
                without.append(f"{family} is there: it is absent no more")
        if without:
            raise SystemExit("try: no data\n" + "\n".join(without))
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v1/rules", timeout=10) as answer:
            groups = json.load(answer)["data"]["groups"]
        rules = [rule for group in groups for rule in group["rules"]]
        unwell = [f"{rule['name']}: {rule.get('lastError')}" for rule in rules if rule["health"] == "err"]
        if unwell or not rules:
            raise SystemExit("try: rules that fail\n" + "\n".join(unwell))
        print(f"{len(rules)} alerts and {len(list(dashboard_expressions()))} expressions of the dashboard return data from {REPLICAS} replicas")
    finally:
        for process in processes:
            process.kill()
            process.wait()


def main(arguments):
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        if arguments == ["--parse"]:
            parse(folder)
            return
        absent = []
        while "--absent" in arguments:
            place = arguments.index("--absent")
            absent.append(arguments[place + 1])
            del arguments[place : place + 2]
        if len(arguments) != 1:
            raise SystemExit(__doc__)
        run(arguments[0], absent, folder)


main(sys.argv[1:])
