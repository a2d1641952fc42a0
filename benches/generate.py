#!/usr/bin/env python3
"""Write what the benchmarks read: events, rules, or sign-ins of very many accounts.

usage: generate.py events --count 100000 --out FILE
       generate.py accounts --count 1000000 --out FILE
       generate.py month --count 1000000 --out FILE
       generate.py rules --count 1000 --out FOLDER

The same words write the same bytes. `events` repeats the demo day (fixtures/logs):
each day 40 teams work through it, each with its own people, devices, addresses,
ids and digests, a little earlier or later than the others. Attacks come to every
tenth team a day, and some changes by administrators become other, rarer ones.
`accounts` has one failed sign-in of each of COUNT accounts, 2,000 a second, so
that the windows of a million are open together for some minutes.
`month` has COUNT sign-ins of 100,000 accounts within 30 days, of which each
hundredth fails and each fiftieth is from an address of its own.
`rules` fills in benches/rules.template.
"""
import argparse
import base64
import datetime
import hashlib
import itertools
import pathlib
import re

HERE = pathlib.Path(__file__).resolve().parent
DEMO_DAY = HERE.parent / "fixtures/logs/demo-day.ndjson"
FIRST_DAY = datetime.datetime(2026, 3, 2)
TEAMS = 40

# What differs from copy to copy. An id of a person or a device is the same each
# day; a digest, a session or a transaction is there once.
VARIES = re.compile(
    r'(?P<person>(?<=")(?:00u|0ua|guo|pfd)[A-Za-z0-9]{17}(?="))'
    r"|(?P<mail>@example\.com)"
    r"|(?P<address>(?:192\.0\.2|198\.51\.100|203\.0\.113)\.\d+)"
    r'|(?P<session>(?<=")[A-Za-z0-9]{25,27}(?="))'
    r'|(?P<digest>(?<=")(?:[0-9a-f]{32}|[0-9a-f]{64})(?="))'
    r'|(?P<uuid>(?<="uuid":")[0-9a-f]{8})'
    r'|(?P<published>(?<="published":")[^"]+)'
)
ATTACKER = re.compile(r'"ipAddress":"203\.0\.113\.')
CHANGE = '"eventType":"group.user_membership.add"'
RARE = [
    "application.lifecycle.update", "group.privilege.grant", "policy.lifecycle.update", "policy.rule.update",
    "system.api_token.create", "user.account.privilege.grant", "user.mfa.factor.deactivate", "zone.update",
]


def main():
    options = argparse.ArgumentParser(description="Write what the benchmarks read.")
    options.add_argument("what", choices=["events", "accounts", "month", "rules"])
    options.add_argument("--count", type=int, required=True)
    options.add_argument("--out", type=pathlib.Path, required=True)
    words = options.parse_args()
    if words.what == "rules":
        write_rules(words.count, words.out)
        return
    lines = {"events": events, "accounts": accounts, "month": lambda: month(words.count)}[words.what]()
    with open(words.out, "w", encoding="utf-8", newline="\n") as out:
        out.writelines(itertools.islice(lines, words.count))


# ------------------------------------------------------------------- events


def events():
    """The lines of one day after the other, each in the order of time."""
    pieces = [split(line) for line in DEMO_DAY.read_text(encoding="utf-8").splitlines(keepends=True)]
    for day in itertools.count():
        varied = itertools.chain.from_iterable(copy(pieces, day, team) for team in range(TEAMS))
        yield from (line for _, line in sorted(varied))


def split(line):
    """A line as texts that stay, each with the kind and the text of what varies behind it."""
    parts, at = [], 0
    for found in VARIES.finditer(line):
        parts.append((line[at : found.start()], found.lastgroup, found[0]))
        at = found.end()
    return parts, line[at:], bool(ATTACKER.search(line))


def copy(pieces, day, team):
    """A team's day: each event with its time."""
    label, attacked = f"{day} {team}", (day + team) % 10 == 0
    for number, (parts, end, attack) in enumerate(pieces):
        if attack and not attacked:
            continue
        text, time = [], ""
        for before, kind, old in parts:
            new = vary(kind, old, day, team, label)
            time = new if kind == "published" else time
            text += before, new
        line = "".join(text) + end
        if CHANGE in line and number_of(f"{label} {number}") % 3 == 0:
            line = line.replace(CHANGE, f'"eventType":"{RARE[number_of(line) % len(RARE)]}"')
        yield time, line


def vary(kind, old, day, team, label):
    match kind:
        case "person":
            return old[:3] + letters(f"{team} {old}", 17)
        case "mail":
            return f"@team{team}.example.com"
        case "address":
            return f"198.{18 + number_of(old) % 2}.{team}.{old.rsplit('.', 1)[1]}"
        case "session":
            return letters(f"{label} {old}", len(old))
        case "published":
            return moved(old, day, team)
        case _:
            return digest(f"{label} {old}")[: len(old)]


def moved(published, day, team):
    """The time on another day, up to 50 minutes later."""
    time = datetime.datetime.fromisoformat(published.removesuffix("Z"))
    time += datetime.timedelta(days=day, milliseconds=number_of(f"{day} {team} shift") % 3_000_000)
    return time.isoformat(timespec="milliseconds") + "Z"


def digest(label):
    return hashlib.blake2b(label.encode(), digest_size=32).hexdigest()


def letters(label, length):
    return base64.b64encode(hashlib.blake2b(label.encode()).digest(), altchars=b"Zz")[:length].decode()


def number_of(label):
    return int(digest(label)[:12], 16)


# ----------------------------------------------------------------- accounts


def accounts():
    for number in itertools.count():
        time = FIRST_DAY + datetime.timedelta(microseconds=500 * number)
        yield (
            f'{{"uuid":"{number:08x}-8d7c-11f1-8c53-06d7b1b1a1a1","published":"{time.isoformat(timespec="microseconds")}Z","eventType":"user.session.start",'
            f'"outcome":{{"result":"FAILURE"}},"actor":{{"alternateId":"user{number}@example.com"}}}}\n'
        )


# -------------------------------------------------------------------- month

ACCOUNTS = 100_000


def month(count):
    """So many sign-ins within 30 days, each account in its turn."""
    between = datetime.timedelta(days=30) / count
    for number in range(count):
        time = FIRST_DAY + number * between
        # The accounts take turns in an order of their own, so that neighbours in time are not neighbours in number.
        account = number * 7_919 % ACCOUNTS
        result = "FAILURE" if number % 100 == 0 else "SUCCESS"
        address = f"198.19.{number // 50 % 256}.1" if number % 50 == 7 else f"198.18.{account % 7}.1"
        yield (
            f'{{"uuid":"{number:08x}-8d7c-11f1-8c53-06d7b1b1a1a1","published":"{time.isoformat(timespec="microseconds")}Z","eventType":"user.session.start",'
            f'"outcome":{{"result":"{result}"}},"actor":{{"alternateId":"user{account}@example.com"}},"client":{{"ipAddress":"{address}"}}}}\n'
        )


# -------------------------------------------------------------------- rules


def write_rules(count, folder):
    """Rules that depend on their number alone."""
    head, *kinds = (HERE / "rules.template").read_text(encoding="utf-8").split("--- ")
    times_and_texts = [kind.split("\n", 1) for kind in kinds]
    kinds = [text for times, text in times_and_texts for _ in range(int(times))]
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        text = head + kinds[number % len(kinds)]
        for name, value in {"number": number, "high": number // 256 % 256, "low": number % 256}.items():
            text = text.replace(f"{{{name}}}", str(value))
        (folder / f"generated_{number}.yml").write_text(text, encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()
