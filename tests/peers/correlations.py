#!/usr/bin/env python3
"""Asks rulectl and RSigma for the hits of made-up correlations, and explains each difference.

Hits are counted by rule and group. The referee counts the list of events at each
event; a difference of RSigma is a way of counting, tried as `compare.py` does.
"""

import argparse
import collections
import datetime
import itertools
import json
import pathlib
import random
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
START = datetime.datetime(2026, 3, 2, 10, tzinfo=datetime.timezone.utc)
FIELD = "client.ipAddress"
DIFFERENCES = {
    "whole seconds": "times are cut to whole seconds",
    "the first instant is in": "an event exactly `timespan` ago is in the window",
    "case tells groups apart": "values of `group-by` mind case",
    "case tells values apart": "values of `value_count` mind case",
    "null is a value": "null is a value for `value_count`",
    "no value is asked too": "an event without a value for `value_count` is a hit where the condition holds",
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rulectl", default=HERE.parents[1] / "target/release/rulectl")
    parser.add_argument("--rsigma", default=HERE / "rsigma/target/release/peer-rsigma")
    parser.add_argument("--seed", default="1")
    parser.add_argument("--rounds", type=int, default=30)
    asked = parser.parse_args()
    totals, failures = collections.Counter(), []
    for number in range(asked.rounds):
        source = random.Random(f"{asked.seed}/{number}")
        compare(correlations(source), events(source), asked, totals, failures)
    for what, count in totals.items():
        print(f"{count:8}  {what}")
    for failure in failures[:20]:
        print(f"\nNOT EXPLAINED: {failure}")
    print(f"{len(failures)} not explained")
    sys.exit(1 if failures else 0)


def correlations(source):
    made = []
    for number in range(12):
        kind = source.choice(["event_count", "value_count", "temporal"])
        groups = source.choice([["user"], ["user"], ["user", "zone"], []])
        made.append({"number": number, "kind": kind, "groups": groups, "span": source.choice([60, 300, 600]), "gte": source.randint(2, 4)})
    return made


def events(source):
    """Times meet the ends of windows: steps are often a divisor of the timespans, or nearly."""
    made, now = [], 0.0
    for number in range(150):
        now += source.choice([0.25, 1, 30, 60, 59.999, 60.001, 100, 299.5, 300])
        event = {"uuid": f"e{number}", "published": (START + datetime.timedelta(seconds=now)).isoformat().replace("+00:00", "Z")}
        event["eventType"] = source.choice(["user.session.start", "user.session.end", "user.lifecycle.create"])
        event["user"] = source.choice(["ann", "Ann", "bob", None])
        event["zone"] = source.choice(["a", "b"])
        addresses = [{"ipAddress": address} for address in ("fe80::A", "fe80::a", "10.0.0.1", "10.0.0.2", None)]
        event["client"] = source.choice([*addresses, {}])
        made.append({key: value for key, value in event.items() if value is not None})
    return made


RULES = {"start": "user.session.start", "end": "user.session.end"}


def written(correlation):
    """The detections and the correlation, one document each."""
    number = correlation["number"]
    names = {name: f"{name}_{number}" for name in asked_rules(correlation)}
    for name, event_type in RULES.items():
        if name in names:
            head = {"title": names[name], "name": names[name], "logsource": {"product": "okta", "service": "okta"}}
            yield {**head, "detection": {"s": {"eventType": event_type}, "condition": "s"}}
    body = {"type": correlation["kind"], "rules": list(names.values()), "timespan": f"{correlation['span']}s"}
    if correlation["groups"]:
        body["group-by"] = correlation["groups"]
    if correlation["kind"] != "temporal":
        body["condition"] = {"gte": correlation["gte"]}
    if correlation["kind"] == "value_count":
        body["condition"]["field"] = FIELD
    yield {"title": f"Correlation {number}", "id": f"00000000-0000-4000-8000-{number:012}", "correlation": body}


def asked_rules(correlation):
    return ["start", "end"] if correlation["kind"] == "temporal" else ["start"]


def compare(made, log, asked, totals, failures):
    with tempfile.TemporaryDirectory() as folder:
        rules, records = pathlib.Path(folder, "rules"), pathlib.Path(folder, "events.ndjson")
        rules.mkdir()
        for correlation in made:
            text = "\n---\n".join(json.dumps(document) for document in written(correlation))
            (rules / f"{correlation['number']:05}.yml").write_text(text, "utf-8")
        records.write_text("".join(json.dumps(event) + "\n" for event in log), "utf-8")
        ours = collections.Counter()
        for line in ran(asked.rulectl, "detect", "--rules", rules, "--events", records):
            ours[int(line["rule"][-12:]), folded(line["group"].values())] += line["hits"]
        theirs = collections.Counter()
        for line in ran(asked.rsigma, "correlate", rules, records):
            theirs[int(line["rule"][-12:]), folded(value for _, value in line["group"])] += 1
    for correlation in made:
        number, refereed = correlation["number"], hits(correlation, log, ())
        totals["correlations"] += 1
        totals["hits of rulectl"] += sum(refereed.values())
        if refereed != of_rule(ours, number):
            failures.append(f"rulectl {of_rule(ours, number)}, referee {refereed}, of {correlation}")
        if refereed != of_rule(theirs, number):
            explain(correlation, log, of_rule(theirs, number), totals, failures)


def explain(correlation, log, theirs, totals, failures):
    totals["correlations for which RSigma differs"] += 1
    for size in range(1, len(DIFFERENCES) + 1):
        for names in itertools.combinations(DIFFERENCES, size):
            if hits(correlation, log, names) == theirs:
                totals.update(f"of them: {DIFFERENCES[name]}" for name in names)
                return
    failures.append(f"RSigma {theirs}, rulectl {hits(correlation, log, ())}, of {correlation}")


def ran(*command):
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    if run.returncode:
        raise SystemExit(run.stderr)
    return [json.loads(line) for line in run.stdout.splitlines()]


def folded(values):
    return tuple(value.lower() for value in values)


def of_rule(counted, number):
    return {group: count for (rule, group), count in counted.items() if rule == number}


def hits(correlation, log, differs):
    """At how many events of each group the condition holds, by looking at the whole window."""
    seen, counted = collections.defaultdict(list), collections.Counter()
    types = [RULES[name] for name in asked_rules(correlation)]
    for event in log:
        group = [event.get(field) for field in correlation["groups"]]
        value = event["client"].get("ipAddress")
        if "null is a value" in differs and event["client"] == {"ipAddress": None}:
            value = "null"
        if event["eventType"] not in types or None in group:
            continue
        if correlation["kind"] == "value_count" and value is None and "no value is asked too" not in differs:
            continue
        key = tuple(group) if "case tells groups apart" in differs else folded(group)
        seen[key].append((time_of(event, differs), event["eventType"], value))
        if holds(correlation, seen[key], differs):
            counted[folded(group)] += 1
    return dict(counted)


def holds(correlation, seen, differs):
    since = seen[-1][0] - datetime.timedelta(seconds=correlation["span"])
    first = "the first instant is in" in differs
    window = [one for one in seen if one[0] > since or (first and one[0] == since)]
    if correlation["kind"] == "event_count":
        return len(window) >= correlation["gte"]
    if correlation["kind"] == "temporal":
        return len({kind for _, kind, _ in window}) == len(RULES)
    fold = str if "case tells values apart" in differs else str.lower
    return len({fold(value) for _, _, value in window if value is not None}) >= correlation["gte"]


def time_of(event, differs):
    time = datetime.datetime.fromisoformat(event["published"])
    return time.replace(microsecond=0) if "whole seconds" in differs else time


main()
