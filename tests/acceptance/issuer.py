"""An identity provider: signs tokens, and publishes its key where OpenID Connect says.

    issuer.py serve DIRECTORY [--port 8443]         on loopback, over HTTPS, until it is ended
    issuer.py documents DIRECTORY https://host/path writes what to publish below that URL

Both make the key, `key.pem`, if the directory has none; `serve` makes the certificates too, `authority.pem` among them.
"""

import argparse
import http.server
import json
import threading
import time
from pathlib import Path

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

import certificates

AUDIENCE = "petrel-acceptance"
KID = "acceptance"


def new_key():
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def load_key(path):
    return serialization.load_pem_private_key(path.read_bytes(), password=None)


def documents(url, key):
    """What the issuer publishes, by path."""
    jwk = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key()))
    keys = {"keys": [jwk | {"kid": KID, "alg": "RS256", "use": "sig"}]}
    discovery = {"issuer": url, "jwks_uri": f"{url}/.well-known/jwks.json"}
    return {"/.well-known/openid-configuration": discovery, "/.well-known/jwks.json": keys}


class Issuer:
    """Signs tokens that hold, and such that do not."""

    def __init__(self, url, key):
        self.url = url
        self.key = key

    def token(self, user, *, key=None, **claims):
        now = int(time.time())
        body = {"iss": self.url, "aud": AUDIENCE, "sub": user, "iat": now - 1, "exp": now + 3600} | claims
        return jwt.encode(body, key or self.key, algorithm="RS256", headers={"kid": KID})


class LoopbackIssuer(Issuer):
    """One that is served on this machine while it is entered."""

    def __init__(self, files, key=None, port=0):
        super().__init__(None, key or new_key())
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.server.socket = files.server().wrap_socket(self.server.socket, server_side=True)
        self.url = f"https://localhost:{self.server.server_address[1]}"
        self.server.documents = documents(self.url, self.key)

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        document = self.server.documents.get(self.path)
        body = json.dumps(document).encode()
        self.send_response(200 if document else 404)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def key_in(directory):
    """The key of this directory, made if there is none."""
    place = directory / "key.pem"
    if not place.exists():
        encoding = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        place.touch(mode=0o600)
        place.write_bytes(new_key().private_bytes(*encoding))
    return load_key(place)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("action", choices=["serve", "documents"])
    parser.add_argument("directory", type=Path)
    parser.add_argument("url", nargs="?")
    parser.add_argument("--port", type=int, default=8443)
    options = parser.parse_args()
    options.directory.mkdir(parents=True, exist_ok=True)
    key = key_in(options.directory)
    if options.action == "documents":
        if not options.url:
            parser.error("documents takes the URL that they are published below")
        for path, document in documents(options.url.rstrip("/"), key).items():
            file = options.directory / path.lstrip("/")
            file.parent.mkdir(exist_ok=True)
            file.write_text(json.dumps(document))
            print(file)
        return
    issuer = LoopbackIssuer(certificates.make(options.directory), key, options.port)
    print(issuer.url, flush=True)
    issuer.server.serve_forever()


if __name__ == "__main__":
    main()
