"""Webhooks: what is told to the operator's receiver waits until it can be told.

This stack's receiver is on the loopback, by a name that looks like another's, and the function does not call what is not
public. So nothing arrives here; that it is signed, and taken, is shown by tests/end_to_end/webhooks.rs.
"""

import json

import pytest

from client import direct, text
from test_queues import until, waiting


@pytest.fixture
def queue(stack):
    """The queue of events, empty. Its function does not run unless it is let."""
    url = stack.resource("WebhookQueue")
    stack.client("sqs").purge_queue(QueueUrl=url)
    return url


def jobs(stack, queue):
    """What the queue shows, all of which stays in it."""
    found = stack.client("sqs").receive_message(QueueUrl=queue, MaxNumberOfMessages=10, VisibilityTimeout=0)
    return [json.loads(message["Body"]) for message in found.get("Messages", [])]


def told(stack, conversation):
    """What the function says of the events of a conversation that it could not tell."""
    lines = [json.loads(line) for line in stack.logged("webhook") if line.startswith("{")]
    missed = "the receiver of webhooks was not reached"
    return [line for line in lines if (line.get("message"), line.get("conversation")) == (missed, conversation)]


async def test_events_are_queued_by_both_functions_that_store(stack, user, queue):
    ana, bo = user("ana"), user("bo")
    conversation = direct(ana.id, bo.id)
    async with ana.device() as device:
        sent = await device.send(conversation, text("hi"))
    group = await ana.http.found("crew", [bo.id])
    found = {job["event"]["stored"]["conversation_id"]: job for job in jobs(stack, queue)}
    assert {job["attempt"] for job in found.values()} == {0}
    assert found.keys() == {conversation, group["conversation_id"]}
    stored = found[conversation]["event"]["stored"]
    assert (stored["message_id"], stored["seq"], stored["content"]) == (sent["message_id"], 1, text("hi"))


async def test_event_that_cannot_be_told_comes_again(stack, user, queue, receiver):
    ana, bo = user("ana"), user("bo")
    conversation = direct(ana.id, bo.id)
    async with ana.device() as device:
        await device.send(conversation, text("hi"))
    stack.poll("WebhookFunctionQueue", True)
    try:
        first, second = await until(lambda: len(told(stack, conversation)) == 2 and told(stack, conversation))
        # It waits for the third time, alone.
        await until(lambda: waiting(stack.client("sqs"), queue) == 1)
    finally:
        stack.poll("WebhookFunctionQueue", False)
    for line in (first, second):
        assert "the name has no public address" in line["error"]
    # The same event, in another job.
    assert first["id"] == second["id"] and first["job"] != second["job"]
    with pytest.raises(BlockingIOError):
        receiver.accept()
    assert waiting(stack.client("sqs"), stack.resource("WebhookDeadLetterQueue")) == 0
