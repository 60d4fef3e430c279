"""Jobs that fail, and connections that are gone."""

import asyncio
import inspect
import json
import time
from contextlib import contextmanager

from client import direct, text

# Of a queue while a job shall fail five times. The template's 360 s would make it half an hour.
VISIBILITY_S = "1"
# For five tries of a poisoned job, pauses of the poller included.
POISON_S = 120


async def until(condition, within=30):
    """What the condition returns, once it is something. It may be one to wait for."""
    end = time.monotonic() + within
    while True:
        found = condition()
        if inspect.isawaitable(found):
            found = await found
        if found:
            return found
        assert time.monotonic() < end, f"not within {within} s"
        await asyncio.sleep(0.1)


@contextmanager
def paused(stack, logical_id):
    """The queue's mapping to its function does not poll."""
    stack.poll(logical_id, False)
    try:
        yield
    finally:
        stack.poll(logical_id, True)


@contextmanager
def shortened(sqs, queue):
    """The queue shows a message again soon."""
    before = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["VisibilityTimeout"])["Attributes"]
    sqs.set_queue_attributes(QueueUrl=queue, Attributes={"VisibilityTimeout": VISIBILITY_S})
    try:
        yield
    finally:
        sqs.set_queue_attributes(QueueUrl=queue, Attributes=before)


def waiting(sqs, queue):
    """How many messages the queue holds, seen or not."""
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible", "ApproximateNumberOfMessagesDelayed"]
    return sum(int(n) for n in sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=names)["Attributes"].values())


def receive(sqs, queue):
    found = sqs.receive_message(QueueUrl=queue, WaitTimeSeconds=1, AttributeNames=["ApproximateReceiveCount"])
    for message in found.get("Messages", []):
        sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
        return message
    return None


async def test_poisoned_job_ends_in_the_dead_letter_queue_alone(stack, user):
    """A job that cannot be read comes up five times and is put aside. The good one beside it, in the same batch, is done
    once: without reports of single failures it would come back with the other, or the other would be lost."""
    sqs = stack.client("sqs")
    queue, dead = stack.outputs["FanoutQueueUrl"], stack.outputs["FanoutDeadLetterQueueUrl"]
    members = [user(f"m{n}") for n in range(40)]
    group = (await members[0].http.found("forty", [one.id for one in members[1:]]))["conversation_id"]
    await until(lambda: waiting(sqs, queue) == 0)
    with shortened(sqs, queue):
        async with members[0].device() as hers, members[39].device() as his:
            with paused(stack, "FanoutFunctionQueue"):
                await hers.send(group, text("good"), seen=1)
                sqs.send_message(QueueUrl=queue, MessageBody='{"poison": true}')
                assert waiting(sqs, queue) == 2
            await his.message(group, 2)
            letter = await until(lambda: receive(sqs, dead), POISON_S)
            assert letter["Body"] == '{"poison": true}'
            # Five times to the function, once now.
            assert int(letter["Attributes"]["ApproximateReceiveCount"]) == 6
            await until(lambda: waiting(sqs, queue) == 0)
            assert receive(sqs, dead) is None
            # Done once: had the good job come back, its push would have come again.
            assert [f for f in his.frames if f.get("seq") == 2] == []


async def test_poisoned_push_job_ends_in_the_dead_letter_queue(stack):
    sqs = stack.client("sqs")
    queue, dead = stack.outputs["PushQueueUrl"], stack.outputs["PushDeadLetterQueueUrl"]
    with shortened(sqs, queue):
        sqs.send_message(QueueUrl=queue, MessageBody="poison")
        letter = await until(lambda: receive(sqs, dead), POISON_S)
        assert letter["Body"] == "poison"


def row(stack, user):
    """What the table holds of who is connected."""
    table = stack.outputs["ConnectionsTableName"]
    found = stack.client("dynamodb").get_item(TableName=table, Key={"user_id": {"S": user.id}}, ConsistentRead=True)
    return found.get("Item", {})


def put_back(stack, user, device, socket, age_s):
    """As if a socket had ended without anybody hearing of it."""
    stale = {"M": {**socket["M"], "at": {"N": str(int((time.time() - age_s) * 1000))}}}
    stack.client("dynamodb").update_item(
        TableName=stack.outputs["ConnectionsTableName"],
        Key={"user_id": {"S": user.id}},
        UpdateExpression="SET #device = :socket",
        ExpressionAttributeNames={"#device": f"d#{device}"},
        ExpressionAttributeValues={":socket": stale},
    )


async def test_rows_come_and_go_with_sockets(stack, user):
    bo = user("bo")
    async with bo.device("phone"):
        assert list(row(stack, bo)["d#phone"]["M"]) != []
    await until(lambda: "d#phone" not in row(stack, bo))


async def test_connection_that_is_gone_is_removed_at_the_first_post(stack, user):
    ana, bo = user("ana"), user("bo")
    async with bo.device("old"), bo.device("young"):
        sockets = row(stack, bo)
    await until(lambda: not {"d#old", "d#young"} & row(stack, bo).keys())
    put_back(stack, bo, "old", sockets["d#old"], 61)
    # Younger than 60 s it may be one whose $connect has not returned yet, and stays.
    put_back(stack, bo, "young", sockets["d#young"], 10)
    async with bo.device("live") as live, ana.device() as hers:
        await hers.send(direct(ana.id, bo.id), text("anyone?"))
        await live.message(direct(ana.id, bo.id), 1)
        assert {key for key in row(stack, bo) if key.startswith("d#")} == {"d#live", "d#young"}


async def test_sync_registers_a_socket_whose_row_is_lost(stack, user):
    ana, bo = user("ana"), user("bo")
    async with bo.device("phone") as his, ana.device() as hers:
        stack.client("dynamodb").delete_item(
            TableName=stack.outputs["ConnectionsTableName"], Key={"user_id": {"S": bo.id}}
        )
        await his.sync()
        await hers.send(direct(ana.id, bo.id), text("still there?"))
        await his.message(direct(ana.id, bo.id), 1)


async def test_failed_job_is_logged_as_json(stack):
    """One line at level ERROR that names the job."""
    sent = stack.client("sqs").send_message(QueueUrl=stack.outputs["FanoutQueueUrl"], MessageBody="unreadable")

    def lines():
        named = [it for it in stack.logged("fanout") if it.startswith("{") and sent["MessageId"] in it]
        return [line for line in map(json.loads, named) if line.get("level") == "ERROR"]

    assert len(await until(lines)) == 1
