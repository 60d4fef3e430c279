#!/usr/bin/env python3
"""Which of AWS's quotas a load needs, and what it costs a month. Needs Python 3.10 or newer and nothing else.

  infra/sizing/quotas.py --users 250000 --messages 30      one load, as Markdown
  infra/sizing/quotas.py --users 10000,1000000             two loads side by side
  infra/sizing/quotas.py --json
  infra/sizing/quotas.py --write docs/operations/quotas.md   renews the tables of the guide
  infra/sizing/quotas.py --check docs/operations/quotas.md   fails if they are out of date
"""

import argparse
import dataclasses
import difflib
import json
import math
import sys
from pathlib import Path

import facts as fact_files
from model import FUNCTIONS, Load, LoadError, milliseconds, size

BEGIN, END = "<!-- quotas.py begins -->", "<!-- quotas.py ends -->"
DOCUMENTED = (10_000, 100_000, 1_000_000)


def short(x):
    """Three digits are more than the inputs are worth."""
    if x == 0:
        return "0"
    if x < 10:
        return f"{x:.2g}"
    return f"{round(x, 2 - math.floor(math.log10(x))):,.0f}"


def ask(x):
    """Rounded up to two digits: nobody asks AWS for 1,234."""
    if x <= 1:
        return 1
    unit = 10 ** max(math.floor(math.log10(x)) - 1, 0)
    return math.ceil(round(x / unit, 9)) * unit


def quota_rows(sizing, facts):
    """Each limit: its name, what the peak takes, what there is, and who sets it."""
    peak, storm = sizing.peak, sizing.storm
    quota = facts.quota
    parameters = facts.template.parameters
    busiest = max(peak.frames[route] + storm.frames[route] for route in peak.frames)
    return [
        ("connects/s", peak.connects + storm.connects, quota("connects_per_second"), "AWS"),
        ("API Gateway requests/s", peak.requests + storm.requests, quota("gateway_requests_per_second"), "AWS"),
        ("Lambda functions at once", sum(sizing.running.values()), quota("lambda_concurrency"), "AWS"),
        ("read units/s, all tables", peak.reads + storm.reads, quota("table_reads_per_second"), "AWS, a table"),
        ("read units/s, a new table", peak.reads + storm.reads, quota("warm_reads_per_second"), "warm throughput"),
        ("write units/s, all tables", peak.writes + storm.writes, quota("table_writes_per_second"), "AWS, a table"),
        ("write units/s, a new table", peak.writes + storm.writes, quota("warm_writes_per_second"), "warm throughput"),
        ("fan-out functions at once", sizing.running["fanout"], quota("queue_concurrency"), "AWS, fixed"),
        ("push functions at once", sizing.running["push"], parameters["PushMaximumConcurrency"], "`PushMaximumConcurrency`"),
        ("SNS publishes/s", peak.publishes, quota("publishes_per_second"), f"AWS ({facts.region})"),
        ("frames/s of the busiest route", busiest, parameters["WebSocketRateLimit"], "`WebSocketRateLimit`"),
    ]


def verdict(need, there, headroom):
    return "enough" if need * headroom <= there else f"**raise to {ask(need * headroom):,}**"


def row(cells):
    return "| " + " | ".join(cells) + " |"


def heading(first, sizings):
    names = [f"{s.load.users:,.0f} users a day" for s in sizings]
    return [row([first, *names]), row(["---"] + ["---:"] * len(names))]


def markdown(sizings, facts):
    lines = ["**Assumed** (each can be set, `--help` says how):", ""]
    lines += ["| input | value | meaning |", "| --- | ---: | --- |"]
    for f in dataclasses.fields(Load):
        if f.name != "users":
            values = {f"{getattr(s.load, f.name):g}" for s in sizings}
            lines.append(row([f"`{f.name}`", ", ".join(sorted(values)), f.metadata["what"]]))
    lines += ["", "**At the busiest second:**", "", *heading("what", sizings)]
    measures = [
        ("sockets open", lambda s: s.online),
        ("messages sent/s", lambda s: s.peak.frames["send"]),
        ("connects/s", lambda s: s.peak.connects),
        ("more connects/s when all sockets ended at once", lambda s: s.storm.connects),
        ("frames in/s", lambda s: sum(s.peak.frames.values())),
        ("@connections posts/s", lambda s: s.peak.posts),
        ("read units/s", lambda s: s.peak.reads),
        ("write units/s", lambda s: s.peak.writes),
        ("SQS messages/s, fan-out", lambda s: s.peak.fanout_jobs),
        ("SQS messages/s, push", lambda s: s.peak.push_jobs),
        ("SNS publishes/s", lambda s: s.peak.publishes),
    ]
    lines += [row([name, *(short(measure(s)) for s in sizings)]) for name, measure in measures]
    each = facts.quota("lambda_requests_per_environment")
    lines += ["", "**Lambda functions at once**, a reconnect storm included: runs a second × the time at p99 in the latency"]
    lines += [f"budget, or runs a second / {each} where that is more:", ""]
    names = [f"{s.load.users:,.0f} users a day" for s in sizings]
    lines += [row(["function", "ms", *names]), row(["---", "---:"] + ["---:"] * len(names))]
    for f in FUNCTIONS:
        running = [short(math.ceil(s.running[f])) for s in sizings]
        lines.append(row([f"`{f}`", f"{milliseconds(facts, f, 'p99'):g}", *running]))
    headroom = sizings[0].load.headroom
    lines += ["", f"**Limits**: the peak and a reconnect storm together; enough if the default holds {headroom:g} times that:"]
    lines += [""]
    lines += [row(["limit", "set by", "default", *names]), row(["---", "---", "---:"] + ["---"] * len(names))]
    rows = [quota_rows(s, facts) for s in sizings]
    for same in zip(*rows):
        name, _, there, who = same[0]
        cells = [f"{short(r[1])}, {verdict(r[1], r[2], s.load.headroom)}" for r, s in zip(same, sizings)]
        lines.append(row([name, who, f"{there:,}", *cells]))
    lines += ["", "**Dollars a month** of 30 such days:", "", *heading("service", sizings)]
    for name in sizings[0].dollars:
        lines.append(row([name, *(short(s.dollars[name]) for s in sizings)]))
    totals = [sum(s.dollars.values()) for s in sizings]
    lines.append(row(["**sum**", *(f"**{short(total)}**" for total in totals)]))
    lines.append(row(["a user and month", *(f"{t / s.load.users:.3f}" for t, s in zip(totals, sizings))]))
    hot = short(sizings[0].hot_group)
    lines += ["", f"One group of 1000 takes {hot} messages a second until the reads of its own partition are throttled."]
    return "\n".join(lines) + "\n"


def sources(facts):
    """AWS's figures with the page that each is from."""
    lines = [f"AWS's figures as of {facts.recorded}, prices of {facts.region}:", ""]
    lines += ["| figure | value | from |", "| --- | ---: | --- |"]
    for entry in facts.quotas.values():
        lines.append(row([entry["what"], f"{entry['value']:,}", f"[AWS]({entry['source']})"]))
    for entry in facts.prices.values():
        per = f" / {entry['per']:,}" if entry["per"] > 1 else ""
        value = f"{entry['value']:.10f}".rstrip("0").rstrip(".")
        lines.append(row([entry["what"], f"${value}{per}", f"[AWS]({entry['source']})"]))
    return "\n".join(lines) + "\n"


def document(facts):
    sizings = [size(Load(users=users), facts) for users in DOCUMENTED]
    return markdown(sizings, facts) + "\n" + sources(facts)


def renewed(text, path, facts):
    """The guide with its tables made anew."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise fact_files.FactError(f"{path}: has no lines {BEGIN!r} and {END!r}")
    return f"{before}{BEGIN}\n\n{document(facts)}\n{END}{after}"


def as_json(sizings, facts):
    out = []
    for s in sizings:
        quotas = [
            {"limit": name, "peak": need, "default": there, "set_by": who, "enough": need * s.load.headroom <= there,
             "ask_for": None if need * s.load.headroom <= there else ask(need * s.load.headroom)}
            for name, need, there, who in quota_rows(s, facts)
        ]
        out.append({
            "load": dataclasses.asdict(s.load), "sockets": s.online, "peak": dataclasses.asdict(s.peak),
            "storm": dataclasses.asdict(s.storm), "lambda_at_once": s.running, "quotas": quotas,
            "hot_group_messages_per_second": s.hot_group, "dollars_a_month": s.dollars,
        })
    return json.dumps(out, indent=2)


def numbers(text):
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number, nor several with commas") from None


def arguments(argv):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    group = parser.add_argument_group("the load")
    for f in dataclasses.fields(Load):
        kind = numbers if f.name == "users" else float
        text = f"{f.metadata['what']} ({f.metadata['low']:g} to {f.metadata['high']:g}; {f.default:g})"
        group.add_argument(f"--{f.name.replace('_', '-')}", type=kind, metavar="N", help=text)
    out = parser.add_mutually_exclusive_group()
    out.add_argument("--json", action="store_true", help="JSON instead of Markdown")
    out.add_argument("--write", type=Path, metavar="FILE", help="renew the tables between the marks in this file")
    out.add_argument("--check", type=Path, metavar="FILE", help="fail if they are out of date")
    given = parser.parse_args(argv)
    names = [f.name for f in dataclasses.fields(Load) if getattr(given, f.name) is not None]
    if names and (given.write or given.check):
        parser.error(f"the guide's tables are of the default load; leave out {', '.join('--' + n for n in names)}")
    return given, {name: getattr(given, name) for name in names}


def main(argv=None):
    given, load = arguments(argv)
    try:
        facts = fact_files.load()
        path = given.write or given.check
        if path:
            text = fact_files.read(path)
            fresh = renewed(text, path, facts)
            if given.write:
                path.write_text(fresh, encoding="utf-8")
            elif fresh != text:
                lines = difflib.unified_diff(text.splitlines(), fresh.splitlines(), str(path), "as computed", lineterm="")
                print("\n".join(lines))
                print(f"{path}: out of date; renew it with infra/sizing/quotas.py --write {path}", file=sys.stderr)
                return 1
            return 0
        users = load.pop("users", [Load.users])
        sizings = [size(Load(users=n, **load), facts) for n in users]
    except (LoadError, fact_files.FactError, OSError) as error:
        print(f"quotas.py: {error}", file=sys.stderr)
        return 2
    print(as_json(sizings, facts) if given.json else markdown(sizings, facts), end="\n" if given.json else "")
    return 0


if __name__ == "__main__":
    sys.exit(main())
