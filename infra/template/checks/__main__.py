"""Runs every check.

    python -m checks expanded.json operations.md
"""

import json
import sys

from . import CHECKS, Template, run


def main(expanded, operations):
    with open(expanded, encoding="utf-8") as template, open(operations, encoding="utf-8") as text:
        t = Template(json.load(template), text.read())
    off = [(check.__name__, what) for check in CHECKS for what in run(check, t)]
    for check, what in off:
        print(f"{check}: {what}", file=sys.stderr)
    if off:
        sys.exit(f"the template is off in {len(off)} places")
    print(f"{len(CHECKS)} checks hold")


if __name__ == "__main__":
    main(*sys.argv[1:])
