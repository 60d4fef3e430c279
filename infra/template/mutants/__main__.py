"""Breaks the expanded template in one place at a time, and wants the check that is for it to say so.

    python -m mutants expanded.json operations.md

A check that finds none of its mutants holds nothing.
"""

import copy
import json
import sys

from checks import CHECKS, Template, run

from . import MUTANTS
from . import apis, deployment, functions, observability, storage  # noqa: F401  each registers its own


def main(expanded, operations):
    with open(expanded, encoding="utf-8") as template, open(operations, encoding="utf-8") as text:
        original, written = json.load(template), text.read()
    checks = {check.__name__: check for check in CHECKS}
    survived = [f"{name} has no mutant" for name in checks if name not in {check for check, _, _ in MUTANTS}]
    for check, name, breaks in MUTANTS:
        t = Template(copy.deepcopy(original), written)
        before = run(checks[check], t)
        breaks(t.resources, t)
        if run(checks[check], t) == before:
            survived.append(f"{check} does not notice {name}")
    for what in survived:
        print(what, file=sys.stderr)
    if survived:
        sys.exit(f"{len(survived)} mutants survived")
    print(f"{len(MUTANTS)} mutants found")


if __name__ == "__main__":
    main(*sys.argv[1:])
