"""Two people: sending, both sides' devices, duplicates, receipts, typing, history."""

from contextlib import AsyncExitStack

import pytest

from client import Refused, direct, text, uuid7


async def test_message_reaches_all_devices_of_both(user):
    ana, bo = user("ana"), user("bo")
    conversation = direct(ana.id, bo.id)
    async with AsyncExitStack() as open_:
        phone = await open_.enter_async_context(ana.device("phone"))
        laptop = await open_.enter_async_context(ana.device("laptop"))
        his = [await open_.enter_async_context(bo.device(id)) for id in ("phone", "tablet")]
        sent = await phone.ask(
            {"action": "send", "to_user_id": bo.id, "seen": 0, "message_id": uuid7(), "content": text("hi")}
        )
        assert sent["type"] == "sent"
        assert sent["conversation_id"] == conversation
        assert (sent["seq"], sent["duplicate"]) == (1, False)
        for device in [*his, laptop]:
            got = await device.message(conversation, 1)
            assert got["sender_id"] == ana.id
            assert got["message_id"] == sent["message_id"]
            assert got["content"] == text("hi")
            assert (got["ordinal"], got["sent_at"]) == (1, sent["sent_at"])
        answered = await his[0].send(conversation, text("hello"), seen=1)
        assert answered["seq"] == 2
        assert (await phone.message(conversation, 2))["sender_id"] == bo.id
        # What one sends does not come back to the same device.
        assert not [f for f in phone.frames if f.get("type") == "message"]
