"""Expands a SAM template as a deployment would, without an account and without a network.

    expand.py template.yaml [Name=value ...] > expanded.json

Parameters without a value here or in the template get an example, for SAM puts their values into what it makes. The
code's place is an example too: `sam package` fills it in.
"""

import json
import os
import sys

# SAM asks a session for its region to know the partition; it makes no call.
os.environ.setdefault("AWS_DEFAULT_REGION", "us-east-1")

from samtranslator.public.exceptions import InvalidDocumentException  # noqa: E402
from samtranslator.translator.transform import transform  # noqa: E402
from samtranslator.yaml_helper import yaml_parse  # noqa: E402

CODE = "s3://example/code"


class NoManagedPolicies:
    """SAM looks up managed policies by name with a call to IAM. The template names none."""

    def load(self):
        return {}


def example(parameter):
    return "https://issuer.example" if "https" in parameter.get("AllowedPattern", "") else "example"


def expand(path, values=None):
    """The CloudFormation template that SAM makes of the one at `path`."""
    with open(path, encoding="utf-8") as file:
        template = yaml_parse(file)
    parameters = template.get("Parameters", {})
    given = {name: parameter.get("Default", example(parameter)) for name, parameter in parameters.items()}
    given.update(values or {})
    functions = [template.get("Globals", {}).get("Function", {})]
    functions += [
        resource["Properties"]
        for resource in template["Resources"].values()
        if resource["Type"] == "AWS::Serverless::Function"
    ]
    for function in functions:
        if "CodeUri" in function:
            function["CodeUri"] = CODE
    return transform(template, given, NoManagedPolicies())


def main(path, *values):
    try:
        expanded = expand(path, dict(value.split("=", 1) for value in values))
    except InvalidDocumentException as error:
        causes = "\n".join(f"  {cause.message}" for cause in error.causes)
        sys.exit(f"SAM does not accept {path}:\n{causes}")
    # Sorted, and a line for each value, so that a difference from the snapshot reads well.
    json.dump(expanded, sys.stdout, indent=1, sort_keys=True, ensure_ascii=False)
    print()


if __name__ == "__main__":
    main(*sys.argv[1:])
