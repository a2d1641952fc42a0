#!/usr/bin/env python3
"""One incident of the bundled logs with a real model: what it was asked and said, what became of
that, and where each value came from.

usage: tests/llm/transcript.py [PROGRAM] > docs/model-transcript.txt

Starts the model of start-local-llm.sh, passes what the program asks on to it, and stops it. The
replies are those of a model of 135M parameters: they are poor, and that is what the bounds are for.
"""

import http.server
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import textwrap
import threading
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
SERVER = ROOT / "tests/llm/start-local-llm.sh"
LOG = ROOT / "fixtures/logs/flat-demo.json"


def main():
    program = sys.argv[1] if len(sys.argv) > 1 else str(ROOT / "target/debug/rulectl")
    told = subprocess.run([SERVER], check=True, capture_output=True, text=True).stdout
    model = dict(word.split("=", 1) for word in told.split())
    asked = []
    try:
        with tempfile.TemporaryDirectory() as folder:
            ran = run(program, model, pathlib.Path(folder), asked)
            show(model, asked, ran, pathlib.Path(folder) / "data")
    finally:
        if "already_running" not in model:
            subprocess.run([SERVER, "stop"], check=True, capture_output=True)


def run(program, model, folder, asked):
    """Runs the program against the model, with somebody between them who listens. The policy is the
    shipped one, with time for a slow machine, and room for a model that does not come to an end."""
    for part in ("rules", "prompts"):
        shutil.copytree(ROOT / part, folder / part)
    for part in ("routing.toml", "tools.yaml"):
        shutil.copy(ROOT / part, folder)
    for prompt in (folder / "prompts").glob("*.md"):
        text = re.sub("timeout: [0-9]+s", "timeout: 600s", prompt.read_text())
        prompt.write_text(re.sub("max_tokens: [0-9]+", "max_tokens: 900", text))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), between(model["base_url"], asked)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        words = ["run", "--events", LOG, "--slots", "live", "--llm-concurrency", "1"]
        words += ["--llm-model", model["model"], "--llm-base-url", f"http://127.0.0.1:{server.server_port}/v1"]
        clean = {name: value for name, value in os.environ.items() if not name.startswith("LLM_")}
        clean["LLM_TIMEOUT"] = "600s"
        ran = subprocess.run([program, *words], cwd=folder, env=clean, capture_output=True, text=True)
        server.shutdown()
    return ran


def between(base_url, asked):
    class Between(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["content-length"]))
            there = base_url.removesuffix("/v1") + self.path
            request = urllib.request.Request(there, body, {"content-type": "application/json"})
            with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request) as answer:
                said = answer.read()
            asked.append((json.loads(body), json.loads(said)))
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)

        def log_message(self, *_):
            pass

    return Between


def show(model, asked, ran, data):
    lines = {name: [json.loads(line) for line in (data / f"{name}.jsonl").open()] for name in ("findings", "risks", "routes", "incidents", "plans")}
    print(f"A transcript of a real run, made by tests/llm/transcript.py: `rulectl run --slots live` over")
    print(f"{LOG.relative_to(ROOT)}, with {model['model']} (135 million parameters) behind llama.cpp's server.")
    print("The policy is the shipped one, but that a call may take 600 s and 900 tokens. The replies are as")
    print("they came, whatever they are worth: long ones are shortened here, and nowhere else.")
    [incident] = lines["incidents"]
    finding = next(it for it in lines["findings"] if it["id"] == incident["finding_id"])
    risk = next(it for it in lines["risks"] if it["finding_id"] == finding["id"])
    heading("What the model was asked and answered")
    for number, (request, reply) in enumerate(asked, 1):
        slot = request["response_format"]["json_schema"]["name"]
        turns = request["messages"]
        what = "is asked to repair it" if len(turns) > 2 else "is asked"
        print(f"\n[{number}] for the slot `{slot}` the model {what}:")
        block(turns[-1]["content"])
        choice = reply["choices"][0]
        usage = reply["usage"]
        print(f"    … and answers ({choice['finish_reason']}, {usage['prompt_tokens']} tokens asked, {usage['completion_tokens']} said):")
        block(choice["message"]["content"], 16)
    heading("The route of the run: what was proposed, what the guardrails made of it")
    route(lines["routes"][0])
    heading("The finding that became an incident")
    print(f"    {finding['description']}")
    heading("Its risk, and where each value came from")
    for field in ("severity", "likelihood", "impact", "score", "rationale"):
        print(wrapped(f"{field:<11} {risk['provenance'][field]:<8}  {risk[field]}", 24))
    print(wrapped(f"promoted: {'; '.join(risk['promotion']['reasons'])}"))
    heading("The route of the incident: what was proposed, what the guardrails made of it")
    route(next(it for it in lines["routes"] if it.get("incident_id") == incident["id"]))
    heading("Its plan, and where each value came from")
    for plan in lines["plans"]:
        print(wrapped(f"goal: {plan['overall_goal']}"))
        for step in plan["steps"]:
            marks = [word for word, key in (("mandatory", "mandatory"), ("needs approval", "requires_human_approval")) if step[key]]
            print(f"    {step['step_id']:<24} {', '.join(marks)}")
        edits(plan)
        for field, source in plan.get("provenance", {}).items():
            print(f"    {field}: {source}")
        if plan.get("refused"):
            print(wrapped(f"refused: {plan['refused']}"))
        elif plan.get("notes"):
            print(wrapped(f"notes: {plan['notes']}"))
    heading("What the run says of it")
    for line in ran.stdout.split("Slots filled", 1)[-1:]:
        block("Slots filled" + line.split("\n\nArtifacts")[0])
    block(ran.stderr or "(nothing on standard error)")
    print(f"    exit code {ran.returncode}")


def route(route):
    for step in route["steps"]:
        whose = "proposed" if step["proposed"] else "added"
        print(wrapped(f"{step['agent_name']:<16} {whose:<9} {step['reason']}", 26))
    edits(route)
    if route.get("provenance"):
        print(f"    the reply: {route['provenance']}")
    if route.get("refused"):
        print(wrapped(f"refused: {route['refused']}"))


def edits(record):
    for edit in record.get("edits", []):
        what = edit.get("agent") or edit.get("step") or edit.get("step_id") or ""
        print(wrapped(f"edit: {edit['action']} {json.dumps(what, ensure_ascii=True)} by {edit['clause']}"))


def heading(text):
    print(f"\n{text}\n{'-' * len(text)}")


def block(text, most=1000):
    """Somebody else's text, each line marked, nothing in it that could deceive."""
    lines = text.splitlines() or [""]
    for line in lines[:most]:
        shown = "".join(c if c.isprintable() else json.dumps(c)[1:-1] for c in line)
        for part in textwrap.wrap(shown, 96, drop_whitespace=False) or [""]:
            print(f"    | {part}".rstrip())
    if len(lines) > most:
        print(f"    ({len(lines) - most} more lines)")


def wrapped(text, hang=2):
    return textwrap.fill(text, 104, initial_indent="    ", subsequent_indent=" " * (4 + hang))


if __name__ == "__main__":
    main()
