"""What stands between the functions and ministack's SNS: it passes every call on and keeps the publishes, which ministack
takes and shows to nobody. It also gives endpoints the ARNs that they have on AWS (deviations.py says so too), and for
that signs every call anew: what a function's role allows of SNS is not tested here.
"""

import http.server
import re
import ssl
import threading
import urllib.error
import urllib.parse
import urllib.request

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from emulator import CREDENTIALS


# On AWS arn:…:endpoint/GCM/<application>/<id>; here arn:…:app/GCM/<application>/<id>.
HERE = re.compile(r":app/(\w+/[^/<&]+/[^<&]+)")
AT_AWS = re.compile(r":endpoint/")


class Recorder:
    """A proxy of one endpoint, on loopback, while it is entered."""

    def __init__(self):
        self.publishes = []
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.recorder = self
        self.server.upstream = None
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"

    def forward_to(self, emulator):
        self.server.upstream = emulator

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        called = dict(urllib.parse.parse_qsl(body.decode()))
        for name in ("EndpointArn", "TargetArn"):
            if name in called:
                called[name] = AT_AWS.sub(":app/", called[name])
        body = urllib.parse.urlencode(called).encode()
        status, content = self.call(body)
        content = HERE.sub(r":endpoint/\1", content.decode()).encode()
        if called.get("Action") == "Publish" and status == 200:
            self.server.recorder.publishes.append(called)
        self.send_response(status)
        self.send_header("content-type", "text/xml")
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def call(self, body):
        """Makes the call in the account's name; its status and content."""
        upstream = self.server.upstream
        headers = {"content-type": "application/x-www-form-urlencoded"}
        request = AWSRequest("POST", upstream.url + "/", headers=headers, data=body)
        credentials = Credentials(CREDENTIALS["AWS_ACCESS_KEY_ID"], CREDENTIALS["AWS_SECRET_ACCESS_KEY"])
        SigV4Auth(credentials, "sns", CREDENTIALS["AWS_REGION"]).add_auth(request)
        signed = urllib.request.Request(request.url, body, dict(request.headers.items()), method="POST")
        handlers = [urllib.request.ProxyHandler({})]
        if upstream.certificates:
            context = ssl.create_default_context(cafile=upstream.certificates.authority)
            handlers.append(urllib.request.HTTPSHandler(context=context))
        opener = urllib.request.build_opener(*handlers)
        try:
            with opener.open(signed, timeout=10) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()

    def log_message(self, *_):
        pass
