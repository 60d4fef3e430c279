"""A client of Petrel, written against docs/protocol.md alone. Knows nothing of AWS."""

import asyncio
import json
import os
import time
import urllib.parse
import uuid
from contextlib import asynccontextmanager

import httpx
import websockets

# How often what was answered with `busy` is asked for again. `BUSY` has the tests for the summary.
AGAIN = 3
BUSY = []
# For one answer or push. The first call of a function starts it; the rest takes milliseconds.
WITHIN_S = 20


def uuid7():
    """A message id (RFC 9562, version 7)."""
    value = int(time.time() * 1000).to_bytes(6, "big") + os.urandom(10)
    number = int.from_bytes(value, "big")
    number = number & ~(0xF << 76) | 0x7 << 76
    number = number & ~(0x3 << 62) | 0x2 << 62
    return str(uuid.UUID(int=number))


def text(words):
    return {"type": "text", "text": words}


def direct(one, other):
    """The id of the conversation of two users."""
    return "d:" + ":".join(sorted([one, other]))


class Refused(Exception):
    """A request or a frame that was answered with an error. Holds its frame."""

    def __init__(self, frame, status=None):
        super().__init__(f"{status or ''} {frame}")
        self.frame = frame
        self.status = status
        self.code = frame.get("code")


async def refusal(call):
    """The status and the code with which a call is refused."""
    try:
        answer = await call
    except Refused as refused:
        return refused.status, refused.code
    raise AssertionError(f"this was not refused: {answer}")


async def patiently(ask):
    """What this returns: on `busy` it asks for the same again, after the time that it is told, as the protocol wants it."""
    for attempt in range(AGAIN + 1):
        try:
            return await ask()
        except Refused as refused:
            if refused.code != "busy" or attempt == AGAIN:
                raise
            BUSY.append(os.environ.get("PYTEST_CURRENT_TEST"))
            await asyncio.sleep(refused.frame["retry_after_ms"] / 1000)


class Device:
    """One socket. Frames that arrive are kept until a test takes them."""

    def __init__(self, user, device_id, socket):
        self.user = user
        self.id = device_id
        self.socket = socket
        self.frames = []
        self.arrived = asyncio.Condition()
        self.reader = asyncio.create_task(self.read())

    async def read(self):
        try:
            async for frame in self.socket:
                async with self.arrived:
                    self.frames.append(json.loads(frame))
                    self.arrived.notify_all()
        except websockets.ConnectionClosed:
            pass
        async with self.arrived:
            self.arrived.notify_all()

    async def take(self, within=WITHIN_S, types=None, **fields):
        """The first frame with these fields, and of one of these types, that nobody took; waits for it."""

        def fits(frame):
            return (not types or frame.get("type") in types) and all(frame.get(key) == it for key, it in fields.items())

        def found():
            return next((f for f in self.frames if fits(f)), None)

        async with self.arrived:
            try:
                await asyncio.wait_for(self.arrived.wait_for(lambda: found() or self.reader.done()), within)
            except asyncio.TimeoutError:
                pass
            frame = found()
            if frame is None:
                raise AssertionError(f"{self.user}: no {fields} within {within} s; there are {self.frames}")
            self.frames.remove(frame)
            return frame

    async def ask(self, frame, types=None):
        """Sends a frame and returns the one that answers it: the first, or the first of one of these types."""
        return await patiently(lambda: self.ask_once(frame, types))

    async def ask_once(self, frame, types):
        request_id = uuid.uuid4().hex
        await self.socket.send(json.dumps(frame | {"request_id": request_id}))
        answered = await self.take(types=types, request_id=request_id)
        if answered.get("type") == "error":
            raise Refused(answered)
        return answered

    async def send(self, conversation, content, seen=0, message_id=None):
        """`sent`, for one message. `seen` 0 is always safe in a short conversation."""
        frame = {"action": "send", "conversation_id": conversation, "seen": seen}
        return await self.ask(frame | {"message_id": message_id or uuid7(), "content": content})

    async def ack(self, conversation, **watermarks):
        """Nothing answers, unless it is refused."""
        await self.socket.send(json.dumps({"action": "ack", "conversation_id": conversation} | watermarks))

    async def typing(self, conversation, active=True):
        await self.socket.send(json.dumps({"action": "typing", "conversation_id": conversation, "active": active}))

    async def sync(self, cursors=None, **options):
        """The entries by conversation, and `synced`."""
        synced = await self.ask({"action": "sync", "cursors": cursors or {}} | options, ["synced", "error"])
        entries = {}
        for frame in [f for f in self.frames if f.get("request_id") == synced["request_id"]]:
            self.frames.remove(frame)
            entries.setdefault(frame["conversation_id"], []).extend(frame["messages"])
        return entries, synced

    async def history(self, conversation, **where):
        return await self.ask({"action": "history", "conversation_id": conversation} | where)

    async def message(self, conversation, seq, within=WITHIN_S):
        """The push of one entry."""
        return await self.take(within, type="message", conversation_id=conversation, seq=seq)

    async def close(self):
        await self.socket.close()
        await self.reader


@asynccontextmanager
async def connected(url, token, device_id=None, user="?", how="subprotocol", origin=None, tls=None):
    """A device while it is entered. The token comes in one of the three ways that the protocol names."""
    query = {"device_id": device_id} if device_id else {}
    options = {}
    if how == "subprotocol":
        options["subprotocols"] = ["petrel.v1", f"bearer.{token}"]
    elif how == "query":
        query["token"] = token
    elif how == "header":
        options["additional_headers"] = {"Authorization": f"Bearer {token}"}
    if origin:
        options["origin"] = origin
    if url.startswith("wss:"):
        options["ssl"] = tls
    address = f"{url}?{urllib.parse.urlencode(query)}" if query else url
    # No pings of our own: API Gateway wants frames. No proxy: some of this is on loopback.
    async with websockets.connect(address, ping_interval=None, proxy=None, open_timeout=60, **options) as socket:
        device = Device(user, device_id, socket)
        try:
            yield device
        finally:
            await device.close()


class Http:
    """The HTTP API as one user."""

    def __init__(self, url, token, tls):
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self.client = httpx.AsyncClient(base_url=url, headers=headers, timeout=60, trust_env=False, verify=tls)

    async def call(self, method, path, body=None, **query):
        """Status and body, whatever they are."""
        answer = await self.client.request(method, path, json=body, params=query or None)
        return answer.status_code, answer.json() if answer.content else None

    async def get(self, path, **query):
        return await self.good("GET", path, **query)

    async def good(self, method, path, body=None, **query):
        """The body of an answer that is no error."""

        async def once():
            status, answer = await self.call(method, path, body, **query)
            if status >= 400:
                raise Refused(answer, status)
            return answer

        return await patiently(once)

    async def found(self, name, members, **options):
        # Named, for who asks again would otherwise found a second one.
        group = {"name": name, "member_ids": members, "request_id": uuid7()}
        return await self.good("POST", "/api/conversations", group | options)

    async def say(self, content, **to):
        return await self.good("POST", "/api/messages", {"message_id": uuid7(), "content": content} | to)


def quoted(part):
    """A part of a path: ids may hold what has a meaning there."""
    return urllib.parse.quote(part, safe="")
