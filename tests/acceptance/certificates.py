"""Certificates for this machine's loopback, by an authority that exists for one run."""

import ssl
from dataclasses import dataclass
from pathlib import Path

import trustme


@dataclass
class Certificates:
    """Files of one server's certificate, and of the authority that vouches for it."""

    authority: Path
    certificate: Path
    key: Path

    def server(self):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate, self.key)
        return context


def make(directory):
    authority = trustme.CA()
    server = authority.issue_cert("localhost", "127.0.0.1")
    files = Certificates(*(directory / name for name in ("authority.pem", "server.pem", "server-key.pem")))
    authority.cert_pem.write_to_path(str(files.authority))
    for number, blob in enumerate(server.cert_chain_pems):
        blob.write_to_path(str(files.certificate), append=number > 0)
    server.private_key_pem.write_to_path(str(files.key))
    return files
