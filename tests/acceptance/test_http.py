"""The HTTP API: what it refuses, in which words, and its headers. What it answers otherwise stands with what it is for."""

import httpx
import pytest

from client import Refused, direct, quoted, text, uuid7
from stack import ORIGIN


@pytest.fixture
async def scene(user):
    """Two with a conversation of one message and a group, and a stranger."""
    ana, bo, eve = user("ana"), user("bo"), user("eve")
    await ana.http.say(text("hi"), to_user_id=bo.id)
    group = (await ana.http.found("crew", [bo.id]))["conversation_id"]
    return ana, bo, eve, direct(ana.id, bo.id), group


def refusals(scene):
    """Who asks, method, path, body, and what comes back: a status and a code. One row at least for each documented code
    that a request of its own can bring about."""
    ana, bo, eve, talk, group = scene
    to_bo = {"to_user_id": bo.id}
    hi = {"content": text("never stored")}
    ours, crew = f"/api/conversations/{quoted(talk)}", f"/api/conversations/{quoted(group)}"
    nowhere = f"/api/conversations/g:{uuid7()}"
    many = [f"user{n}" for n in range(1000)]
    bad, stranger, none = (400, "bad_request"), (403, "not_a_member"), (404, "not_found")
    return [
        (ana, "GET", "/api/nothing", None, none),
        (ana, "DELETE", "/api/messages", None, none),
        (ana, "GET", f"{ours}/nothing", None, none),
        (ana, "POST", "/api/messages", {}, bad),
        (ana, "POST", "/api/messages", [7], bad),
        (ana, "POST", "/api/messages", to_bo, bad),
        (ana, "POST", "/api/messages", hi, bad),
        (ana, "POST", "/api/messages", hi | {"to_user_id": "b o"}, bad),
        (ana, "POST", "/api/messages", hi | to_bo | {"conversation_id": talk}, bad),
        (ana, "POST", "/api/messages", hi | to_bo | {"message_id": "x"}, bad),
        (ana, "POST", "/api/messages", hi | to_bo | {"seen": -1}, bad),
        (ana, "POST", "/api/messages", to_bo | {"content": {"type": "spell"}}, bad),
        (ana, "POST", "/api/messages", to_bo | {"content": {"type": "system", "change": {}}}, bad),
        (ana, "POST", "/api/messages", to_bo | {"content": text("")}, bad),
        (ana, "POST", "/api/messages", to_bo | {"content": text("x" * (16 * 1024 + 1))}, (413, "too_large")),
        (ana, "POST", "/api/messages", hi | to_bo | {"pad": "x" * 32 * 1024}, (413, "too_large")),
        (ana, "POST", "/api/messages", hi | to_bo | {"seen": 9}, (409, "sync_required")),
        (ana, "POST", "/api/messages", to_bo | {"content": {"type": "reply", "target": 9, "text": "x"}}, none),
        (bo, "POST", "/api/messages", {"to_user_id": ana.id, "content": {"type": "delete", "target": 1}},
         (403, "forbidden")),
        (eve, "POST", "/api/messages", hi | {"conversation_id": talk}, stranger),
        (eve, "POST", "/api/messages", hi | {"conversation_id": group}, stranger),
        (eve, "POST", "/api/messages", hi | {"conversation_id": f"g:{uuid7()}"}, stranger),
        (ana, "POST", "/api/conversations", {"name": "", "member_ids": [bo.id]}, bad),
        (ana, "POST", "/api/conversations", {"name": "alone", "member_ids": []}, bad),
        (ana, "POST", "/api/conversations", {"name": "crowd", "member_ids": many}, (400, "too_many_members")),
        (ana, "POST", f"{crew}/members", {"user_ids": many[:50]}, bad),
        (bo, "POST", f"{crew}/members", {"user_ids": ["cy"]}, (403, "forbidden")),
        (bo, "DELETE", f"{crew}/members/{quoted(ana.id)}", None, (403, "forbidden")),
        (eve, "POST", f"{crew}/members", {"user_ids": [eve.id]}, stranger),
        (ana, "POST", f"{ours}/members", {"user_ids": ["cy"]}, bad),
        (ana, "GET", "/api/conversations?page=nowhere", None, bad),
        (ana, "GET", "/api/conversations/nowhere", None, bad),
        (eve, "GET", ours, None, stranger),
        (eve, "GET", crew, None, stranger),
        (eve, "GET", nowhere, None, stranger),
        (ana, "GET", f"{ours}/messages", None, bad),
        (ana, "GET", f"{ours}/messages?after=0&before=9", None, bad),
        (ana, "GET", f"{ours}/messages?after=x", None, bad),
        (ana, "GET", f"{ours}/messages?after=0&limit=101", None, bad),
        (eve, "GET", f"{ours}/messages?after=0", None, stranger),
        (ana, "GET", f"{ours}/receipts", None, bad),
        (ana, "GET", f"{ours}/receipts?seq=2", None, none),
        (ana, "POST", f"{ours}/ack", {}, bad),
        (ana, "POST", f"{ours}/ack", {"read": 2}, bad),
        (eve, "POST", f"{crew}/ack", {"read": 1}, stranger),
        (ana, "POST", "/api/sync", {"limit": 201}, bad),
        (ana, "POST", "/api/sync", {"cursors": {"nowhere": 1}}, bad),
        (ana, "PUT", "/api/devices/phone/push", {"platform": "pigeon", "token": "t"}, bad),
        (ana, "PUT", "/api/devices/phone/push", {"platform": "apns", "token": "not set up"}, bad),
        (ana, "PUT", "/api/devices/my%20phone/push", {"platform": "fcm", "token": "t"}, bad),
    ]


async def test_refused_requests(scene):
    ana, bo, _, talk, group = scene
    for who, method, path, body, (status, code) in refusals(scene):
        what = f"{method} {path} {str(body)[:100]}"
        answered, error = await who.http.call(method, path, body)
        assert answered == status, (what, error)
        assert (error["type"], error["code"]) == ("error", code), (what, error)
        assert error["message"], what
        if path == "/api/messages" and method == "POST" and isinstance(body, dict) and "content" in body:
            if body.get("message_id") != "x" and code not in ("bad_request", "too_large"):
                assert error["message_id"] and error["action"] == "send", (what, error)
    # Nothing of it was stored.
    for conversation in (talk, group):
        page = await bo.http.get(f"/api/conversations/{quoted(conversation)}/messages", after=0)
        assert [e["seq"] for e in page["messages"]] == [1], conversation


async def test_message_over_http(user):
    ana, bo = user("ana"), user("bo")
    message_id = uuid7()
    body = {"to_user_id": bo.id, "message_id": message_id, "content": text("hi")}
    async with bo.device() as his:
        status, sent = await ana.http.call("POST", "/api/messages", body)
        assert status == 201
        assert (sent["message_id"], sent["seq"], sent["duplicate"]) == (message_id, 1, False)
        got = await his.message(sent["conversation_id"], 1)
        assert (got["message_id"], got["sender_id"]) == (message_id, ana.id)
    # Without an id the server mints one, and a repeat is a new message.
    seqs = [(await ana.http.call("POST", "/api/messages", body | {"message_id": None}))[1]["seq"] for _ in range(2)]
    assert seqs == [2, 3]
    described = await bo.http.get(f"/api/conversations/{quoted(sent['conversation_id'])}")
    assert described["name"] is None
    assert sorted(m["user_id"] for m in described["members"]) == sorted([ana.id, bo.id])


async def test_health_needs_no_token(stack):
    url = stack.endpoint.http_url(stack.outputs)
    async with httpx.AsyncClient(timeout=60, trust_env=False, verify=stack.endpoint.tls()) as client:
        answer = await client.get(f"{url}/api/health")
        assert answer.status_code == 200
        assert answer.json()["revision"] == "acceptance"
        assert set(answer.json()) == {"version", "revision"}


async def test_pages_of_allowed_origins_may_call(stack):
    url = f"{stack.endpoint.http_url(stack.outputs)}/api/messages"
    preflight = {"access-control-request-method": "POST", "access-control-request-headers": "authorization"}
    async with httpx.AsyncClient(timeout=60, trust_env=False, verify=stack.endpoint.tls()) as client:
        answer = await client.options(url, headers=preflight | {"origin": ORIGIN})
        assert answer.status_code in (200, 204)
        assert answer.headers["access-control-allow-origin"] == ORIGIN
        assert "POST" in answer.headers["access-control-allow-methods"]
        assert "authorization" in answer.headers["access-control-allow-headers"].lower()
        answer = await client.options(url, headers=preflight | {"origin": "https://evil.example"})
        assert answer.headers.get("access-control-allow-origin") is None


async def test_group_that_is_there_already(user):
    ana, bo = user("ana"), user("bo")
    request = {"request_id": uuid7()}
    first = await ana.http.found("crew", [bo.id], **request)
    assert (await ana.http.found("crew", [bo.id], **request))["conversation_id"] == first["conversation_id"]
    assert (await ana.http.found("crew", [bo.id]))["conversation_id"] != first["conversation_id"]
    with pytest.raises(Refused) as refusal:
        await bo.http.good("POST", f"/api/conversations/{quoted(first['conversation_id'])}/ack", {"read": 7})
    assert refusal.value.code == "bad_request"
