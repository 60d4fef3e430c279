"""Groups: membership, and fan-out through the queue. Up to 32 recipients are posted to at once, so 50 and 300 are not."""

import asyncio
from contextlib import AsyncExitStack

import pytest

from client import Refused, quoted, text, uuid7
from test_queues import until

# Sockets that are opened at the same time.
AT_ONCE = 8


async def open_all(open_, users):
    """A device of each, once all are there."""
    room = asyncio.Semaphore(AT_ONCE)

    async def one(user):
        async with room:
            return await open_.enter_async_context(user.device("phone"))

    return await asyncio.gather(*(one(user) for user in users))


@pytest.mark.parametrize("size", [50, 300])
async def test_every_member_of_a_large_group_gets_it(stack, user, size):
    members = [user(f"m{n}") for n in range(size)]
    creator, others = members[0], members[1:]
    # Founded by one request.
    group = await creator.http.found("everyone", [one.id for one in others])
    conversation = group["conversation_id"]
    change = group["change"]["change"]
    assert (group["seq"], change["kind"], len(change["members"])) == (1, "created", size)
    # All but two are online; the creator has a second device.
    absent, online = others[:2], others[2:]
    async with AsyncExitStack() as open_:
        hers = await open_.enter_async_context(creator.device("phone"))
        tablet = await open_.enter_async_context(creator.device("tablet"))
        devices = await open_all(open_, online)
        before = stack.invocations("fanout")
        began = asyncio.get_running_loop().time()
        sent = await hers.send(conversation, text("to all"), seen=1)
        assert (sent["seq"], sent["duplicate"]) == (2, False)
        for device in [*devices, tablet]:
            got = await device.message(conversation, 2)
            assert (got["content"], got["sender_id"], got["ordinal"]) == (text("to all"), creator.id, 1)
        took = asyncio.get_running_loop().time() - began
        print(f"group of {size}: {len(devices) + 1} devices have it after {took * 1000:.0f} ms")
        # The function that sends delivers by itself if SQS refuses, so that nobody would notice. It has not.
        await until(lambda: stack.invocations("fanout") > before)
        # From a member, by HTTP: fan-out from the other function that sends.
        await online[0].http.say(text("hi"), conversation_id=conversation)
        for device in [hers, tablet, *devices]:
            assert (await device.message(conversation, 3))["sender_id"] == online[0].id
        # While the others are online: as many sockets that close at once keep the emulator busy for seconds.
        for one in absent:
            async with one.device("phone") as late:
                entries, synced = await late.sync()
                assert [e["seq"] for e in entries[conversation]] == [1, 2, 3]
                assert synced["conversations"][0]["unread"] == 2


async def test_membership(user):
    ana, bo, cy, di = (user(name) for name in ("ana", "bo", "cy", "di"))
    founding = {"request_id": uuid7()}
    group = (await ana.http.found("three", [bo.id, cy.id], **founding))["conversation_id"]
    assert (await ana.http.found("three", [bo.id, cy.id], **founding))["conversation_id"] == group
    path = f"/api/conversations/{quoted(group)}"
    described = await bo.http.get(path)
    assert (described["name"], described["created_by"]) == ("three", ana.id)
    assert {m["user_id"]: m["role"] for m in described["members"]} == {
        ana.id: "owner", bo.id: "member", cy.id: "member"}
    async with bo.device() as his, di.device() as new:
        await his.send(group, text("before di"), seen=1)
        # Only an admin adds.
        with pytest.raises(Refused) as refusal:
            await bo.http.good("POST", f"{path}/members", {"user_ids": [di.id]})
        assert (refusal.value.status, refusal.value.code) == (403, "forbidden")
        with pytest.raises(Refused) as refusal:
            await new.send(group, text("let me in"))
        assert refusal.value.code == "not_a_member"
        added = await ana.http.good("POST", f"{path}/members", {"user_ids": [di.id]})
        change = {"type": "system", "change": {"kind": "added", "members": [di.id]}}
        assert (added["seq"], added["change"]) == (3, change)
        assert (await new.message(group, 3))["content"] == change
        await his.message(group, 3)
        # The same request again is the same change; one who was there from the start needs none.
        assert await ana.http.good("POST", f"{path}/members", {"user_ids": [di.id]}) == added
        none = await ana.http.good("POST", f"{path}/members", {"user_ids": [bo.id]})
        assert (none["seq"], none["change"]) == (None, None)
        # Nobody reads what was said before he came.
        page = await new.history(group, after=0)
        assert [e["seq"] for e in page["messages"]] == [3]
        await new.send(group, text("thanks"), seen=3)
        await his.message(group, 4)
        removed = await ana.http.good("DELETE", f"{path}/members/{quoted(cy.id)}")
        change = {"type": "system", "change": {"kind": "removed", "members": [cy.id]}}
        assert (removed["seq"], removed["change"]) == (5, change)
        # Leaving needs no admin.
        left = await bo.http.good("DELETE", f"{path}/members/{quoted(bo.id)}")
        assert left["seq"] == 6
        for gone in (bo, cy):
            with pytest.raises(Refused) as refusal:
                await gone.http.get(path)
            assert (refusal.value.status, refusal.value.code) == (403, "not_a_member")
        await ana.http.say(text("who is left?"), conversation_id=group)
        await new.message(group, 7)
        await his.sync()
        assert not [f for f in his.frames if f.get("seq") == 7]
