"""Mobile push: a device that registered is woken through SNS when its user is away or does not acknowledge."""

import asyncio
import json

import pytest

from client import direct, quoted, text
from stack import PUSH_DELAY_S
from test_queues import until

pytestmark = pytest.mark.needs("publishes")


async def register(user, token, device="phone"):
    body = {"platform": "fcm", "token": token}
    assert await user.http.call("PUT", f"/api/devices/{device}/push", body) == (204, None)


@pytest.fixture
def pushed(stack, recorder):
    """What was published to a token's endpoint so far: the messages to Firebase."""
    sns = stack.client("sns")

    def to(token):
        found = []
        for publish in recorder.publishes:
            endpoint = sns.get_endpoint_attributes(EndpointArn=publish["TargetArn"])["Attributes"]
            if (endpoint["Token"], publish["MessageStructure"]) == (token, "json"):
                found.append(json.loads(json.loads(publish["Message"])["GCM"])["fcmV1Message"]["message"])
        return found

    return to


async def test_device_that_is_away_is_woken(user, pushed):
    ana, bo = user("ana"), user("bo")
    conversation = direct(ana.id, bo.id)
    await register(bo, f"token-{bo.id}")
    async with ana.device() as hers:
        await hers.send(conversation, text("are you there?"))
    (push,) = await until(lambda: pushed(f"token-{bo.id}"))
    # Values of `data` are strings.
    assert push["data"] == {"conversation_id": conversation, "seq": "1", "sender_id": ana.id, "badge": "1"}
    assert push["notification"]["body"] == "are you there?"


async def test_pushes_of_a_conversation_collapse(user, pushed):
    ana, bo, cy = user("ana"), user("bo"), user("cy")
    await register(bo, f"token-{bo.id}")
    for sender, seen in [(ana, 0), (ana, 1), (cy, 0)]:
        await sender.http.say(text("hi"), to_user_id=bo.id, seen=seen)
    await until(lambda: len(pushed(f"token-{bo.id}")) == 3)
    keys = {}
    for push in pushed(f"token-{bo.id}"):
        keys.setdefault(push["data"]["conversation_id"], set()).add(push["android"]["collapse_key"])
    assert [len(keys[direct(sender.id, bo.id)]) for sender in (ana, cy)] == [1, 1]
    assert keys[direct(ana.id, bo.id)] != keys[direct(cy.id, bo.id)]


async def test_sealed_message_shows_nothing(user, pushed):
    ana, bo = user("ana"), user("bo")
    await register(bo, f"token-{bo.id}")
    async with ana.device() as hers:
        await hers.send(direct(ana.id, bo.id), {"type": "sealed", "ciphertext": "c2VjcmV0"})
    (push,) = await until(lambda: pushed(f"token-{bo.id}"))
    assert "c2VjcmV0" not in json.dumps(push)
    assert push["data"]["seq"] == "1"


async def test_device_that_was_posted_to_is_woken_unless_it_acknowledges(user, pushed):
    ana, bo = user("ana"), user("bo")
    conversation = direct(ana.id, bo.id)
    await register(bo, f"token-{bo.id}")
    async with ana.device() as hers, bo.device("phone") as his:
        await hers.send(conversation, text("acknowledged"))
        await his.message(conversation, 1)
        await his.ack(conversation, delivered=1)
        await hers.take(type="receipt")
        await hers.send(conversation, text("not acknowledged"), seen=1)
        await his.message(conversation, 2)
        (push,) = await until(lambda: pushed(f"token-{bo.id}"), PUSH_DELAY_S + 20)
        assert "not acknowledged" in json.dumps(push)


async def test_members_of_a_large_group_are_woken(user, pushed):
    members = [user(f"m{n}") for n in range(40)]
    group = (await members[0].http.found("forty", [one.id for one in members[1:]]))["conversation_id"]
    for one in members[38:]:
        await register(one, f"token-{one.id}")
    await members[0].http.say(text("wake up"), conversation_id=group)
    for one in members[38:]:
        pushes = await until(lambda: [p for p in pushed(f"token-{one.id}") if "wake up" in json.dumps(p)])
        assert len(pushes) == 1


async def test_device_that_signed_off_is_left_alone(user, pushed):
    ana, bo = user("ana"), user("bo")
    await register(bo, f"off-{bo.id}", "phone")
    await register(bo, f"on-{bo.id}", "tablet")
    assert await bo.http.call("DELETE", f"/api/devices/{quoted('phone')}/push") == (204, None)
    async with ana.device() as hers:
        await hers.send(direct(ana.id, bo.id), text("hi"))
    await until(lambda: pushed(f"on-{bo.id}"))
    await asyncio.sleep(1)
    assert pushed(f"off-{bo.id}") == []
