"""The handshake: who gets in, and what those who do not are told."""

import asyncio
import json
import time

import pytest
import websockets

import issuer as issuers
from client import Http, connected, direct, text
from stack import ORIGIN


async def refused(stack, token, device_id=None, **options):
    """The status of a handshake that must not succeed."""
    url = stack.endpoint.socket_url(stack.outputs)
    with pytest.raises(websockets.InvalidStatus) as raised:
        async with connected(url, token, device_id, tls=stack.endpoint.tls(), **options):
            pass
    return raised.value.response.status_code


@pytest.mark.parametrize("how", ["subprotocol", "query", "header"])
async def test_token_comes_in_three_ways(user, how):
    ana = user("ana")
    async with ana.device(how=how) as device:
        entries, synced = await device.sync()
        assert (entries, synced["conversations"], synced["page"]) == ({}, [], None)


async def test_page_of_an_allowed_origin_may_connect(user):
    async with user("ana").device(origin=ORIGIN) as device:
        assert (await device.sync())[1]["conversations"] == []


@pytest.mark.needs("subprotocol")
async def test_subprotocol_is_picked(user):
    async with user("ana").device() as device:
        assert device.socket.subprotocol == "petrel.v1"


def bad_tokens(issuer):
    """Tokens that no one may get in with, by what is wrong with them."""
    now = int(time.time())
    good = issuer.token("mallory")
    signature = good.rsplit(".", 1)[1]
    return {
        "garbage": "garbage",
        "another key": issuer.token("mallory", key=issuers.new_key()),
        "another's signature": issuer.token("eve").rsplit(".", 1)[0] + "." + signature,
        "expired": issuer.token("mallory", iat=now - 7200, exp=now - 3600),
        "not yet": issuer.token("mallory", nbf=now + 3600),
        "another audience": issuer.token("mallory", aud="another"),
        "another issuer": issuer.token("mallory", iss="https://another.example"),
    }


async def test_bad_tokens_open_no_socket(stack, issuer):
    for what, token in bad_tokens(issuer).items():
        assert await refused(stack, token) == stack.endpoint.handshake_status(401), what
    assert await refused(stack, None, how="none") == stack.endpoint.handshake_status(401)


async def test_authorizer_says_unauthorized_and_does_not_crash(stack, issuer):
    """What API Gateway turns into a 401 is exactly this error. Asked of the function itself, since an emulator may answer
    any failure alike."""
    function = stack.resource("AuthorizerFunction")
    for what, token in (bad_tokens(issuer) | {"none": None}).items():
        query = {"token": token} if token else None
        event = {
            "type": "REQUEST",
            "methodArn": "arn:aws:execute-api:us-east-1:000000000000:api/prod/$connect",
            "headers": {},
            "multiValueHeaders": {},
            "queryStringParameters": query,
            "requestContext": {"routeKey": "$connect", "connectionId": "c", "apiId": "api", "stage": "prod"},
        }
        answer = stack.client("lambda").invoke(FunctionName=function, Payload=json.dumps(event))
        said = json.load(answer["Payload"])
        assert said["errorMessage"] == "Unauthorized", (what, said)


async def test_page_of_another_origin_opens_no_socket(stack, issuer):
    token = issuer.token("mallory")
    assert await refused(stack, token, origin="https://evil.example") == stack.endpoint.handshake_status(403)


async def test_malformed_device_id_opens_no_socket(stack, issuer):
    token = issuer.token("mallory")
    assert await refused(stack, token, "not/an/id") == stack.endpoint.handshake_status(400)


async def test_bad_tokens_call_nothing(stack, issuer):
    """Over HTTP the gateway refuses by itself, in its own words."""
    url = stack.endpoint.http_url(stack.outputs)
    for what, token in (bad_tokens(issuer) | {"none": None}).items():
        http = Http(url, token, stack.endpoint.tls())
        assert await http.call("GET", "/api/conversations") == (401, {"message": "Unauthorized"}), what
        await http.client.aclose()


async def test_later_socket_of_a_device_takes_its_place(user):
    ana, bo = user("ana"), user("bo")
    conversation = direct(ana.id, bo.id)
    async with bo.device("phone") as before, bo.device("phone") as after, ana.device("phone") as sender:
        await sender.send(conversation, text("hi"))
        await after.message(conversation, 1)
        # Not the one before: that was closed.
        await asyncio.wait_for(before.socket.wait_closed(), 30)
        assert [f for f in before.frames if f.get("type") == "message"] == []
