"""Cold history: what the archiver has taken out of the table is read as before, by every function that reads."""

import json
import time

import pytest

from client import direct, quoted, refusal, text, uuid7
from test_pushes import pushed, register  # noqa: F401
from test_queues import until

# The archiver leaves the newest 100 where they are, and takes no fewer than 100.
TAIL = 100
COUNT = 210
COLD = COUNT - TAIL
# Of those, so many are older than the others.
OLDEST = 60
OLDEST_DAYS, OLD_DAYS = 40, 33
DAY_MS = 86_400_000


async def said(sender, conversation, count=COUNT):
    async with sender.device() as device:
        for seen in range(0, count, 10):
            messages = [{"message_id": uuid7(), "content": text(f"thing {seen + n}")} for n in range(1, 11)]
            frame = {"action": "send", "conversation_id": conversation, "seen": seen, "messages": messages}
            assert [it["seq"] for it in (await device.ask(frame))["results"]] == list(range(seen + 1, seen + 11))


def rows(stack, conversation):
    """What the table holds of a conversation."""
    pages = stack.client("dynamodb").get_paginator("query").paginate(
        TableName=stack.outputs["MessagesTableName"],
        KeyConditionExpression="conversation_id = :id",
        ExpressionAttributeValues={":id": {"S": conversation}},
        ConsistentRead=True,
    )
    return [item for page in pages for item in page["Items"]]


def age(stack, conversation):
    """As if all of it had been said a month ago and longer."""
    items = rows(stack, conversation)
    for item in items:
        days = OLDEST_DAYS if int(item["seq"]["N"]) <= OLDEST else OLD_DAYS
        item["at"] = {"N": str(int(item["at"]["N"]) - days * DAY_MS)}
    dynamodb, table = stack.client("dynamodb"), stack.outputs["MessagesTableName"]
    for first in range(0, len(items), 25):
        batch = [{"PutRequest": {"Item": item}} for item in items[first : first + 25]]
        assert dynamodb.batch_write_item(RequestItems={table: batch})["UnprocessedItems"] == {}


def archive(stack, conversation):
    """Runs the archiver, as when the conversation's timer has vanished."""
    key = {"pk": f"t#{conversation}", "sk": "timer"}
    dynamodb, table = stack.client("dynamodb"), stack.outputs["ConversationsTableName"]
    keys = {name: {"S": it} for name, it in key.items()}
    gone = dynamodb.delete_item(TableName=table, Key=keys, ReturnValues="ALL_OLD")
    assert "Attributes" in gone, "the conversation had no timer"
    assert stack.ran_out("ArchiveFunction", **key) == {"batchItemFailures": []}
    timer = dynamodb.get_item(TableName=table, Key=keys, ConsistentRead=True)["Item"]
    assert int(timer["ttl"]["N"]) > time.time()


def objects(stack, conversation):
    listed = stack.client("s3").list_objects_v2(Bucket=stack.resource("ArchiveBucket"), Prefix=f"{conversation}/")
    return [it["Key"] for it in listed.get("Contents", [])]


def notes(stack, conversation):
    """Of what was deleted while the archive has it."""
    return stack.client("dynamodb").query(
        TableName=stack.outputs["ConversationsTableName"],
        KeyConditionExpression="pk = :id AND begins_with(sk, :note)",
        ExpressionAttributeValues={":id": {"S": conversation}, ":note": {"S": "r#"}},
        ConsistentRead=True,
    )["Items"]


@pytest.fixture
async def cold(stack, user):
    """Two with a conversation whose old end is in the archive."""
    ana, bo = user("ana"), user("bo")
    conversation = direct(ana.id, bo.id)
    await said(ana, conversation)
    age(stack, conversation)
    archive(stack, conversation)
    # The first stays: by it the conversation is there.
    assert [int(item["seq"]["N"]) for item in rows(stack, conversation)] == [1, *range(COLD + 1, COUNT + 1)]
    assert objects(stack, conversation) == [f"{conversation}/{COLD:020}.zst"]
    return ana, bo, conversation


def seqs(page):
    return [entry["seq"] for entry in page["messages"]]


async def exported(user, conversation):
    """All entries of an export."""
    lines, after = [], 0
    while True:
        answer = await user.http.client.get(f"/api/conversations/{quoted(conversation)}/export", params={"after": after})
        assert answer.status_code == 200, answer.text
        if not answer.text:
            return lines
        lines += [json.loads(line) for line in answer.text.splitlines()]
        after = lines[-1]["seq"]


async def test_archived_history_is_read_answered_and_deleted_as_before(stack, cold):
    ana, bo, conversation = cold
    path = f"/api/conversations/{quoted(conversation)}"
    async with ana.device() as hers, bo.device() as his:
        # Over the seam, in both directions, and all of it old.
        page = await his.history(conversation, after=COLD - 5, limit=10)
        assert (seqs(page), page["more"]) == (list(range(COLD - 4, COLD + 6)), True)
        page = await his.history(conversation, before=COLD + 3, limit=5)
        assert (seqs(page), page["more"]) == (list(range(COLD - 2, COLD + 3)), True)
        page = await his.history(conversation, after=0, limit=100)
        assert [entry["content"] for entry in page["messages"]] == [text(f"thing {seq}") for seq in range(1, 101)]
        page = await bo.http.get(f"{path}/messages", around=50, limit=4)
        assert (seqs(page), page["more"], page["more_before"]) == ([49, 50, 51, 52], True, True)
        assert [line["seq"] for line in await exported(bo, conversation)] == list(range(1, COUNT + 1))
        # What was not sent for so long cannot be proved any more. What it answers to, sending finds there.
        assert await refusal(his.send(conversation, text("late"), seen=3)) == (None, "sync_required")
        reply = await his.send(conversation, {"type": "reply", "target": 3, "text": "to that"}, seen=COUNT)
        assert reply["seq"] == COUNT + 1
        # And so does reading: how many are read up to there stands in the archive.
        await his.ack(conversation, read=10)
        receipt = await hers.take(type="receipt", conversation_id=conversation)
        assert (receipt["user_id"], receipt["read"]) == (bo.id, 10)
        (listed,) = (await bo.http.get("/api/conversations"))["conversations"]
        assert (listed["head"], listed["read"], listed["unread"]) == (COUNT + 1, 10, COUNT + 1 - 10)
        # What is deleted goes from there: at first by a note beside it, which is gone when the archiver has been there.
        await hers.send(conversation, {"type": "delete", "target": 7}, seen=COUNT + 1)
        for noted in (1, 0):
            assert len(notes(stack, conversation)) == noted
            (entry,) = (await his.history(conversation, before=8, limit=1))["messages"]
            assert (entry["seq"], entry["content"]) == (7, {"type": "gone", "why": "deleted"})
            archive(stack, conversation)


@pytest.mark.needs("publishes")
async def test_badge_counts_what_can_be_read_in_the_archive(cold, stack, pushed):  # noqa: F811
    """Where retention ends within the archive, the push function reads there how much is over, as the others do."""
    ana, bo, conversation = cold
    path = f"/api/conversations/{quoted(conversation)}"
    kept = COUNT - OLDEST
    await register(bo, f"token-{bo.id}")
    await ana.http.good("PATCH", path, {"retention_days": (OLDEST_DAYS + OLD_DAYS) // 2})
    assert (await bo.http.get("/api/unread"))["messages"] == kept
    await ana.http.say(text("are you there?"), conversation_id=conversation)
    (push,) = await until(lambda: [it for it in pushed(f"token-{bo.id}") if it["data"]["seq"] == str(COUNT + 2)])
    assert push["data"]["badge"] == str(kept + 1)
    # The archiver comes: what is over is gone, and nothing else.
    archive(stack, conversation)
    page = await bo.http.get(f"{path}/messages", after=0, limit=2)
    assert seqs(page) == [OLDEST + 1, OLDEST + 2]
    assert (await bo.http.get("/api/unread"))["messages"] == kept + 1
