"""What stands between the functions and ministack's SNS: it passes every call on and keeps the publishes, which ministack
takes and shows to nobody. It also gives endpoints the ARNs that they have on AWS (deviations.py says so too).
"""

import http.client
import http.server
import re
import threading
import urllib.parse


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

    def forward_to(self, port):
        self.server.upstream = port

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
        upstream = http.client.HTTPConnection("127.0.0.1", self.server.upstream, timeout=10)
        # With the headers as they came: the signature covers the host.
        upstream.putrequest("POST", self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():
            upstream.putheader(name, str(len(body)) if name.lower() == "content-length" else value)
        upstream.endheaders(body)
        answer = upstream.getresponse()
        content = HERE.sub(r":endpoint/\1", answer.read().decode()).encode()
        upstream.close()
        if called.get("Action") == "Publish" and answer.status == 200:
            self.server.recorder.publishes.append(called)
        self.send_response(answer.status)
        self.send_header("content-type", answer.headers.get("content-type", "text/xml"))
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_):
        pass
