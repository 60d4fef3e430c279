"""Whoever was away gets what he missed."""

from client import direct, text, uuid7


async def test_offline_catch_up(user):
    ana, bo = user("ana"), user("bo")
    conversation = direct(ana.id, bo.id)
    async with ana.device("phone") as hers:
        async with bo.device("phone") as his:
            await hers.send(conversation, text("1"))
            await his.message(conversation, 1)
            await his.ack(conversation, delivered=1)
            await hers.take(type="receipt")
        for seen in range(1, 6):
            await hers.send(conversation, text(str(seen + 1)), seen=seen)
        async with bo.device("phone") as his:
            entries, synced = await his.sync({conversation: 1})
            assert [(e["seq"], e["content"]["text"]) for e in entries[conversation]] == [
                (seq, str(seq)) for seq in range(2, 7)
            ]
            (row,) = synced["conversations"]
            assert (row["head"], row["sent_through"], row["delivered"], row["unread"]) == (6, 6, 1, 6)
            # Without a cursor it starts at what was delivered.
            entries, _ = await his.sync()
            assert [e["seq"] for e in entries[conversation]] == list(range(2, 7))
            # And from now on pushes come again.
            await hers.send(conversation, text("7"), seen=6)
            await his.message(conversation, 7)


async def test_new_conversations_are_found(user):
    """One whose first message was missed has no cursor anywhere."""
    bo = user("bo")
    others = [user(f"u{n}") for n in range(3)]
    for other in others:
        await other.http.say(text("hi"), to_user_id=bo.id)
    async with bo.device() as his:
        entries, synced = await his.sync()
        expected = sorted(direct(other.id, bo.id) for other in others)
        assert [row["id"] for row in synced["conversations"]] == expected
        assert sorted(entries) == expected
    over_http = await bo.http.good("POST", "/api/sync", {"cursors": {expected[0]: 1}})
    assert sorted(batch["conversation_id"] for batch in over_http["batches"] if batch["messages"]) == expected[1:]
    listed = await bo.http.get("/api/conversations")
    assert [row["id"] for row in listed["conversations"]] == expected


async def test_catch_up_in_steps_and_from_the_end(user):
    ana, bo = user("ana"), user("bo")
    conversation = direct(ana.id, bo.id)
    async with ana.device() as hers, bo.device() as his:
        for _ in range(3):
            messages = [{"message_id": uuid7(), "content": text("x")} for _ in range(10)]
            await hers.ask({"action": "send", "conversation_id": conversation, "seen": 0, "messages": messages})
        cursor, seqs = 0, []
        for _ in range(3):
            entries, synced = await his.sync({conversation: cursor}, limit=12)
            seqs += [e["seq"] for e in entries[conversation]]
            (row,) = synced["conversations"]
            cursor = row["sent_through"]
        assert (seqs, cursor, row["head"]) == (list(range(1, 31)), 30, 30)
        entries, _ = await his.sync({conversation: 0}, limit=5, tail=True)
        assert [e["seq"] for e in entries[conversation]] == list(range(26, 31))


async def test_large_history_comes_in_several_frames(user):
    ana, bo = user("ana"), user("bo")
    conversation = direct(ana.id, bo.id)
    async with ana.device() as hers, bo.device() as his:
        # Together more than the 100 KiB of a frame.
        for seen in range(12):
            await hers.send(conversation, text(str(seen % 10) * 15_000), seen=seen)
        entries, synced = await his.sync({conversation: 0})
        assert [e["seq"] for e in entries[conversation]] == list(range(1, 13))
        assert [len(e["content"]["text"]) for e in entries[conversation]] == [15_000] * 12
