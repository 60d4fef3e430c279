"""An identity provider: signs tokens, and publishes its key where OpenID Connect says.

On loopback it serves HTTPS. For an endpoint that cannot reach this machine, publish
the two documents that `documents` returns under a URL of your own and give the suite that URL and the key.
"""

import http.server
import json
import threading
import time

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

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

    def __init__(self, certificates):
        super().__init__(None, new_key())
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.socket = certificates.server().wrap_socket(self.server.socket, server_side=True)
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
