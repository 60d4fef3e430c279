#!/usr/bin/env python3
"""Starts and stops ministack, an emulator of AWS that we did not write, on this machine's loopback.

    emulator.py start [--port 4566]             returns when it answers, and prints its URL
    emulator.py stop  [--port 4566]
    emulator.py run   [--port 4566] -- command  runs the command with the endpoint, a region and credentials in its
                                                environment, and stops the emulator with it

Port 0 takes a free one. Needs Python alone, and installs the pinned ministack below the target directory on the first run.
What the emulator writes goes there too and is removed when it stops; its log stays until the next start on that port.
"""

import argparse
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request

sys.dont_write_bytecode = True

import environment  # noqa: E402

HOST = "127.0.0.1"
# For the start: it imports every service it has.
START_S = 60
# For what is under way when it is told to stop.
STOP_S = 10

# Any will do; ministack takes a key of twelve digits for an account's number.
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_REGION": "us-east-1",
    "AWS_DEFAULT_REGION": "us-east-1",
}


class Failed(Exception):
    """The emulator does not do what it was told; says why."""


def free_port():
    with socket.socket() as listener:
        listener.bind((HOST, 0))
        return listener.getsockname()[1]


class Emulator:
    """One emulator, known by its port; it may be another process's."""

    def __init__(self, port, certificates=None):
        """With certificates it speaks TLS alone."""
        self.port = port
        self.certificates = certificates
        self.url = f"{'https' if certificates else 'http'}://{HOST}:{port}"
        self.directory = environment.target() / "emulator" / str(port)
        self.process = None
        self.log = environment.target() / "emulator" / f"{port}.log"

    def start(self, variables=None):
        """Returns when it answers. `variables` are added to its environment, which its functions inherit."""
        python = environment.python()
        if self.answers():
            raise Failed(f"something answers at {self.url} already")
        shutil.rmtree(self.directory, ignore_errors=True)
        self.directory.mkdir(parents=True)
        # Nothing of the caller's environment: not its account, and no setting that would change what is tested.
        own = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
        own |= CREDENTIALS | {
            "BIND_HOST": HOST,
            "GATEWAY_PORT": str(self.port),
            "MINISTACK_HOST": HOST,
            # Functions inherit it; without it they would call AWS.
            "AWS_ENDPOINT_URL": self.url,
            # These listen on every interface, on fixed ports.
            "IOT_MTLS_ENABLED": "0",
            "SFTP_ENABLED": "0",
            "HOME": str(self.directory),
            "TMPDIR": str(self.directory),
        }
        if self.certificates:
            own |= {
                "USE_SSL": "1",
                "MINISTACK_SSL_CERT": str(self.certificates.certificate),
                "MINISTACK_SSL_KEY": str(self.certificates.key),
                "SSL_CERT_FILE": str(self.certificates.authority),
            }
        own |= variables or {}
        with open(self.log, "wb") as log:
            # A group of its own: its functions are in it and end with it.
            self.process = subprocess.Popen(
                [python, "-m", "ministack"],
                cwd=self.directory,
                env=own,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        (self.directory / "pid").write_text(str(self.process.pid))
        until = time.monotonic() + START_S
        while not self.answers():
            if self.process.poll() is not None:
                shutil.rmtree(self.directory, ignore_errors=True)
                raise Failed(f"ministack ended with {self.process.returncode}; see {self.log}")
            if time.monotonic() > until:
                self.stop()
                raise Failed(f"ministack did not answer within {START_S} s; see {self.log}")
            time.sleep(0.1)

    def answers(self):
        context = ssl.create_default_context(cafile=self.certificates.authority) if self.certificates else None
        try:
            with urllib.request.urlopen(f"{self.url}/_ministack/health", timeout=2, context=context) as response:
                return "services" in json.load(response)
        except (OSError, urllib.error.URLError, ValueError):
            return False

    def stop(self):
        """Ends it and its functions; returns when they are gone. Nothing if it does not run."""
        try:
            pid = int((self.directory / "pid").read_text())
        except FileNotFoundError:
            return
        if is_ministack(pid):
            signal_group(pid, signal.SIGTERM)
            until = time.monotonic() + STOP_S
            while self.lives(pid) and time.monotonic() < until:
                time.sleep(0.05)
            signal_group(pid, signal.SIGKILL)
        if self.process:
            self.process.wait()
        shutil.rmtree(self.directory, ignore_errors=True)

    def lives(self, group):
        if self.process:
            # Collects it: a dead child that nobody collects still counts as there.
            self.process.poll()
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return False
        return True

    def variables(self):
        """What makes an AWS program talk to it."""
        return CREDENTIALS | {"AWS_ENDPOINT_URL": self.url}


def is_ministack(pid):
    """Whether the process of this id is still the one we started: ids come again."""
    ps = subprocess.run(["ps", "-o", "command=", "-p", str(pid)], capture_output=True, text=True)
    return "-m ministack" in ps.stdout


def signal_group(group, number):
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        pass


def run(emulator, command):
    """The command's exit code, with the emulator around it."""
    # So that the emulator ends with us when we are told to end.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        emulator.start()
        return subprocess.run(command, env=os.environ | emulator.variables()).returncode
    finally:
        emulator.stop()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("action", choices=["start", "stop", "run"])
    parser.add_argument("--port", type=int, default=4566)
    parser.add_argument("--authority", help="a file of certificates that it and its functions believe, and no others")
    arguments, command = sys.argv[1:], []
    if "--" in arguments:
        split = arguments.index("--")
        arguments, command = arguments[:split], arguments[split + 1 :]
    options = parser.parse_args(arguments)
    if (options.action == "run") != bool(command):
        parser.error("run takes a command after --, the others none")
    emulator = Emulator(options.port or free_port())
    try:
        if options.action == "start":
            emulator.start({"SSL_CERT_FILE": os.path.abspath(options.authority)} if options.authority else None)
            print(emulator.url)
        elif options.action == "stop":
            emulator.stop()
        else:
            sys.exit(run(emulator, command))
    except Failed as error:
        sys.exit(f"emulator: {error}")


if __name__ == "__main__":
    main()
