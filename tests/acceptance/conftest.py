"""What the tests are given: an endpoint with the stack on it, and users. The options are in README.md."""

import atexit
import json
import os
import platform
import signal
import socket
import time
import urllib.request
import uuid
from pathlib import Path

import botocore.exceptions
import pytest

import certificates as certificate_files
import client
import deviations
import emulator
import environment
import issuer as issuers
import recorder as recorders
import stack as stacks


def pytest_addoption(parser):
    group = parser.getgroup("petrel")
    group.addoption("--endpoint-url", help="deploy there, not on an emulator of our own")
    group.addoption("--aws", action="store_true", help="deploy on AWS, with the credentials of the environment. Costs money")
    group.addoption("--issuer", help="URL below which the issuer's documents are published (see README.md)")
    group.addoption("--issuer-key", type=Path, help="the private key to those, PEM")
    group.addoption("--fcm-arn", help="an SNS platform application; without it one is made, except on AWS")
    group.addoption("--binaries", type=Path, help="the functions' binaries: <name> or <name>/bootstrap")
    group.addoption("--architecture", choices=["x86_64", "arm64"], help="of the binaries; the default is this machine's")


# ------------------------------------------------------------------------------------------------------------- skips


def pytest_configure(config):
    # Told to end, we take the stack and the emulator down first, as after Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    config.endpoint = endpoint_of(config)
    config.skips = []


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: item.get_closest_marker("last") is not None)


def pytest_runtest_setup(item):
    for marker in item.iter_markers("needs"):
        (word,) = marker.args
        if word in item.config.endpoint.lacks:
            pytest.skip(f"{item.config.endpoint.kind}: {item.config.endpoint.lacks[word]}")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    if report.skipped and call.when == "setup":
        named = any(m.args[0] in item.config.endpoint.lacks for m in item.iter_markers("needs"))
        item.config.skips.append((item.nodeid, str(call.excinfo.value), named))
    elif report.skipped:
        item.config.skips.append((item.nodeid, "skipped by itself", False))
    elif report.failed and call.when == "call" and "stack" in item.funcargs:
        report.sections.append(("functions' warnings and errors", complaints(item.funcargs["stack"], call.duration)))


def complaints(stack, since_s):
    """What the functions had to say while a test ran."""
    lines = []
    for function in stack.binary_names():
        try:
            logged = stack.logged(function, since_s + 1)
        except botocore.exceptions.ClientError as error:
            logged = [f"WARN no logs: {error}"]
        lines += [f"{function}: {line[:1000]}" for line in logged if "WARN" in line or "ERROR" in line]
    return "\n".join(lines[-40:]) or "none"


def pytest_terminal_summary(terminalreporter, config):
    passed = len(terminalreporter.stats.get("passed", []))
    where = config.endpoint.url or config.endpoint.kind
    terminalreporter.section(f"on {config.endpoint.kind} ({where})")
    terminalreporter.line(f"{passed} tests passed, {len(config.skips)} were not run here:")
    if client.BUSY:
        terminalreporter.line(f"{len(client.BUSY)} answers said busy, and the same was asked for again: {client.BUSY}")
    for node, reason, named in config.skips:
        terminalreporter.line(f"  {node}: {reason}{'' if named else ' -- NOT IN deviations.py'}")


def pytest_sessionfinish(session, exitstatus):
    # A skip that deviations.py does not name is a test that does not run and that nobody knows of.
    if exitstatus == 0 and any(not named for _, _, named in session.config.skips):
        session.exitstatus = 1
    # On an emulator that is the machine's load; AWS has no reason to.
    if exitstatus == 0 and client.BUSY and session.config.endpoint.kind == "aws":
        session.exitstatus = 1


# ---------------------------------------------------------------------------------------------------------- the stack


def endpoint_of(config):
    """Which kind of AWS it is. Ours is started later, and has its URL then."""
    url = config.getoption("--endpoint-url")
    if config.getoption("--aws"):
        return deviations.aws()
    if not url:
        return deviations.ministack()
    url = url.rstrip("/")
    for path, kind in [("/_ministack/health", deviations.ministack), ("/_localstack/health", deviations.localstack)]:
        try:
            with urllib.request.urlopen(url + path, timeout=5) as response:
                if "services" in json.load(response):
                    return kind(url)
        except (OSError, ValueError):
            continue
    raise pytest.UsageError(f"{url} is neither ministack nor LocalStack; deviations.py knows no other")


@pytest.fixture(scope="session")
def anyio_backend():
    return "asyncio"


@pytest.fixture(scope="session")
def endpoint(pytestconfig):
    return pytestconfig.endpoint


@pytest.fixture(scope="session")
def certificates(tmp_path_factory):
    return certificate_files.make(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="session")
def issuer(pytestconfig, certificates):
    url, key = pytestconfig.getoption("--issuer"), pytestconfig.getoption("--issuer-key")
    if url:
        yield issuers.Issuer(url, issuers.load_key(key))
        return
    if pytestconfig.endpoint.url or pytestconfig.endpoint.kind == "aws":
        raise pytest.UsageError("another endpoint needs --issuer and --issuer-key: README.md says how")
    with issuers.LoopbackIssuer(certificates) as issuer:
        yield issuer


@pytest.fixture(scope="session")
def recorder(endpoint):
    """Sees the pushes; None where we cannot stand in the way."""
    if endpoint.url:
        yield None
        return
    with recorders.Recorder() as recorder:
        yield recorder


@pytest.fixture(scope="session")
def receiver():
    """Where webhooks would arrive, did the product go there: at this machine's loopback."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        yield listener


@pytest.fixture(scope="session")
def place(endpoint, certificates, issuer, recorder):
    """The endpoint, answering. Ours ends with the session."""
    if endpoint.kind == "aws":
        yield endpoint
        return
    if endpoint.url:
        for name, value in emulator.CREDENTIALS.items():
            os.environ.setdefault(name, value)
        yield endpoint
        return
    ours = emulator.Emulator(emulator.free_port(), certificates)
    # An interrupt may end pytest before it comes to the fixtures' ends.
    atexit.register(ours.stop)
    recorder.forward_to(ours)
    try:
        # It checks signatures and policies: a function may do what its role allows, and the queues' policies want TLS.
        # Functions inherit the second, and so reach SNS through what records their publishes.
        ours.start({"AUTH": "true", "AWS_ENDPOINT_URL_SNS": recorder.url})
        endpoint.url, endpoint.authority = ours.url, certificates.authority
        os.environ.update(emulator.CREDENTIALS)
        yield endpoint
    finally:
        ours.stop()


@pytest.fixture(scope="session")
def stack(pytestconfig, place, issuer, receiver):
    """The product, deployed."""
    began = time.monotonic()
    binaries = pytestconfig.getoption("--binaries") or environment.target() / "acceptance"
    architecture = pytestconfig.getoption("--architecture") or platform.machine().replace("aarch64", "arm64")
    # Written so, the name looks like no address of this machine's, until it is resolved.
    webhook_url = f"https://LOCALHOST:{receiver.getsockname()[1]}/events"
    fcm_arn = pytestconfig.getoption("--fcm-arn")
    stack = stacks.Stack(place, issuer, webhook_url, binaries, architecture, fcm_arn)
    atexit.register(stack.clean_up)
    try:
        stack.deploy()
        # Each event would be tried for a day. test_webhooks.py lets the function run.
        stack.poll("WebhookFunctionQueue", False)
        print(f"{stack.name} deployed on {place.kind} in {time.monotonic() - began:.1f} s")
        yield stack
    finally:
        atexit.unregister(stack.clean_up)
        stack.clean_up()


# -------------------------------------------------------------------------------------------------------------- users


class User:
    """Someone with a token, who can connect and call."""

    def __init__(self, name, stack, issuer, **claims):
        self.id = f"{name}-{uuid.uuid4().hex[:8]}"
        self.stack = stack
        self.token = issuer.token(self.id, **claims)
        self.http = client.Http(stack.endpoint.http_url(stack.outputs), self.token, stack.endpoint.tls())

    def device(self, device_id=None, **options):
        """A socket of this user while it is entered."""
        url = self.stack.endpoint.socket_url(self.stack.outputs)
        return client.connected(url, self.token, device_id, self.id, tls=self.stack.endpoint.tls(), **options)


@pytest.fixture
async def user(stack, issuer):
    """Makes users that nobody else knows. Their tokens hold what else is named."""
    made = []

    def make(name, **claims):
        made.append(User(name, stack, issuer, **claims))
        return made[-1]

    yield make
    for one in made:
        await one.http.client.aclose()
