#!/usr/bin/env python3
"""Polls an emulated tenant through restarts, kills and every fault, and holds what was found against
one run over a file.

usage: conserve.py RULECTL FOLDER [--events 100000] [--restarts 50] [--seed 1]

A log of attacks is told with duplicates and with events that are stored up to 100 s late, where two
minutes are allowed. Every restart has another fault of the tenant on a share of the requests, and ends
by SIGKILL or SIGTERM at a random time. The last one has none and ends when everything has closed. Then
`findings.jsonl` and `incidents.jsonl` must hold what one run over one file finds, each record once, and
no event may have come too late. Exits with 1 where that is not so.
"""

import argparse
import datetime
import json
import os
import pathlib
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
TOKEN = "00conservationconservationconservation42"
FAULTS = [
    "rate-limit-storm=0.2", "rate-limit-without-reset=0.2", "concurrency-limit=0.2", "server-error=0.2",
    "reset-mid-body=0.2", "truncated-gzip=0.2", "malformed-json=0.2", "huge-json=0.05", "slow-body=0.1",
    "no-answer=0.1", "expired-token=0.2", "clock-skew=4000", "duplicate-link", "comma-links",
    "wrong-content-type", "hostile-next=other-host:0.1", "hostile-next=loop:0.1", "hostile-redirect=0.1",
    "revoked-scope=0.1", "nonce-rotation",
]


class Tenant:
    """The emulated tenant with one fault, always at the same port."""

    def __init__(self, rulectl, scenario, port, fault=None):
        words = [rulectl, "tenant", "--listen", f"127.0.0.1:{port}", "--scenario", scenario]
        if fault:
            words += ["--fault", fault]
        self.process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        for line in self.process.stdout:
            if line.startswith("OKTA_ALLOW_PRIVATE"):
                return
        sys.exit(f"the tenant did not start with {fault}")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()


def scenario(path, log, clean):
    late = "" if clean else "  duplicates: 0.02\n  late: {share: 0.1, most: 100s}\n"
    path.write_text(
        f"tokens: [{{name: test, value: {TOKEN}}}]\n"
        "rate_limits: {buckets: {/api/v1/logs: 1000000}}\n"
        f"log:\n  files: [{log}]\n{late}"
    )


def pages(origin, since, path):
    """Everything that the tenant tells, as it tells it."""
    url = f"{origin}/api/v1/logs?since={since}&sortOrder=ASCENDING&limit=1000"
    with open(path, "wb") as out:
        while True:
            request = urllib.request.Request(url, headers={"Authorization": f"SSWS {TOKEN}"})
            with urllib.request.urlopen(request) as answer:
                body = answer.read()
                links = ", ".join(answer.headers.get_all("link"))
            out.write(body + b"\n")
            if len(json.loads(body)) < 1000:
                return
            url = re.search(r'<([^>]*)>; *rel="next"', links)[1]


def records(data, name):
    """The records of a file of artifacts by their id, without what tells runs apart."""
    found = {}
    for line in (data / name).read_text().splitlines():
        record = json.loads(line)
        for key in ("generation", "opened_generation", "policy"):
            record.pop(key, None)
        if record["id"] in found:
            sys.exit(f"{name}: {record['id']} stands there twice")
        found[record["id"]] = record
    return found


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("rulectl")
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--restarts", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    draw = random.Random(args.seed)
    folder = args.folder.resolve()
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    rulectl = str(pathlib.Path(args.rulectl).resolve())

    # The newest event but one is two days old, so that all has closed once the log is silent.
    span = args.events * 250 / 1000
    start = datetime.datetime.now(datetime.UTC) - datetime.timedelta(seconds=span, days=2)
    since = start.strftime("%Y-%m-%dT%H:%M:%SZ")
    log = folder / "log.ndjson"
    subprocess.run(
        [sys.executable, ROOT / "benches/attack_log.py", "--events", str(args.events), "--out", log, "--start", since],
        check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )
    # What is waited for in the last day of a file is pending there, and fires in a log that goes on.
    with open(log, "a") as lines:
        last = {"uuid": "00000000-0000-4000-8000-000000000000", "eventType": "user.session.end",
                "outcome": {"result": "SUCCESS"}, "actor": {"id": "00ulastlastlastlast1"},
                "published": (start + datetime.timedelta(seconds=span, hours=30)).strftime("%Y-%m-%dT%H:%M:%S.000Z")}
        lines.write(json.dumps(last) + "\n")
    scenario(folder / "clean.yml", log, True)
    scenario(folder / "late.yml", log, False)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    origin = f"http://127.0.0.1:{port}"

    told = folder / "told.json"
    with Tenant(rulectl, folder / "clean.yml", port):
        pages(origin, since, told)
    policy = ["--policy", str(ROOT)]
    expected, data = folder / "expected", folder / "data"
    subprocess.run([rulectl, "run", *policy, "--events", told, "--data", expected], check=True,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    environment = dict(os.environ, OKTA_ORG_URL=origin, OKTA_API_TOKEN=TOKEN, OKTA_ALLOW_PRIVATE="true",
                       OKTA_SHARE="1.0", OKTA_TIMEOUT="1s", OKTA_POLL="1s", OKTA_RETRIES="2", OKTA_PAGE="500")
    run = [rulectl, "run", *policy, "--okta", "--follow", "--since", since, "--data", data]
    said = open(folder / "said.txt", "w")
    killed = 0
    for restart in range(args.restarts):
        fault = FAULTS[restart % len(FAULTS)]
        with Tenant(rulectl, folder / "late.yml", port, fault):
            process = subprocess.Popen(run, env=environment, stdout=subprocess.DEVNULL, stderr=said, cwd=folder)
            try:
                process.wait(timeout=draw.uniform(0.3, 2.0))
            except subprocess.TimeoutExpired:
                kill = draw.random() < 0.5
                killed += kill
                process.send_signal(signal.SIGKILL if kill else signal.SIGTERM)
                process.wait()

    with Tenant(rulectl, folder / "late.yml", port):
        process = subprocess.Popen(run, env=environment, stdout=subprocess.DEVNULL, stderr=said, cwd=folder)
        # Everything has closed when the log was silent for half a minute; artifacts come once a minute.
        until = time.monotonic() + 600
        while time.monotonic() < until and process.poll() is None:
            time.sleep(5)
            lines = (folder / "said.txt").read_text().rsplit("begins with events of", 1)[-1]
            if "caught up" in lines.rsplit("goes on behind", 1)[-1]:
                time.sleep(45)
                break
        process.terminate()
        if process.wait() != 0:
            sys.exit(f"the last run ended with {process.returncode}: see {folder / 'said.txt'}")

    segments = (data / "audit").glob("*.jsonl")
    late = sum('"kind":"late"' in line for segment in segments for line in open(segment))
    differ = 0
    for name in ("findings.jsonl", "incidents.jsonl"):
        one, other = records(expected, name), records(data, name)
        lost, more = one.keys() - other.keys(), other.keys() - one.keys()
        changed = [id for id in one.keys() & other.keys() if one[id] != other[id]]
        print(f"{name}: {len(one)} expected, {len(lost)} lost, {len(more)} more, {len(changed)} that differ")
        differ += len(lost) + len(more) + len(changed)
    verified = subprocess.run([rulectl, "audit", "verify", "--data", data], stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL).returncode
    print(f"{args.events} events, {args.restarts} restarts of which {killed} by SIGKILL, {len(FAULTS)} faults, "
          f"{late} late events, audit verify {verified}")
    sys.exit(1 if differ or late or verified else 0)


main()
