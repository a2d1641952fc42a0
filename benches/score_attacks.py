#!/usr/bin/env python3
"""Score a run over a log of attack_log.py by its truth.

    python3 benches/attack_log.py --events 1000000 --out LOG --truth TRUTH
    rulectl run --events LOG --data DIR
    python3 benches/score_attacks.py DIR TRUTH

The truth names the account, the address and the beginning of each attack. An
attack is found when a finding that is not of level informational speaks of the
account or the address, and lies between an hour before the beginning and two
hours after it. Standard library only.
"""

import datetime
import json
import pathlib
import sys
from collections import Counter, defaultdict

HOUR = 3_600_000


def lines(path):
    with path.open(encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def milliseconds(text):
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp() * 1000


def texts(value):
    """Every text in a value, and each word of it without what stands around it."""
    if isinstance(value, dict):
        for inner in value.values():
            yield from texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from texts(inner)
    elif isinstance(value, str):
        yield value
        yield from (word.strip(".,:;()") for word in value.split())


def main():
    data, truth = pathlib.Path(sys.argv[1]), json.loads(pathlib.Path(sys.argv[2]).read_text())
    findings = [f for f in lines(data / "findings.jsonl") if f["level"] != "informational"]
    incidents = {i["finding_id"] for i in lines(data / "incidents.jsonl")}
    about = defaultdict(list)
    for finding in findings:
        finding["from"], finding["to"] = milliseconds(finding["first_seen"]), milliseconds(finding["last_seen"])
        for text in {*texts([finding[k] for k in ("group", "description", "metadata", "timeline")])}:
            about[text].append(finding)
    days = (max(f["to"] for f in findings) - min(f["from"] for f in findings)) / 24 / HOUR

    kinds, explained, episodes = defaultdict(Counter), set(), Counter()
    for episode in truth["episodes"]:
        at, count = episode["at_ms"], kinds[episode["kind"]]
        near = {
            f["id"]: f
            for f in about[episode["actor"]] + about[episode["ip"]]
            if f["from"] <= at + 2 * HOUR and f["to"] >= at - HOUR
        }
        explained.update(near)
        episodes.update({f["rule_name"] for f in near.values()})
        count["attacks"] += 1
        count["found"] += bool(near)
        count["medium"] += any(f["level"] in ("medium", "high", "critical") for f in near.values())
        count["incident"] += any(i in incidents for i in near)

    print("| attack | in the log | found | medium or above | incident |\n|---|---:|---:|---:|---:|")
    for kind, count in sorted(kinds.items()):
        print(f"| {kind} | {count['attacks']} | {count['found']} | {count['medium']} | {count['incident']} |")
    every = sum(kinds.values(), Counter())
    print(f"| **all** | {every['attacks']} | {every['found']} | {every['medium']} | {every['incident']} |")
    print(f"\n{days:.2f} days, {len(findings)} findings, {len(incidents)} incidents\n")

    print("| rule | level | findings a day | of attacks, a day | others, a day | incidents a day |")
    print("|---|---|---:|---:|---:|---:|")
    of_rule = defaultdict(list)
    for finding in findings:
        of_rule[finding["rule_name"]].append(finding)
    for name, mine in sorted(of_rule.items(), key=lambda item: (-len(item[1]), item[0])):
        true = sum(f["id"] in explained for f in mine)
        promoted = sum(f["id"] in incidents for f in mine)
        row = [len(mine), true, len(mine) - true, promoted]
        print(f"| {name} | {mine[0]['level']} | " + " | ".join(f"{n / days:.1f}" for n in row) + " |")


if __name__ == "__main__":
    main()
