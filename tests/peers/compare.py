#!/usr/bin/env python3
"""Asks rulectl, RSigma and pySigma the same questions, and explains each difference.

Exit code 0: every difference has an explanation. 1: one has none, or rulectl and the
referee disagree, which means that one of us is wrong.
"""

import argparse
import collections
import itertools
import json
import pathlib
import random
import re
import sqlite3
import subprocess
import sys
import tempfile

import making
from differences import PYSIGMA, REFUSALS, RSIGMA
from referee import Referee, flat, scalars, text_of

HERE = pathlib.Path(__file__).resolve().parent
DIFFERENCES = {"rsigma": RSIGMA, "pysigma": PYSIGMA}


def main():
    asked = arguments()
    tally = Tally()
    for batch in range(asked.batches):
        source = random.Random(f"{asked.seed}/{batch}")
        rules = making.rules(source, asked.rules)
        events = [event for rule in rules for event in making.events(source, rule, asked.events)]
        with tempfile.TemporaryDirectory() as folder:
            compare(rules, events, pathlib.Path(folder), asked, tally)
    tally.report()
    sys.exit(1 if tally.failures else 0)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rulectl", default=HERE.parents[1] / "target/release/rulectl")
    parser.add_argument("--rsigma", default=HERE / "rsigma/target/release/peer-rsigma")
    parser.add_argument("--seed", default="1")
    parser.add_argument("--batches", type=int, default=20)
    parser.add_argument("--rules", type=int, default=60, help="rules of a batch")
    parser.add_argument("--events", type=int, default=6, help="events near each rule; every rule is asked of all events")
    return parser.parse_args()


def compare(rules, events, folder, asked, tally):
    (folder / "rules").mkdir()
    for number, rule in enumerate(rules):
        (folder / "rules" / file_of(number)).write_text(making.written(rule, number), "utf-8")
    for number, event in enumerate(events):
        event["uuid"] = f"e{number}"
    log = folder / "events.ndjson"
    log.write_text("".join(json.dumps(event, ensure_ascii=False) + "\n" for event in events), "utf-8")
    answers = {
        "rsigma": rsigma(asked.rsigma, folder / "rules", log),
        "pysigma": pysigma(folder / "rules", events, rules),
        "rulectl": rulectl(asked.rulectl, folder / "rules", log),
    }
    for number, rule in enumerate(rules):
        tally.refusals(number, rule, answers)
        if number in answers["rulectl"].refused:
            continue
        for at, event in enumerate(events):
            tally.answers(number, rule, at, event, answers)


class Answers:
    """What a tool found: pairs of a rule and an event; and which rules it refused, and why."""

    def __init__(self, found, refused, unasked=frozenset()):
        self.found, self.refused, self.unasked = found, refused, unasked

    def of(self, rule, event):
        """None where the tool could not be asked."""
        if rule in self.refused or (rule, event) in self.unasked:
            return None
        return (rule, event) in self.found


def file_of(number):
    return f"{number:05}.yml"


def rule_number(identity):
    return int(identity.rsplit("-", 1)[1])


def event_number(identity):
    return int(identity[1:])


def rulectl(program, rules, log):
    refused = {}
    while True:
        run = subprocess.run([program, "detect", "--rules", rules, "--events", log], capture_output=True, text=True, check=False)
        if run.returncode == 0:
            break
        problems = re.findall(r"^error\[\w+\]: (.*)\n +--> .*?(\d{5})\.yml", run.stderr, re.M)
        if not problems:
            raise SystemExit(run.stderr)
        for message, number in problems:
            refused.setdefault(int(number), message)
            (rules / file_of(int(number))).unlink(missing_ok=True)
    lines = [json.loads(line) for line in run.stdout.splitlines()]
    return Answers({(rule_number(line["rule"]), event_number(line["event_ids"][0])) for line in lines}, refused)


def rsigma(program, rules, log):
    run = subprocess.run([program, "detect", rules, log], capture_output=True, text=True, check=True)
    lines = [json.loads(line) for line in run.stdout.splitlines()]
    refused = {int(line["file"][:5]): line["refused"] for line in lines if "refused" in line}
    found = {(rule_number(line["rule"]), event_number(line["event"])) for line in lines if "rule" in line}
    return Answers(found, refused)


def pysigma(rules, events, written):
    """The queries of pySigma's SQLite backend over a table of a column a field."""
    from sigma.backends.sqlite import sqliteBackend
    from sigma.collection import SigmaCollection
    from sigma.exceptions import SigmaError

    database = table(events)
    arrays = {(field, at) for at, event in enumerate(events) for field in making.FIELDS if through_array(field, event)}
    backend = sqliteBackend(fulltext_field="everything", collate_nocase=True)
    found, refused, unasked = set(), {}, set()
    for number, rule in enumerate(written):
        try:
            query = backend.convert(SigmaCollection.from_yaml((rules / file_of(number)).read_text("utf-8")))[0]
            matched = database.execute(query.replace("SELECT *", "SELECT number", 1)).fetchall()
        except (SigmaError, NotImplementedError, sqlite3.Error, ValueError) as error:
            refused[number] = f"{type(error).__name__}: {error}"
            continue
        found |= {(number, at) for (at,) in matched}
        unasked |= {(number, at) for field in fields_of(rule) for at in range(len(events)) if (field, at) in arrays}
    return Answers(found, refused, unasked)


def table(events):
    database = sqlite3.connect(":memory:")
    database.create_function("regexp", 2, finds, deterministic=True)
    columns = ", ".join(f'"{field}" COLLATE NOCASE' for field in making.FIELDS)
    database.execute(f"CREATE TABLE logs (number INTEGER, everything TEXT, {columns})")
    flattened = Referee(["a key with dots"])
    for number, event in enumerate(events):
        texts = "\n".join(text_of(scalar) for scalar in scalars(event) if scalar is not None)
        cells = [cell(flattened.reached(field, event)) for field in making.FIELDS]
        database.execute(f"INSERT INTO logs VALUES (?, ?{', ?' * len(cells)})", [number, texts, *cells])
    return database


def finds(expression, value):
    if value is None:
        return None
    expression = re.sub(r"(?<!\\)\$", r"\\Z", expression) if "(?m" not in expression else expression
    return re.search(expression, text_of(value)) is not None


def cell(reached):
    """What a column can hold; the caller asks nothing of one with an array."""
    value = next(flat(reached), None)
    if isinstance(value, bool):
        return text_of(value)
    return None if isinstance(value, dict) else value


def through_array(field, event):
    if field in event:
        return isinstance(event[field], list)
    value = event
    for step in field.split("."):
        value = value.get(step) if isinstance(value, dict) else None
        if isinstance(value, list):
            return True
    return False


def fields_of(rule):
    for lines in itertools.chain.from_iterable(rule["searches"].values()):
        for field, modifiers, values in lines:
            yield field
            if "fieldref" in modifiers:
                yield from map(text_of, values)


class Tally:
    """Counts answers and differences, by their cause."""

    def __init__(self):
        self.asked = collections.Counter()
        self.causes = collections.Counter()
        self.examples = {}
        self.failures = []

    def refusals(self, number, rule, answers):
        for tool, answer in answers.items():
            if number in answer.refused:
                message = answer.refused[number]
                why = next((why for part, why in REFUSALS[tool].items() if re.search(part, message)), None)
                if why is None:
                    self.failures.append(f"{tool} refuses for a reason that is not listed: {message}\n{making.written(rule, number)}")
                else:
                    self.count(f"{tool} refuses", why, lambda: message)

    def answers(self, number, rule, at, event, answers):
        ours = answers["rulectl"].of(number, at)
        self.asked["rulectl"] += 1
        self.asked["yes"] += ours
        if Referee().matches(rule, event) != ours:
            self.failures.append(f"rulectl says {ours}, the referee does not\n{shown(rule, number, event)}")
        for peer, known in DIFFERENCES.items():
            theirs = answers[peer].of(number, at)
            if theirs is None:
                continue
            self.asked[peer] += 1
            if theirs == ours:
                continue
            self.asked[f"{peer} differs"] += 1
            causes = explained(rule, event, theirs, known)
            if causes is None:
                self.failures.append(f"{peer} says {theirs}, rulectl {ours}, and nothing explains it\n{shown(rule, number, event)}")
                continue
            for cause in causes:
                self.count(peer, f"{cause}: {known[cause]}", lambda: shown(rule, number, event))

    def count(self, who, cause, example):
        self.causes[who, cause] += 1
        self.examples.setdefault((who, cause), example())

    def report(self):
        print(f"rulectl: {self.asked['rulectl']} answers, {self.asked['yes']} of them yes")
        for peer in DIFFERENCES:
            print(f"{peer}: {self.asked[peer]} answers, {self.asked[peer + ' differs']} differ")
        for (who, cause), count in sorted(self.causes.items(), key=lambda row: (row[0][0], -row[1])):
            print(f"{count:8}  {who}: {cause}")
        for failure in self.failures[:20]:
            print(f"\nNOT EXPLAINED: {failure}")
        print(f"{len(self.failures)} not explained")


def explained(rule, event, theirs, known):
    """The fewest differences that turn our answer into theirs."""
    for size in (1, 2, 3):
        for names in itertools.combinations(known, size):
            if Referee(names).matches(rule, event) == theirs:
                return names
    return None


def shown(rule, number, event):
    return f"{making.written(rule, number)}\n{json.dumps(event, ensure_ascii=False)}"


main()
