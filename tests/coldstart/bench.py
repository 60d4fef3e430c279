"""How long a function takes from the start of its process to its first answer, what it takes when warm, how much memory and
how much to upload: Petrel's `send` and the same handler in Node and in Python, by turns. `run` sets everything up."""

import argparse
import asyncio
import datetime
import importlib.metadata
import io
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import time
import zipfile
from dataclasses import asdict, dataclass
from pathlib import Path

import scenario
from stand_ins import Aws, Runtime, certificates, serve

HERE = Path(__file__).resolve().parent
# Seconds until a function that does not answer is given up.
PATIENCE = 60
# What the Python function would be deployed with.
PYTHON_PACKAGES = ["boto3", "botocore", "jmespath", "python-dateutil", "s3transfer", "six", "urllib3"]


@dataclass
class Contestant:
    """One implementation: how it is started, and what would be uploaded, by name in the archive."""

    name: str
    command: list[str]
    folder: Path
    files: dict[str, Path]


@dataclass
class Run:
    """One process, ms and KiB."""

    init: float
    first: float
    total: float
    warm: float
    memory: int
    bare: int


def contestants(petrel: Path, bundle: Path, python: Path) -> list[Contestant]:
    """Petrel's binary, the bundle for Node and the module for Python, in these folders or files."""
    python.mkdir(exist_ok=True)
    # A copy, for Python puts what it compiles beside it.
    handler = Path(shutil.copy(HERE / "python" / "handler.py", python))
    packages = {}
    for package in PYTHON_PACKAGES:
        for file in importlib.metadata.files(package) or []:
            if file.suffix != ".pyc" and ".." not in file.parts:
                packages[str(file)] = Path(str(file.locate()))
    interface = [sys.executable, "-m", "awslambdaric", "handler.handle"]
    return [
        Contestant("Petrel", [str(petrel)], petrel.parent, {"bootstrap": petrel}),
        Contestant("Node", ["node", str(bundle)], bundle.parent, {"index.mjs": bundle}),
        Contestant("Python", interface, python, {"handler.py": handler, **packages}),
    ]


async def measure(contestant: Contestant, ports: dict[str, int], aws: Aws, roots: Path, warm: int) -> Run:
    """Starts the function, gives it one message and then `warm` more, and checks what it did with each."""
    runtime = Runtime()
    env = scenario.environment(ports, await serve(runtime.answer), roots)
    aws.asked.clear()
    aws.bare = 0

    started = time.perf_counter()
    process = await asyncio.create_subprocess_exec(
        *contestant.command,
        cwd=contestant.folder,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    output = asyncio.ensure_future(process.stdout.read())
    try:
        await asyncio.wait_for(runtime.ready.wait(), PATIENCE)
        ready = time.perf_counter()
        times = []
        for number in range(1, warm + 2):
            event = json.dumps(scenario.event(number)).encode()
            before = time.perf_counter()
            runtime.events.put_nowait(event)
            outcome = await asyncio.wait_for(runtime.outcomes.get(), PATIENCE)
            times.append(time.perf_counter() - before)
            scenario.check(number, aws.asked, outcome)
            aws.asked.clear()
        memory = peak_memory(process.pid)
    except (AssertionError, TimeoutError) as error:
        process.kill()
        words = (await output).decode(errors="replace")
        raise SystemExit(f"coldstart: {contestant.name}: {error or 'no answer'}\n{words}") from error
    process.kill()
    await process.wait()
    await output
    ms = [1000 * each for each in times]
    init = 1000 * (ready - started)
    return Run(init, ms[0], init + ms[0], statistics.median(ms[1:]), memory, aws.bare)


def peak_memory(pid: int) -> int:
    """The most memory that the process has had, KiB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1])
    raise SystemExit("coldstart: /proc does not say how much memory a process had")


def zipped(files: dict[str, Path]) -> int:
    """Bytes of the archive that would be uploaded."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as out:
        for name, path in files.items():
            out.write(path, name)
    return len(archive.getvalue())


def machine() -> str:
    """The processor and how many of it."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.machine())
    return f"{os.cpu_count()} x {model}"


def version(command: list[str]) -> str:
    """What a program says of its version."""
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def summary(contestant: Contestant, runs: list[Run]) -> dict:
    """The medians of the runs."""
    middle = {key: statistics.median(asdict(run)[key] for run in runs) for key in asdict(runs[0])}
    sizes = {"zip": zipped(contestant.files), "unzipped": sum(path.stat().st_size for path in contestant.files.values())}
    return {"name": contestant.name, **middle, **sizes, "runs": [asdict(run) for run in runs]}


def table(results: list[dict]) -> str:
    """The results side by side, and how many times Petrel's the others are."""
    rows = [
        ("init: from the process's start until it asks for an event, ms", "init", 1, 1),
        ("first invocation, ms", "first", 1, 1),
        ("**init and first invocation, ms**", "total", 1, 1),
        ("warm invocation, ms", "warm", 1, 2),
        ("most memory, MiB", "memory", 1024, 1),
        ("to upload, MB zipped", "zip", 1e6, 2),
        ("the same unzipped, MB", "unzipped", 1e6, 2),
    ]
    petrel = results[0]
    lines = ["| median of each | " + " | ".join(result["name"] for result in results) + " |"]
    lines.append("| --- |" + " ---: |" * len(results))
    for title, key, unit, digits in rows:
        cells = []
        for result in results:
            times = result[key] / petrel[key]
            ratio = f" ({times:.{1 if times >= 1 else 2}f} x)" if result is not petrel else ""
            cells.append(f"{result[key] / unit:.{digits}f}{ratio}")
        lines.append(f"| {title} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


async def main() -> None:
    """Runs everything and prints and writes the results."""
    parser = argparse.ArgumentParser(prog="run", description=__doc__)
    parser.add_argument("--runs", type=int, default=25, help="processes of each (25)")
    parser.add_argument("--warm", type=int, default=20, help="invocations of each after its first (20)")
    parser.add_argument("--target", type=Path, required=True, help=argparse.SUPPRESS)
    parser.add_argument("--petrel", type=Path, required=True, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.runs < 1 or args.warm < 1:
        parser.error("--runs and --warm are 1 or more")

    tls, roots = certificates(args.target / "certificates")
    aws = Aws(scenario.answers)
    ports = {name: await serve(getattr(aws, name), tls) for name in ["dynamo", "gateway", "sqs"]}
    all_of_them = contestants(args.petrel, args.target / "node" / "index.mjs", args.target / "python")
    load = os.getloadavg()[0]
    runs: dict[str, list[Run]] = {contestant.name: [] for contestant in all_of_them}
    # One that is not counted first, so that each finds its files in memory; then by turns, so that what else the machine
    # does meets them all.
    for number in range(args.runs + 1):
        for contestant in all_of_them:
            run = await measure(contestant, ports, aws, roots, args.warm)
            if number > 0:
                runs[contestant.name].append(run)

    results = [summary(contestant, runs[contestant.name]) for contestant in all_of_them]
    about = {
        "date": datetime.date.today().isoformat(),
        "machine": machine(),
        "load_before": load,
        "runs": args.runs,
        "warm_invocations": args.warm,
        "node": version(["node", "--version"]),
        "python": platform.python_version(),
        "boto3": importlib.metadata.version("boto3"),
        "awslambdaric": importlib.metadata.version("awslambdaric"),
        "client-dynamodb": json.loads((HERE / "node" / "package.json").read_text())["dependencies"][
            "@aws-sdk/client-dynamodb"
        ],
    }
    (args.target / "results.json").write_text(json.dumps({**about, "results": results}, indent=1))
    print(", ".join(f"{name} {value}" for name, value in about.items()))
    print(f"every message was stored, delivered and answered by the same five calls; {args.target / 'results.json'}\n")
    print(table(results))


if __name__ == "__main__":
    asyncio.run(main())
