"""Operators: whom the gateway and the function let through, and what they do about users."""

import asyncio
import json

import pytest
import websockets

from client import direct, quoted, refusal, text, uuid7
from test_media import announce, is_stored, key_of, put, store  # noqa: F401
from test_pushes import register

SCOPE = "petrel/admin"


@pytest.fixture
def operator(user):
    return user("op", scope=f"openid {SCOPE}")


def requests(user):
    """One of each that is about a user, by method and path; one at least for each method that operators have."""
    of = f"/api/admin/users/{quoted(user.id)}"
    return [
        ("GET", of),
        ("PUT", f"{of}/disabled"),
        ("DELETE", f"{of}/disabled"),
        ("POST", f"{of}/erasure"),
        ("DELETE", f"{of}/connections"),
        ("DELETE", f"{of}/devices/phone"),
    ]


async def test_gateway_lets_no_one_in_without_the_scope(user, operator):
    """In its own words: the function is not asked."""
    bo = user("bo")
    for who in (bo, user("eve", scope="openid"), user("eve", scope=f"{SCOPE}s petrel"), user("eve", scp=["admin"])):
        for method, path in requests(bo):
            assert await who.http.call(method, path) == (403, {"message": "Forbidden"}), (method, path)
    account = await operator.http.get(f"/api/admin/users/{quoted(bo.id)}")
    assert account == {"user_id": bo.id, "disabled_at": None, "devices": []}


async def test_function_looks_once_more(stack, user):
    """Asked by itself, as if the gateway's route had lost its scope."""
    bo = user("bo")
    method, path = requests(bo)[1]

    def asked(**claims):
        event = {
            "version": "2.0",
            "routeKey": f"{method} /api/admin/{{proxy+}}",
            "rawPath": path,
            "rawQueryString": "",
            "headers": {"host": "api.example"},
            "requestContext": {
                "accountId": "000000000000",
                "apiId": "api",
                "authorizer": {"jwt": {"claims": {"sub": "eve"} | claims, "scopes": None}},
                "domainName": "api.example",
                "http": {"method": method, "path": path, "protocol": "HTTP/1.1", "sourceIp": "127.0.0.1", "userAgent": ""},
                "requestId": "r",
                "routeKey": f"{method} /api/admin/{{proxy+}}",
                "stage": "$default",
                "time": "01/Jan/2026:00:00:00 +0000",
                "timeEpoch": 1767225600000,
            },
            "isBase64Encoded": False,
        }
        answer = stack.invoke("ApiFunction", event)
        return answer["statusCode"], json.loads(answer["body"])

    for claims in ({}, {"scope": "openid"}, {"scope": f"{SCOPE}s"}, {"scp": "[petrel admin]"}):
        status, error = asked(**claims)
        assert (status, error.get("code")) == (403, "forbidden"), claims
    assert asked(scp=f"[openid {SCOPE}]") == (200, {"closed": 0})


async def opens(user):
    """Whether a socket of this user opens; refused, it is with 403."""
    try:
        async with user.device("phone"):
            return True
    except websockets.InvalidStatus as refused:
        assert refused.response.status_code == user.stack.endpoint.handshake_status(403)
        return False


async def test_user_who_is_disabled_is_cut_off_until_he_is_enabled(user, operator):
    ana, bo = user("ana"), user("bo")
    conversation = direct(ana.id, bo.id)
    of = f"/api/admin/users/{quoted(bo.id)}"
    async with ana.device() as hers, bo.device("phone") as phone, bo.device("tablet") as tablet:
        await hers.send(conversation, text("hi"))
        for device in (phone, tablet):
            await device.message(conversation, 1)
        account = await operator.http.get(of)
        assert sorted(it["device_id"] for it in account["devices"]) == ["phone", "tablet"]
        assert await operator.http.good("PUT", f"{of}/disabled") == {"closed": 2}
        for device in (phone, tablet):
            await asyncio.wait_for(device.socket.wait_closed(), 30)
        status, error = await bo.http.call("GET", "/api/conversations")
        assert (status, error["code"]) == (403, "disabled")
        assert not await opens(bo)
        assert (await operator.http.get(of))["disabled_at"]
        # What is written to him meanwhile is stored.
        await hers.send(conversation, text("are you there?"), seen=1)
    assert await operator.http.call("DELETE", f"{of}/disabled") == (204, None)
    async with bo.device("phone") as phone:
        entries, _ = await phone.sync({conversation: 1})
        assert [entry["seq"] for entry in entries[conversation]] == [2]
    himself = f"/api/admin/users/{quoted(operator.id)}/disabled"
    assert await refusal(operator.http.good("PUT", himself)) == (403, "forbidden")


async def test_sockets_are_cut_and_a_device_is_signed_out(user, operator):
    bo = user("bo")
    of = f"/api/admin/users/{quoted(bo.id)}"
    async with bo.device("phone") as phone, bo.device("tablet") as tablet:
        assert await operator.http.call("DELETE", f"{of}/devices/phone") == (204, None)
        await asyncio.wait_for(phone.socket.wait_closed(), 30)
        (left,) = (await operator.http.get(of))["devices"]
        assert left["device_id"] == "tablet"
        assert (await tablet.sync())[1]["conversations"] == []
        assert await operator.http.good("DELETE", f"{of}/connections") == {"closed": 1}
        await asyncio.wait_for(tablet.socket.wait_closed(), 30)
    # His token is as good as before.
    assert await opens(bo)


@pytest.mark.needs("publishes")
async def test_device_that_is_signed_out_takes_no_pushes(user, operator):
    bo = user("bo")
    of = f"/api/admin/users/{quoted(bo.id)}"
    await register(bo, f"token-{bo.id}")
    assert (await operator.http.get(of))["devices"] == [{"device_id": "phone", "connected_at": None, "push": True}]
    assert await operator.http.call("DELETE", f"{of}/devices/phone") == (204, None)
    assert (await operator.http.get(of))["devices"] == []


async def test_notice_reaches_both(user, operator):
    ana, bo = user("ana"), user("bo")
    conversation = direct(ana.id, bo.id)
    async with ana.device() as hers, bo.device() as his:
        path = f"/api/admin/conversations/{quoted(conversation)}/notices"
        sent = await operator.http.good("POST", path, {"text": "maintenance at noon", "message_id": uuid7()})
        for device in (hers, his):
            got = await device.message(conversation, sent["seq"])
            assert (got["sender_id"], got["content"]) == ("@system", {"type": "notice", "text": "maintenance at noon"})


def settle(stack, user):
    """As if the user had been disabled a minute earlier: by then nothing that he sent is on its way."""
    stack.client("dynamodb").update_item(
        TableName=stack.outputs["ConnectionsTableName"],
        Key={"user_id": {"S": user.id}},
        UpdateExpression="SET #off = #off - :minute",
        ConditionExpression="attribute_exists(#off)",
        ExpressionAttributeNames={"#off": "off"},
        ExpressionAttributeValues={":minute": {"N": "60000"}},
    )


async def test_user_who_is_erased_leaves_no_word_and_no_file(stack, user, operator, store):  # noqa: F811
    ana, bo = user("ana"), user("bo")
    group = (await ana.http.found("crew", [bo.id]))["conversation_id"]
    conversations = (direct(ana.id, bo.id), group)
    for conversation in conversations:
        await ana.http.say(text("secret"), conversation_id=conversation)
    await ana.http.good("PATCH", "/api/profile", {"name": "Ana"})
    announced = await announce(ana)
    assert await put(store, announced) == (200, "")
    erasure = f"/api/admin/users/{quoted(ana.id)}/erasure"
    status, answer = await operator.http.call("POST", erasure, {})
    assert (status, answer["code"]) == (503, "busy")
    settle(stack, ana)
    erased, page = 0, None
    while True:
        answer = await operator.http.good("POST", erasure, {"page": page})
        erased, page = erased + answer["erased"], answer["page"]
        if page is None:
            break
    assert erased == 2
    for conversation in conversations:
        path = f"/api/conversations/{quoted(conversation)}"
        entries = (await bo.http.get(f"{path}/messages", after=0))["messages"]
        assert [it["content"] for it in entries if it["sender_id"] == ana.id and it["content"]["type"] != "system"] == [
            {"type": "gone", "why": "deleted"}
        ]
    assert [it["user_id"] for it in (await bo.http.get(path))["members"]] == [bo.id]
    assert not is_stored(stack, key_of(announced))
    profiles = await bo.http.good("POST", "/api/profiles", {"user_ids": [ana.id]})
    assert profiles == {"profiles": [{"user_id": ana.id, "name": None, "avatar": None}]}
