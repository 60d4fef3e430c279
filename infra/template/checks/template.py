"""The expanded template as the checks see it, and what lies beside it. Knows no rule."""

import json
import re
from pathlib import Path

ROOT = Path(__file__).parents[3]
NO_VALUE = {"Ref": "AWS::NoValue"}


class Template:
    """The expanded template, and what lies beside it."""

    def __init__(self, expanded, operations):
        self.parameters = expanded.get("Parameters", {})
        self.rules = expanded.get("Rules", {})
        self.conditions = expanded.get("Conditions", {})
        self.outputs = expanded.get("Outputs", {})
        self.resources = expanded["Resources"]
        self.operations = operations
        self.keys = (ROOT / "shared/aws/src/keys.rs").read_text(encoding="utf-8")
        self.media = (ROOT / "functions/src/media.rs").read_text(encoding="utf-8")

    def of(self, kind):
        """(logical id, properties) of every resource of a type."""
        return [(name, r.get("Properties", {})) for name, r in self.resources.items() if r["Type"] == kind]

    def functions(self):
        return self.of("AWS::Lambda::Function")

    def properties(self, name):
        return self.resources.get(name, {}).get("Properties", {})

    def statements(self, document):
        """(statement, the condition it stands under or None) of a policy document."""
        found = document.get("Statement", [])
        for statement in found if isinstance(found, list) else [found]:
            if "Fn::If" in statement:
                condition, yes, no = statement["Fn::If"]
                yield yes, condition
                if no != NO_VALUE:
                    yield no, f"not {condition}"
            else:
                yield statement, None

    def key(self, name):
        """What shared/aws/src/keys.rs calls so."""
        found = re.search(rf'^pub const {name}: &str = "(.*)";$', self.keys, flags=re.MULTILINE)
        return found[1] if found else None

    def table(self, heading):
        """The rows of the first table below a heading of docs/operations.md, as lists of cells without backticks."""
        below = re.split(rf"^#+ {re.escape(heading)}$", self.operations, maxsplit=1, flags=re.MULTILINE)
        rows = []
        for line in below[1].splitlines() if len(below) == 2 else []:
            if line.startswith("|"):
                rows.append([cell.strip().replace("`", "") for cell in line.strip().strip("|").split("|")])
            elif rows:
                break
        return rows[:1] + rows[2:]


def arn(name):
    return {"Fn::GetAtt": [name, "Arn"]}


def mentions(value, name):
    """Whether a Ref, GetAtt or Sub somewhere in `value` names the resource."""
    text = json.dumps(value)
    return f'{{"Ref": "{name}"}}' in text or f'"Fn::GetAtt": ["{name}"' in text or f"${{{name}" in text
