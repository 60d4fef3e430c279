"""What a function talks to, on this machine: the Lambda runtime's interface in plain HTTP, AWS over TLS. Each notes what it
is asked; neither knows what is measured."""

import asyncio
import datetime
import ipaddress
import json
import ssl
import zlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

Answer = tuple[int, dict[str, str], bytes]


@dataclass
class Request:
    """One request as it came."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


async def serve(answer: Callable[[Request], Awaitable[Answer]], tls: ssl.SSLContext | None = None) -> int:
    """Answers on a free port of the loopback interface, keeps connections open, and returns the port."""

    async def connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                status, headers, body = await answer(await read_request(reader, writer))
                lines = [f"HTTP/1.1 {status} -", f"content-length: {len(body)}"]
                lines += [f"{name}: {value}" for name, value in headers.items()]
                writer.write("\r\n".join([*lines, "", ""]).encode() + body)
        except (asyncio.IncompleteReadError, asyncio.CancelledError, ConnectionError, ssl.SSLError):
            pass  # The function has ended, or the bench.
        finally:
            writer.close()

    server = await asyncio.start_server(connection, "127.0.0.1", 0, ssl=tls)
    return server.sockets[0].getsockname()[1]


async def read_request(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Request:
    """Reads one request to its end."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    method, path, _ = head[0].split(" ")
    pairs = (line.split(":", 1) for line in head[1:] if line)
    headers = {name.lower(): value.strip() for name, value in pairs}
    if headers.get("expect", "").lower() == "100-continue":
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    if headers.get("transfer-encoding", "").lower() == "chunked":
        body = b""
        while size := int(await reader.readline(), 16):
            body += (await reader.readexactly(size + 2))[:-2]
        await reader.readline()
    else:
        body = await reader.readexactly(int(headers.get("content-length", 0)))
    return Request(method, path, headers, body)


def certificates(folder: Path) -> tuple[ssl.SSLContext, Path]:
    """Makes an authority and a certificate of it for `localhost`; returns the server's side and the authority's file."""
    now = datetime.datetime.now(datetime.timezone.utc)
    day = datetime.timedelta(days=1)

    def signed(name: str, key: ec.EllipticCurvePrivateKey, by: str, signer: ec.EllipticCurvePrivateKey, is_ca: bool):
        def named(text: str) -> x509.Name:
            return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])

        alternatives = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
        usage = dict.fromkeys(
            ["content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "encipher_only", "decipher_only"],
            False,
        )
        usage |= {"digital_signature": not is_ca, "key_cert_sign": is_ca, "crl_sign": is_ca}
        identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
        authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key())
        builder = x509.CertificateBuilder().subject_name(named(name)).issuer_name(named(by))
        builder = builder.public_key(key.public_key()).serial_number(x509.random_serial_number())
        builder = builder.not_valid_before(now - day).not_valid_after(now + day)
        builder = builder.add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
        builder = builder.add_extension(x509.KeyUsage(**usage), critical=True)
        builder = builder.add_extension(identifier, critical=False).add_extension(authority, critical=False)
        if not is_ca:
            builder = builder.add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        return builder.sign(signer, hashes.SHA256())

    authority_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    authority = signed("stand-in authority", authority_key, "stand-in authority", authority_key, True)
    certificate = signed("localhost", key, "stand-in authority", authority_key, False)
    folder.mkdir(parents=True, exist_ok=True)
    roots, chain, private = folder / "roots.pem", folder / "chain.pem", folder / "key.pem"
    roots.write_bytes(authority.public_bytes(serialization.Encoding.PEM))
    chain.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain, private)
    private.unlink()
    return context, roots


@dataclass
class Aws:
    """DynamoDB, @connections and SQS. Answers what `answers` says by operation."""

    answers: Callable[[str, dict], dict]
    asked: list[tuple[str, dict | str]] = field(default_factory=list)
    bare: int = 0

    async def dynamo(self, request: Request) -> Answer:
        """`POST /` with the operation in a header, or `GET /`, which tells that the service is well."""
        if request.method == "GET":
            self.bare += 1
            return 200, {"content-type": "text/plain"}, b"healthy: dynamodb"
        operation = request.headers["x-amz-target"].split(".")[1]
        body = json.loads(request.body)
        self.asked.append((operation, body))
        answer = json.dumps(self.answers(operation, body)).encode()
        crc = str(zlib.crc32(answer))
        return 200, {"content-type": "application/x-amz-json-1.0", "x-amz-crc32": crc, "x-amzn-requestid": "r"}, answer

    async def gateway(self, request: Request) -> Answer:
        """`POST /<stage>/@connections/<id>`."""
        if request.method == "GET":
            self.bare += 1
            return 403, {"content-type": "application/json"}, b'{"message":"Forbidden"}'
        self.asked.append((f"POST {request.path.replace('%40', '@')}", request.body.decode()))
        return 200, {"x-amzn-requestid": "r"}, b""

    async def sqs(self, request: Request) -> Answer:
        """Nothing that is measured uses the queues; what comes all the same is noted, and so fails the run."""
        if request.method == "GET":
            self.bare += 1
            return 404, {}, b""
        self.asked.append((f"sqs {request.headers.get('x-amz-target')}", request.body.decode()))
        return 500, {}, b""


@dataclass
class Runtime:
    """The Lambda runtime's interface for one function: what asks for an event waits until there is one."""

    ready: asyncio.Event = field(default_factory=asyncio.Event)
    events: asyncio.Queue[bytes] = field(default_factory=asyncio.Queue)
    outcomes: asyncio.Queue[tuple[str, dict]] = field(default_factory=asyncio.Queue)
    number: int = 0

    async def answer(self, request: Request) -> Answer:
        """`next`, `response`, `error` and `init/error`."""
        what = request.path.rsplit("/", 1)[1]
        if what != "next":
            outcome = json.loads(request.body or b"{}")
            self.outcomes.put_nowait(("response" if what == "response" else request.path, outcome))
            return 202, {"content-type": "application/json"}, b'{"status":"OK"}'
        self.ready.set()
        event = await self.events.get()
        self.number += 1
        headers = {
            "content-type": "application/json",
            "lambda-runtime-aws-request-id": f"00000000-0000-4000-8000-{self.number:012}",
            "lambda-runtime-deadline-ms": "4102444800000",
            "lambda-runtime-invoked-function-arn": "arn:aws:lambda:eu-central-1:123456789012:function:send",
            "lambda-runtime-trace-id": "Root=1-00000000-000000000000000000000000;Sampled=0",
        }
        return 200, headers, event
