"""Deploys template.yaml on LocalStack, to stay: `deploy stack` calls it. What the endpoint needs changed of the template is
in tests/acceptance/deviations.py."""

import argparse
import os
import platform
import sys
from pathlib import Path
from types import SimpleNamespace

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent / "tests" / "acceptance"))

import deviations  # noqa: E402
import emulator  # noqa: E402
import environment  # noqa: E402
import stack as stacks  # noqa: E402

from botocore.exceptions import BotoCoreError, ClientError  # noqa: E402


class Deployment(stacks.Stack):
    """A stack with a name and the operator's parameters."""

    def __init__(self, name, endpoint, binaries, parameters):
        architecture = platform.machine().replace("aarch64", "arm64")
        super().__init__(endpoint, SimpleNamespace(url=parameters["TokenIssuer"]), binaries, architecture)
        self.name = name
        self.chosen = parameters

    def parameters(self):
        ours = {"Architecture": self.architecture, "FcmArn": self.fcm_arn or "", "DeletionProtection": "false"}
        return ours | self.chosen


def pair(text):
    key, equals, value = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError(f"{text} is not KEY=VALUE")
    return key, value


def main():
    parser = argparse.ArgumentParser(prog="deploy stack")
    parser.add_argument("--endpoint-url", required=True)
    parser.add_argument("--issuer", required=True, help="the identity provider's https URL: the `iss` of its tokens")
    parser.add_argument("--audience", required=True, help="the `aud` of its tokens")
    parser.add_argument("--name", default="petrel", help="of the stack")
    parser.add_argument("--binaries", type=Path, default=environment.target() / "acceptance")
    parser.add_argument("parameters", nargs="*", type=pair, metavar="KEY=VALUE")
    options = parser.parse_args()

    os.environ.update({name: value for name, value in emulator.CREDENTIALS.items() if not os.environ.get(name)})
    parameters = {"TokenIssuer": options.issuer, "TokenAudience": options.audience} | dict(options.parameters)
    endpoint = deviations.localstack(options.endpoint_url)
    deployment = Deployment(options.name, endpoint, options.binaries, parameters)
    try:
        deployment.deploy()
    except (ClientError, BotoCoreError, stacks.Failed, OSError) as error:
        sys.exit(f"deploy: {error}")
    print(f"{options.name} is deployed.")
    print(f"WebSocket  {endpoint.socket_url(deployment.outputs)}")
    print(f"HTTP API   {endpoint.http_url(deployment.outputs)}")
    for name, value in sorted(deployment.outputs.items()):
        print(f"{name}  {value}")


if __name__ == "__main__":
    main()
