"""Presence: who is online, for whom, and what watchers are told when it changes."""

from client import direct, text
from test_queues import row, until


async def presence(device, *users, watch=False):
    frame = {"action": "presence", "user_ids": [one.id for one in users], "watch": watch}
    answer = await device.ask(frame)
    assert answer["type"] == "presence"
    return {it["user_id"]: (it["online"], it["last_seen"]) for it in answer["users"]}


async def told(device, user):
    """What the next unasked frame about a user says."""
    frame = await device.take(type="presence", request_id=None)
    ((user_id, online, last_seen),) = [(it["user_id"], it["online"], it["last_seen"]) for it in frame["users"]]
    assert user_id == user.id
    return online, last_seen


async def test_watchers_are_told_who_comes_and_goes(stack, user):
    ana, bo, eve = user("ana"), user("bo"), user("eve")
    async with ana.device() as hers, eve.device() as strange:
        # Contacts are those who have a direct conversation; of others nothing is said, whatever they ask.
        await hers.send(direct(ana.id, bo.id), text("hi"))
        assert await presence(hers, bo, eve, watch=True) == {bo.id: (False, None), eve.id: (False, None)}
        assert await presence(strange, bo, watch=True) == {bo.id: (False, None)}
        async with bo.device("phone") as his:
            assert await told(hers, bo) == (True, None)
            assert await presence(hers, bo) == {bo.id: (True, None)}
            assert await presence(strange, bo) == {bo.id: (False, None)}
            assert await presence(his, ana, eve) == {ana.id: (True, None), eve.id: (False, None)}
        await until(lambda: "d#phone" not in row(stack, bo))
        (online, last_seen) = (await presence(hers, bo))[bo.id]
        assert (online, last_seen > 0) == (False, True)
        # Ten seconds after he went, for he might have come back.
        assert await told(hers, bo) == (False, last_seen)
        assert [frame for frame in strange.frames if frame["type"] == "presence"] == []
