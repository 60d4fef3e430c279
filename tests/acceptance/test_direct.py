"""Two people: sending, both sides' devices, duplicates, receipts, typing, history, what is refused."""

import json
from contextlib import AsyncExitStack

import pytest

from client import Refused, direct, quoted, text, uuid7


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
        assert [f["seq"] for f in his[0].frames if f.get("type") == "message"] == []


async def test_same_message_again_keeps_its_place(user):
    ana, bo = user("ana"), user("bo")
    conversation = direct(ana.id, bo.id)
    async with ana.device() as device:
        message_id = uuid7()
        first = await device.send(conversation, text("once"), message_id=message_id)
        await device.send(conversation, text("between"), seen=1)
        again = await device.send(conversation, text("once"), message_id=message_id)
        assert (again["seq"], again["sent_at"], again["duplicate"]) == (first["seq"], first["sent_at"], True)
        over_http = {"to_user_id": bo.id, "message_id": message_id, "content": text("once")}
        status, answer = await ana.http.call("POST", "/api/messages", over_http)
        assert (status, answer["seq"], answer["duplicate"]) == (200, 1, True)
        entries = (await device.history(conversation, after=0))["messages"]
        assert [entry["content"]["text"] for entry in entries] == ["once", "between"]


async def test_several_messages_in_one_frame(user):
    ana, bo = user("ana"), user("bo")
    conversation = direct(ana.id, bo.id)
    messages = [{"message_id": uuid7(), "content": text(str(n))} for n in range(10)]
    frame = {"action": "send", "conversation_id": conversation, "seen": 0, "messages": messages}
    async with ana.device() as device, bo.device() as his:
        results = (await device.ask(frame))["results"]
        assert [(r["seq"], r["duplicate"]) for r in results] == [(n, False) for n in range(1, 11)]
        for n in range(10):
            assert (await his.message(conversation, n + 1))["content"] == text(str(n))
        # One that fails ends it: the rest was not tried.
        new = [{"message_id": uuid7(), "content": content} for content in (
            text("fine"), {"type": "reply", "target": 99, "text": "to nothing"}, text("never"))]
        results = (await device.ask(frame | {"messages": [messages[0], *new]}))["results"]
        assert [(r.get("seq"), r.get("duplicate")) for r in results] == [(1, True), (11, False), (None, None)]
        assert results[2]["error"]["code"] == "not_found"


async def test_receipts(user):
    ana, bo = user("ana"), user("bo")
    conversation = direct(ana.id, bo.id)
    async with ana.device() as hers, bo.device() as his:
        for seen in range(3):
            await hers.send(conversation, text("hi"), seen=seen)
        await his.ack(conversation, delivered=3)
        receipt = await hers.take(type="receipt", conversation_id=conversation)
        assert (receipt["user_id"], receipt["delivered"], receipt["read"]) == (bo.id, 3, 0)
        await his.ack(conversation, read=2)
        receipt = await hers.take(type="receipt", conversation_id=conversation)
        assert (receipt["delivered"], receipt["read"]) == (3, 2)
        path = f"/api/conversations/{quoted(conversation)}"
        assert await bo.http.call("POST", f"{path}/ack", {"read": 3}) == (204, None)
        assert (await hers.take(type="receipt"))["read"] == 3
        counts = await ana.http.get(f"{path}/receipts", seq=3)
        assert (counts["members"], counts["delivered"], counts["read"]) == (1, 1, 1)
        assert counts["readers"] == [{"user_id": bo.id, "delivered": 3, "read": 3}]
        (row,) = (await his.sync())[1]["conversations"]
        assert (row["id"], row["head"], row["delivered"], row["read"], row["unread"]) == (conversation, 3, 3, 3, 0)
        # Watermarks only grow: an older one changes nothing.
        await his.ack(conversation, read=1)
        (row,) = (await his.sync())[1]["conversations"]
        assert row["read"] == 3


async def test_typing(user):
    ana, bo = user("ana"), user("bo")
    conversation = direct(ana.id, bo.id)
    async with ana.device() as hers, bo.device() as his:
        await hers.send(conversation, text("hi"))
        for active in (True, False):
            await his.typing(conversation, active)
            frame = await hers.take(type="typing", conversation_id=conversation)
            assert (frame["user_id"], frame["active"]) == (bo.id, active)
        # It leaves no trace.
        assert [e["content"] for e in (await hers.history(conversation, after=0))["messages"]] == [text("hi")]


async def test_history_in_pages(user):
    ana, bo = user("ana"), user("bo")
    conversation = direct(ana.id, bo.id)
    async with ana.device() as device:
        for first in range(0, 30, 10):
            messages = [{"message_id": uuid7(), "content": text(str(first + n))} for n in range(1, 11)]
            await device.ask({"action": "send", "conversation_id": conversation, "seen": 0, "messages": messages})
        page = await device.history(conversation, before=21, limit=7)
        assert ([e["seq"] for e in page["messages"]], page["more"]) == (list(range(14, 21)), True)
        page = await device.history(conversation, after=25, limit=100)
        assert ([e["seq"] for e in page["messages"]], page["more"]) == (list(range(26, 31)), False)
        path = f"/api/conversations/{quoted(conversation)}/messages"
        page = await bo.http.get(path, before=3)
        assert ([e["seq"] for e in page["messages"]], page["more"]) == ([1, 2], False)


async def test_content_of_every_kind(user):
    ana, bo = user("ana"), user("bo")
    conversation = direct(ana.id, bo.id)
    contents = [
        text("hi \U0001f980"),
        {"type": "reply", "target": 1, "text": "yes"},
        {"type": "edit", "target": 1, "text": "hello"},
        {"type": "reaction", "target": 1, "emoji": "\U0001f44d"},
        {"type": "sealed", "ciphertext": "AAECAw=="},
        {"type": "delete", "target": 2},
    ]
    async with ana.device() as hers, bo.device() as his:
        for seen, content in enumerate(contents):
            await hers.send(conversation, content, seen=seen)
            got = await his.message(conversation, seen + 1)
            assert {key: got["content"][key] for key in content} == content
        (row,) = (await his.sync())[1]["conversations"]
        # Text, reply, media and sealed count as unread.
        assert row["unread"] == 3


def refused_frames(me, other, stranger):
    """Frames that are refused, and with what. `me` and `other` have a conversation of one message."""
    ours = {"conversation_id": direct(me, other)}
    send = {"action": "send", "message_id": uuid7(), "content": text("never stored"), "seen": 0}
    return [
        ({"action": "dance"}, "unknown_action"),
        ({"action": "presence", "user_ids": []}, "bad_request"),
        ({"no": "action"}, "bad_request"),
        (send, "bad_request"),
        (send | ours | {"message_id": "x"}, "bad_request"),
        (send | ours | {"content": {"type": "spell"}}, "bad_request"),
        (send | ours | {"content": text("")}, "bad_request"),
        (send | ours | {"content": text("x" * (16 * 1024 + 1))}, "too_large"),
        (send | ours | {"seen": 9}, "sync_required"),
        (send | ours | {"content": {"type": "reply", "target": 9, "text": "x"}}, "not_found"),
        (send | ours | {"content": {"type": "edit", "target": 1, "text": "not mine"}}, "forbidden"),
        (send | {"conversation_id": direct(stranger, other)}, "not_a_member"),
        (send | {"conversation_id": f"g:{uuid7()}"}, "not_a_member"),
        ({"action": "ack", "delivered": 9} | ours, "bad_request"),
        ({"action": "ack"} | ours, "bad_request"),
        ({"action": "history", "before": 1, "after": 1} | ours, "bad_request"),
        ({"action": "history", "after": 0, "limit": 101} | ours, "bad_request"),
        ({"action": "history", "after": 0, "conversation_id": direct(stranger, other)}, "not_a_member"),
        ({"action": "sync", "cursors": {}, "limit": 0}, "bad_request"),
        ({"action": "typing", "active": True, "conversation_id": direct(stranger, other)}, "not_a_member"),
    ]


async def test_refused_frames(user):
    ana, bo = user("ana"), user("bo")
    conversation = direct(ana.id, bo.id)
    async with ana.device() as hers, bo.device() as his:
        await his.send(conversation, text("hi"))
        for frame, code in refused_frames(ana.id, bo.id, user("cy").id):
            with pytest.raises(Refused) as refusal:
                await hers.ask(frame)
            error = refusal.value.frame
            assert error["code"] == code, (frame, error)
            assert error["message"]
            if frame.get("action") == "send" and frame["message_id"] != "x":
                assert error["message_id"] == frame["message_id"]
        await hers.socket.send("no JSON")
        error = await hers.take(type="error")
        assert error["code"] == "bad_request"
        assert [e["seq"] for e in (await hers.history(conversation, after=0))["messages"]] == [1]


@pytest.mark.needs("frame_limit")
async def test_frame_beyond_the_limit_ends_the_socket(user):
    async with user("ana").device() as device:
        await device.socket.send(json.dumps({"action": "sync", "pad": "x" * 33 * 1024}))
        await device.socket.wait_closed()
        assert device.socket.close_code == 1009
