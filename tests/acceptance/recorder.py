"""What stands between the functions and an emulator's SNS: passes every call on and keeps the publishes, which ministack
takes and shows to nobody."""

import http.client
import http.server
import threading
import urllib.parse


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

    def to(self, endpoint_arn):
        """The publishes to an endpoint, in order."""
        return [publish for publish in self.publishes if publish.get("TargetArn") == endpoint_arn]

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
        upstream = http.client.HTTPConnection("127.0.0.1", self.server.upstream, timeout=10)
        # With the headers as they came: the signature covers the host.
        upstream.putrequest("POST", self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():
            upstream.putheader(name, value)
        upstream.endheaders(body)
        answer = upstream.getresponse()
        content = answer.read()
        upstream.close()
        called = dict(urllib.parse.parse_qsl(body.decode()))
        if called.get("Action") == "Publish" and answer.status == 200:
            self.server.recorder.publishes.append(called)
        self.send_response(answer.status)
        self.send_header("content-type", answer.headers.get("content-type", "text/xml"))
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_):
        pass
