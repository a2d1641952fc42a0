#!/usr/bin/env python3
"""Count the instructions of rulectl under valgrind, an event or a rule.

usage: instructions.py [--rulectl PROGRAM] [--against PROGRAM] [--count 4000]

Runs the real program with one thread over generated events and takes off what
it needs for an empty log. With --against the same of another build, and what
the change is. Two counts of one program differ by a part in ten thousand or
less: hash tables have random keys. Needs valgrind (Debian: apt-get install
valgrind), whose processor has no AVX-512 and no instructions for SHA-256: what
an event is hashed with once it matches counts for more than it does outside.
"""
import argparse
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
PROJECT = HERE.parent


def main():
    options = argparse.ArgumentParser(description="Count the instructions of rulectl under valgrind.")
    options.add_argument("--rulectl", type=pathlib.Path, default=PROJECT / "target/release/rulectl")
    options.add_argument("--against", type=pathlib.Path, help="another build, such as that of the parent commit")
    options.add_argument("--count", type=int, default=4_000, help="how many events (4000)")
    words = options.parse_args()
    if shutil.which("valgrind") is None:
        sys.exit("valgrind is not installed; on Debian: apt-get install valgrind")
    with tempfile.TemporaryDirectory(prefix="rulectl-bench-") as folder:
        compare(words, pathlib.Path(folder))


def compare(words, folder):
    generate("events", words.count, folder / "events.ndjson")
    generate("rules", 1_000, folder / "rules")
    programs = [words.rulectl] if words.against is None else [words.against, words.rulectl]
    if words.against:
        print(f"{'instructions':<32}{'before':>12}{'now':>12}{'change':>12}")
    for name, rules in [("24 rules", PROJECT / "fixtures/sigma/okta"), ("1,000 rules", folder / "rules"), ("burst", HERE / "burst.yml")]:
        counts = [measure(program, rules, words.count, folder) for program in programs]
        for what, values in zip(["to load", "an event"], zip(*counts)):
            show(f"{name}: {what}", values)


def show(what, values):
    change = f"{(values[1] / values[0] - 1) * 100:>+11.2f}%" if len(values) == 2 else ""
    print(f"{what:<32}" + "".join(f"{value:>12,.0f}" for value in values) + change, flush=True)


def measure(program, rules, count, folder):
    """Instructions to load the rules, and for each event on top of that."""
    empty = folder / "empty.ndjson"
    empty.touch()
    loading = instructions(program, rules, empty, folder)
    return loading, (instructions(program, rules, folder / "events.ndjson", folder) - loading) / count


def instructions(program, rules, events, folder):
    command = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", program]
    command += ["detect", "--rules", rules, "--events", events, "--out", folder / "out.ndjson", "--threads", "1"]
    ended = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    collected = re.search(r"Collected : (\d+)", ended.stderr)
    if ended.returncode != 0 or collected is None:
        sys.exit(f"{program} failed under valgrind:\n{ended.stderr}")
    return int(collected[1])


def generate(what, count, out):
    subprocess.run([sys.executable, HERE / "generate.py", what, "--count", str(count), "--out", out], check=True)


if __name__ == "__main__":
    main()
