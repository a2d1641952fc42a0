#!/usr/bin/env python3
"""Measure rulectl, and its peers where they are given, and write docs/performance.

usage: table.py [--events FILE] [--large FILE] [--rsigma PROGRAM] [--duckdb PYTHON] …

Each piece of work is done by each program in turn, --runs times over, and the
medians are taken: CPU seconds (user and system) of the whole process and its
peak memory. Programs that do the same work stand in one run, so that a busy
machine is unfair to all of them alike.

Writes the table between the markers of docs/performance.md, docs/performance.svg
beside it, and the figures to --figures, from which --redraw writes both again.
Logs and rules that are not given are generated, the same each time. Needs
Python 3.10 and nothing else; peers are under benches/peers.
"""
import argparse
import dataclasses
import hashlib
import html
import json
import os
import pathlib
import platform
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
PROJECT = HERE.parent
GENERATE = HERE / "generate.py"
SIGMAHQ = PROJECT / "fixtures/sigma/okta"
# Those that SigmaHQ keeps apart from its detections: see fixtures/sigma/README.md.
KEPT_APART = {"okta_apt_suspicious_user_creation.yml", "okta_password_health_report_query.yml", "okta_session_impersonation_granted.yml"}
PAGE = PROJECT / "docs/performance.md"
PLOT = PROJECT / "docs/performance.svg"
BEGIN, END = "<!-- measured: written by benches/table.py -->", "<!-- end of measured -->"


@dataclasses.dataclass
class Work:
    """Some work for one program."""

    title: str
    program: str
    command: list[str]
    # How many events, or rules where there is no event to read.
    events: int
    rules: int
    out: pathlib.Path
    environment: dict[str, str] = dataclasses.field(default_factory=dict)
    runs: list[tuple[float, float]] = dataclasses.field(default_factory=list)

    def row(self):
        cpu, peak = (statistics.median(figure) for figure in zip(*self.runs))
        return {
            "work": self.title, "program": self.program, "events": self.events, "rules": self.rules,
            "cpu": round(cpu, 4), "peak": round(peak, 1), "found": found(self.out) if self.events else None,
        }


def main():
    words = arguments()
    if words.redraw:
        write(json.loads(words.redraw.read_text(encoding="utf-8")))
        return
    with tempfile.TemporaryDirectory(prefix="rulectl-bench-") as folder:
        figures = measure(words, pathlib.Path(folder))
    if words.figures:
        words.figures.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    write(figures)


def arguments():
    options = argparse.ArgumentParser(description="Measure rulectl and its peers, and write docs/performance.")
    path = {"type": pathlib.Path, "metavar": "PATH"}
    options.add_argument("--rulectl", default=PROJECT / "target/dist/rulectl", **path, help="the program (cargo build --profile dist)")
    options.add_argument("--events", **path, help="a log of JSON lines; generated unless given")
    options.add_argument("--large", **path, help="another log for the rules of SigmaHQ, e.g. ten times as large")
    options.add_argument("--count", type=int, default=100_000, help="how many events to generate (100000)")
    options.add_argument("--accounts", type=int, default=1_000_000, help="how many groups to hold open (1000000; 0 for none)")
    options.add_argument("--month", type=int, default=1_000_000, help="how many sign-ins of a month to correlate (1000000; 0 for none)")
    options.add_argument("--runs", type=int, default=3, help="how many times each (3)")
    options.add_argument("--rules-1000", **path, help="a folder of 1,000 rules; generated unless given")
    options.add_argument("--rules-3000", **path, help="a folder of 3,000 rules; generated unless given")
    options.add_argument("--burst", default=HERE / "burst.yml", **path, help="a correlation of failed sign-ins")
    options.add_argument("--rsigma", **path, help="the program built in benches/peers/rsigma")
    options.add_argument("--duckdb", **path, help="a Python with duckdb, pysigma and pysigma-backend-duckdb")
    options.add_argument("--figures", **path, help="keep the figures here")
    options.add_argument("--redraw", **path, help="measure nothing: write the page from these figures")
    words = options.parse_args()
    programs = [] if words.redraw else [words.rulectl, words.rsigma, words.duckdb]
    for program in filter(None, programs):
        if shutil.which(program) is None:
            options.error(f"{program} is no program; docs/performance.md says how each is built")
    return words


# ------------------------------------------------------------------ measuring


def measure(words, folder):
    log, rules = prepare(words, folder)
    works = list(plan(words, folder, log, rules))
    for number in range(words.runs):
        for work in works:
            work.runs.append(run(work, folder))
            cpu, peak = work.runs[-1]
            say(f"run {number + 1} of {words.runs}: {work.title}, {work.program}: {cpu:.2f} s, {peak:.0f} MB")
    one, two = (next(work.out for work in works if work.program == f"rulectl{threads}" and work.title.startswith("21")) for threads in ("", ", two threads"))
    return {
        "machine": machine(), "runs": words.runs, "bytes": log.stat().st_size, "events": count_lines(log),
        "same_bytes": checksum(one) == checksum(two), "rows": [work.row() for work in works],
    }


def prepare(words, folder):
    """The log, and the folders of rules by their number."""
    log = words.events or generate("events", words.count, folder / "events.ndjson")
    real = folder / "rules-21"
    real.mkdir()
    for rule in SIGMAHQ.glob("*.yml"):
        if rule.name not in KEPT_APART:
            shutil.copy(rule, real)
    rules = {21: real}
    for count, given in (1_000, words.rules_1000), (3_000, words.rules_3000):
        rules[count] = given or generate("rules", count, folder / f"rules-{count}")
    return log, rules


def generate(what, count, out):
    say(f"generating {count:,} {what}")
    subprocess.run([sys.executable, GENERATE, what, "--count", str(count), "--out", out], check=True)
    return out


def plan(words, folder, log, rules):
    """All that is measured, in the order of the table."""
    outs = (folder / f"out-{number}.ndjson" for number in range(1_000))
    programs = Programs(words, outs)
    events = count_lines(log)
    title = f"21 rules of SigmaHQ, {events:,} events"
    yield from programs.detect(title, events, 21, rules[21], log)
    if words.large:
        many = count_lines(words.large)
        yield from programs.detect(f"21 rules of SigmaHQ, {many:,} events", many, 21, rules[21], words.large)
    yield from programs.detect(f"1,000 generated rules, {events:,} events", events, 1_000, rules[1_000], log)
    yield from programs.correlate(f"failed-login burst, {events:,} events", events, words.burst, log)
    if words.accounts:
        accounts = generate("accounts", words.accounts, folder / "accounts.ndjson")
        yield from programs.correlate(f"{words.accounts:,} open groups", words.accounts, words.burst, accounts)
    if words.month:
        month = generate("month", words.month, folder / "month.ndjson")
        signed_in = f"{words.month:,} sign-ins of 100,000 accounts in 30 days"
        for rule, title in ("signed_in", "no window"), ("first_seen", "first_seen over 30 days"), ("absent", "absent within 10 minutes"):
            yield programs.ours(f"{title}, {signed_in}", "rulectl", words.month, 1, HERE / f"{rule}.yml", month)
    scripted = folder / "scripted"
    shutil.copytree(rules[21], scripted)
    for part in (HERE / "scripts").iterdir():
        shutil.copy(part, scripted)
    yield programs.ours(f"21 rules of SigmaHQ and 5 with scripts, {events:,} events", "rulectl", events, 26, scripted, log)
    empty = folder / "empty.ndjson"
    empty.touch()
    for count in 1_000, 3_000:
        yield from programs.load(f"loading {count:,} rules", count, rules[count], empty)


class Programs:
    """How each program is asked to do the work."""

    def __init__(self, words, outs):
        self.rulectl, self.rsigma, self.duckdb, self.outs = words.rulectl, words.rsigma, words.duckdb, outs

    def detect(self, title, events, count, rules, log):
        yield self.ours(title, "rulectl", events, count, rules, log)
        yield self.ours(title, "rulectl, two threads", events, count, rules, log, threads=2)
        if self.rsigma:
            yield self.theirs(title, "rsigma", "each", events, count, rules, log)
            yield self.theirs(title, "rsigma, two threads", "batches", events, count, rules, log)
        if self.duckdb:
            for program, threads in ("DuckDB", 1), ("DuckDB, two threads", 2):
                out = next(self.outs)
                command = [self.duckdb, HERE / "peers/duckdb_rules.py", rules, log, out, threads]
                yield Work(title, program, words_of(command), events, count, out)

    def correlate(self, title, events, rules, log):
        yield self.ours(title, "rulectl", events, 1, rules, log)
        if self.rsigma:
            folder = next(self.outs).with_suffix("")
            folder.mkdir()
            shutil.copy(rules, folder)
            yield self.theirs(title, "rsigma", "correlate", events, 1, folder, log)

    def load(self, title, count, rules, empty):
        yield self.ours(title, "rulectl", 0, count, rules, empty)
        if self.rsigma:
            yield self.theirs(title, "rsigma", "each", 0, count, rules, empty)

    def ours(self, title, program, events, count, rules, log, threads=1):
        out = next(self.outs)
        command = [self.rulectl, "detect", "--rules", rules, "--events", log, "--out", out, "--threads", threads]
        return Work(title, program, words_of(command), events, count, out)

    def theirs(self, title, program, mode, events, count, rules, log):
        out = next(self.outs)
        command = words_of([self.rsigma, mode, rules, log, out])
        return Work(title, program, command, events, count, out, {"RAYON_NUM_THREADS": "2"})


def words_of(command):
    return [str(word) for word in command]


def run(work, folder):
    """CPU seconds and peak memory (MB) of one process."""
    with open(folder / "messages", "w+b") as messages:
        process = subprocess.Popen(work.command, stdin=subprocess.DEVNULL, stdout=messages, stderr=messages, env=os.environ | work.environment)
        sampled = watch(process.pid)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            messages.seek(0)
            sys.exit(f"{' '.join(work.command)} failed:\n{messages.read().decode(errors='replace')}")
    # The kernel's figure holds what this program took at the time of the fork.
    ours = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    kilobytes = max(sampled, usage.ru_maxrss if usage.ru_maxrss > ours else 0)
    return usage.ru_utime + usage.ru_stime, kilobytes * 1024 / 1e6


def watch(pid):
    """The highest peak that a process shows until it ends, in KiB."""
    peak = 0
    while os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is None:
        try:
            status = pathlib.Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
        except OSError:
            status = ""
        peak = max([peak, *(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))])
        time.sleep(0.002)
    return peak


def found(out):
    """How many matches, or hits of a correlation, were written."""
    with open(out, encoding="utf-8") as lines:
        return sum(json.loads(line).get("hits", 1) for line in lines)


def count_lines(path):
    with open(path, "rb") as file:
        return sum(piece.count(b"\n") for piece in iter(lambda: file.read(1 << 20), b""))


def checksum(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def machine():
    try:
        text = pathlib.Path("/proc/cpuinfo").read_text(encoding="utf-8")
        model = next(line.split(":", 1)[1].strip() for line in text.splitlines() if line.startswith("model name"))
    except (OSError, StopIteration):
        model = platform.machine()
    return f"{model}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"


def say(text):
    print(text, file=sys.stderr, flush=True)


# -------------------------------------------------------------------- writing


def write(figures):
    page = PAGE.read_text(encoding="utf-8")
    before, rest = page.split(BEGIN)
    _, after = rest.split(END)
    PAGE.write_text(f"{before}{BEGIN}\n{table(figures)}{END}{after}", encoding="utf-8", newline="\n")
    PLOT.write_text(plot(figures["rows"]), encoding="utf-8", newline="\n")
    say(f"wrote {PAGE.relative_to(PROJECT)} and {PLOT.relative_to(PROJECT)}")


def table(figures):
    rows = figures["rows"]
    lines = ["", "| work | program | CPU | events a CPU-second | rulectl does | peak memory | found |", "|---|---|--:|--:|--:|--:|--:|"]
    for before, row in zip([None, *rows], rows):
        title = row["work"] if not before or before["work"] != row["work"] else ""
        rate = f"{per_second(row):,.0f}" if row["events"] else ""
        cpu = f"{row['cpu']:.2f} s" if row["cpu"] >= 0.995 else f"{row['cpu'] * 1000:.0f} ms"
        number = "" if row["found"] is None else f"{row['found']:,}"
        lines.append(f"| {title} | {row['program']} | {cpu} | {rate} | {times_of(row, rows)} | {row['peak']:.0f} MB | {number} |")
    same = "the same bytes" if figures["same_bytes"] else "DIFFERENT bytes"
    mean = figures["bytes"] / max(figures["events"], 1)
    lines += ["", f"{figures['machine']}; median of {figures['runs']}; {mean:,.0f} bytes an event; one and two threads of rulectl wrote {same}.", ""]
    return "\n".join(lines)


def times_of(row, rows):
    """How many times as much rulectl does in the same CPU time, on as many threads."""
    if row["program"].startswith("rulectl"):
        return ""
    program = "rulectl" + row["program"].removeprefix(row["program"].split(",")[0])
    ours = next(ours for ours in rows if (ours["work"], ours["program"]) == (row["work"], program))
    return f"{row['cpu'] / max(ours['cpu'], 1e-4):.1f} ×"


def per_second(row):
    return row["events"] / max(row["cpu"], 1e-4)


COLOURS = {"rulectl": "#2f81d6", "rsigma": "#c77b28", "DuckDB": "#7f7f86"}
STYLE = "text{font:13px system-ui,-apple-system,'Segoe UI',sans-serif;fill:#24292f}.t{font-weight:600}@media (prefers-color-scheme:dark){text{fill:#d5dbe2}}"
WIDTH, LEFT, BAR, STEP = 760, 160, 18, 24


def plot(rows):
    """Bars of events a CPU-second, by work and program."""
    rows = [row for row in rows if row["events"]]
    scale = (WIDTH - LEFT - 90) / max(map(per_second, rows))
    shapes, top, last = [], 30, None
    for row in rows:
        if row["work"] != last:
            top += 16
            shapes.append(f'<text class="t" x="8" y="{top}">{html.escape(row["work"])}</text>')
            top, last = top + 10, row["work"]
        colour, wide = COLOURS[row["program"].split(",")[0]], max(per_second(row) * scale, 1)
        shapes += [
            f'<text x="{LEFT - 8}" y="{top + 13}" text-anchor="end">{html.escape(row["program"])}</text>',
            f'<rect x="{LEFT}" y="{top}" width="{wide:.1f}" height="{BAR}" rx="2" fill="{colour}"/>',
            f'<text x="{LEFT + wide + 6:.1f}" y="{top + 13}">{per_second(row):,.0f}</text>',
        ]
        top += STEP
    title = "Events a CPU-second"
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{top + 8}" viewBox="0 0 {WIDTH} {top + 8}" role="img" aria-label="{title}">',
        f"<title>{title}</title>", f"<style>{STYLE}</style>",
        f'<text class="t" x="{LEFT}" y="20">{title}, longer is better</text>', *shapes, "</svg>", "",
    ])


if __name__ == "__main__":
    main()
