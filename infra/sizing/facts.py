"""What the sizing is computed from, read where it stands: units and calls of each operation in docs/costs.md (held by a
test), times in docs/architecture.md, memory and limits in template.yaml, AWS's quotas and prices in aws.json."""

import json
import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


class FactError(Exception):
    """A file does not say what it must; one line that names both."""


@dataclass(frozen=True)
class Bill:
    """What one operation asks of AWS."""

    calls: dict
    writes: float
    reads: float

    @property
    def posts(self):
        return self.calls.get("PostToConnection", 0)

    @property
    def queued(self):
        """Requests to SQS."""
        return self.calls.get("SendMessageBatch", 0)

    @property
    def publishes(self):
        return self.calls.get("Publish", 0)


def read(path):
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise FactError(f"{path}: cannot be read: {error.strerror}") from None


def table(text, heading, path):
    """The rows of the first table below a heading, each as a list of cells, without the two of its head."""
    _, found, section = text.partition(f"\n{heading}\n")
    if not found:
        raise FactError(f"{path}: has no heading {heading!r}")
    rows, began = [], False
    for line in section.splitlines():
        if line.startswith("|"):
            began = True
            rows.append([cell.strip() for cell in line.strip("|").split("|")])
        elif began or line.startswith("## "):
            break
    if len(rows) < 3:
        raise FactError(f"{path}: {heading!r} has no table")
    return rows[2:]


def number(cell, where):
    try:
        return float(cell.strip("* "))
    except ValueError:
        raise FactError(f"{where}: {cell!r} is not a number") from None


def bills(path=ROOT / "docs/costs.md"):
    """Each measured operation by its name."""
    found = {}
    for cells in table(read(path), "## Measured", path):
        if len(cells) != 5:
            raise FactError(f"{path}: a row of '## Measured' has {len(cells)} cells, not 5: {cells[0]!r}")
        name, count, calls, writes, reads = cells
        where = f"{path}: {name!r}"
        by_api = {}
        for call in [] if calls == "none" else calls.split(", "):
            times, _, api = call.rpartition(" ")
            by_api[api] = int(number(times or "1", where))
        if sum(by_api.values()) != number(count, where):
            raise FactError(f"{where}: names {sum(by_api.values())} calls and counts {count}")
        found[name] = Bill(by_api, number(writes, where), number(reads, where))
    return found


@dataclass(frozen=True)
class Hop:
    """How long one step may take, milliseconds. A budget, not a measurement."""

    p50: float
    p99: float


def hops(path=ROOT / "docs/architecture.md"):
    """The latency budget by the name of the step. Both of its tables, the second for large groups."""
    found = {}
    text = read(path)
    _, _, section = text.partition("\n## Latency budget on AWS\n")
    for line in section.partition("\n## ")[0].splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("|") and len(cells) == 3 and re.fullmatch(r"[\d.]+", cells[1]):
            where = f"{path}: {cells[0]!r}"
            found[cells[0]] = Hop(number(cells[1], where), number(cells[2], where))
    if not found:
        raise FactError(f"{path}: '## Latency budget on AWS' has no table of p50 and p99")
    return found


@dataclass(frozen=True)
class Template:
    """What the template gives functions, and the defaults of its parameters."""

    memory: dict
    parameters: dict


def template(path=ROOT / "template.yaml"):
    """Reads the few lines that are needed; the template's own checks read it whole."""
    text = read(path)

    def memory_in(block, default=None):
        sizes = re.findall(r"^\s+MemorySize: (\d+)", block, re.MULTILINE)
        return int(sizes[0]) if sizes else default

    globals_ = re.search(r"^Globals:\n((?: .*\n|\n|#.*\n)*)", text, re.MULTILINE)
    default = memory_in(globals_.group(1)) if globals_ else None
    blocks = re.findall(r"^  (\w+)Function:\n((?:    .*\n|\n)*)", text, re.MULTILINE)
    memory = {name.lower(): memory_in(block, default) for name, block in blocks}
    for name in ("authorizer", "connect", "send", "ack", "sync", "signal", "fanout", "push"):
        if memory.get(name) is None:
            raise FactError(f"{path}: no MemorySize for the function {name!r}")
    section = re.search(r"^Parameters:\n((?:  .*\n|\n)*)", text, re.MULTILINE)
    parameters = {}
    if section:
        for name, block in re.findall(r"^  (\w+):\n((?:    .*\n)*)", section.group(1), re.MULTILINE):
            value = re.search(r"^    Default: (\d+)$", block, re.MULTILINE)
            if value:
                parameters[name] = int(value.group(1))
    for name in ("WebSocketRateLimit", "PushMaximumConcurrency"):
        if name not in parameters:
            raise FactError(f"{path}: the parameter {name!r} has no number as its default")
    return Template(memory, parameters)


@dataclass(frozen=True)
class Facts:
    """All of it."""

    bills: dict
    hops: dict
    template: Template
    quotas: dict
    prices: dict
    recorded: str
    region: str

    def bill(self, name):
        if name not in self.bills:
            raise FactError(f"docs/costs.md: '## Measured' has no row {name!r}")
        return self.bills[name]

    def hop(self, name):
        if name not in self.hops:
            raise FactError(f"docs/architecture.md: '## Latency budget on AWS' has no row {name!r}")
        return self.hops[name]

    def quota(self, name):
        return self.quotas[name]["value"]

    def price(self, name, amount):
        return amount * self.prices[name]["value"] / self.prices[name]["per"]


def load(root=ROOT):
    """Everything, from a checkout of Petrel."""
    path = root / "infra/sizing/aws.json"
    try:
        aws = json.loads(read(path))
    except json.JSONDecodeError as error:
        raise FactError(f"{path}: is not JSON: {error}") from None
    return Facts(
        bills(root / "docs/costs.md"),
        hops(root / "docs/architecture.md"),
        template(root / "template.yaml"),
        aws["quotas"],
        aws["prices"],
        aws["recorded"],
        aws["region"],
    )
