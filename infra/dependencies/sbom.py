"""Writes the software bill of materials (CycloneDX, JSON) of what is deployed: the crates that are linked into the Lambda
functions. Which these are, cargo says, without what only compiles or tests them; their licences stand in their manifests
and their hashes in Cargo.lock. The same sources give the same file, byte for byte.

    infra/dependencies/sbom [--arch arm64|x86_64] > petrel.cdx.json
"""

import argparse
import json
import subprocess
import sys
import tomllib
from pathlib import Path
from uuid import NAMESPACE_URL, uuid5

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import HashAlgorithm, HashType
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packageurl import PackageURL

ROOT = Path(__file__).resolve().parent.parent.parent
PACKAGE = "petrel-functions"
TARGETS = {"arm64": "aarch64-unknown-linux-gnu", "x86_64": "x86_64-unknown-linux-gnu"}


def cargo(*arguments: str) -> str:
    """What cargo prints."""
    return subprocess.run(["cargo", *arguments], cwd=ROOT, check=True, capture_output=True, text=True).stdout


def linked(target: str) -> list[tuple[int, str, str]]:
    """The crates that are linked in, as (depth, name, version), each below the one that asks for it. What was shown
    once is not opened again."""
    lines = cargo(
        "tree", "--package", PACKAGE, "--edges", "normal,no-proc-macro", "--target", target, "--locked",
        "--prefix", "depth", "--format", " {p}",
    ).splitlines()  # fmt: skip
    found = []
    for line in filter(None, lines):
        depth, name, version, *_ = line.split()
        found.append((int(depth), name, version.removeprefix("v")))
    return found


def hashes() -> dict[tuple[str, str], str]:
    """The SHA-256 of each crate that comes from a registry."""
    locked = tomllib.loads((ROOT / "Cargo.lock").read_text())["package"]
    return {(one["name"], one["version"]): one["checksum"] for one in locked if "checksum" in one}


def licences() -> dict[tuple[str, str], str]:
    """The licence expression of each crate. Older manifests say or with a slash."""
    packages = json.loads(cargo("metadata", "--format-version", "1", "--locked"))["packages"]
    spoken = lambda text: " OR ".join(part.strip() for part in text.split("/"))  # noqa: E731
    return {(one["name"], one["version"]): spoken(one["license"] or "") for one in packages}


def bill(arch: str) -> str:
    """The document."""
    known, licensed, factory = hashes(), licences(), LicenseFactory()
    bom, components, path = Bom(), {}, []
    edges: dict[Component, set[Component]] = {}
    for depth, name, version in linked(TARGETS[arch]):
        key = (name, version)
        if key not in components:
            if not licensed[key]:
                sys.exit(f"sbom: {name} {version} names no licence")
            ours = key not in known
            components[key] = Component(
                type=ComponentType.APPLICATION if name == PACKAGE else ComponentType.LIBRARY,
                name=name,
                version=version,
                bom_ref=f"{name}@{version}",
                purl=None if ours else PackageURL("cargo", name=name, version=version),
                hashes=[] if ours else [HashType(alg=HashAlgorithm.SHA_256, content=known[key])],
                licenses=[factory.make_from_string(licensed[key])],
            )
        component = components[key]
        path[depth:] = [component]
        edges.setdefault(component, set())
        if depth == 0:
            bom.metadata.component = component
        else:
            bom.components.add(component)
            edges[path[depth - 1]].add(component)
    for component, needs in edges.items():
        bom.register_dependency(component, needs)
    # Neither the time nor a number by chance: what says the same is the same.
    words = arch + "".join(sorted(f"{n}@{v}" for n, v in components))
    bom.serial_number = uuid5(NAMESPACE_URL, words)
    document = json.loads(JsonV1Dot6(bom).output_as_string())
    del document["metadata"]["timestamp"]
    return json.dumps(document, indent=2)


def main() -> None:
    """Prints the bill, or what is wrong with it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--arch", choices=TARGETS, default="arm64")
    text = bill(parser.parse_args().arch)
    if wrong := JsonStrictValidator(SchemaVersion.V1_6).validate_str(text):
        sys.exit(f"sbom: not CycloneDX: {wrong}")
    print(text)


main()
