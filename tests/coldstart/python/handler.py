"""What Petrel's `send` does with one text message to one person, written as one would in Python: clients made once, what
can run side by side does, every read strongly consistent."""

import json
import os
import time
from concurrent.futures import ThreadPoolExecutor

import boto3
from botocore.config import Config

MESSAGES = os.environ["PETREL_MESSAGES_TABLE"]
CONVERSATIONS = os.environ["PETREL_CONVERSATIONS_TABLE"]
CONNECTIONS = os.environ["PETREL_CONNECTIONS_TABLE"]
SESSION = boto3.session.Session()
DYNAMO = SESSION.client("dynamodb", config=Config(retries={"max_attempts": 3, "mode": "standard"}))
GATEWAY = SESSION.client(
    "apigatewaymanagementapi",
    endpoint_url=os.environ["PETREL_WEBSOCKET_ENDPOINT"],
    config=Config(retries={"max_attempts": 2, "mode": "standard"}),
)
POOL = ThreadPoolExecutor(8)


def read(condition: str, values: dict, newest_first: bool) -> list[dict]:
    """The entries that match, oldest first."""
    entries, start = [], {}
    while True:
        page = DYNAMO.query(
            TableName=MESSAGES,
            ConsistentRead=True,
            ScanIndexForward=not newest_first,
            Limit=200,
            KeyConditionExpression=condition,
            ExpressionAttributeNames={"#c": "conversation_id", "#seq": "seq"},
            ExpressionAttributeValues=values,
            **start,
        )
        entries += page["Items"]
        if "LastEvaluatedKey" not in page:
            return entries[::-1] if newest_first else entries
        start = {"ExclusiveStartKey": page["LastEvaluatedKey"]}


def store(sender: str, frame: dict, conversation: str, tail: list[dict]) -> tuple[dict, bool]:
    """Stores the message once, at the next place, and returns its entry."""
    for _ in range(12):
        for entry in tail:
            if entry["mid"]["S"] == frame["message_id"] and entry["u"]["S"] == sender:
                return entry, True
        last = tail[-1]
        head = int(last["seq"]["N"])
        entry = {
            "conversation_id": {"S": conversation},
            "seq": {"N": str(head + 1)},
            "mid": {"S": frame["message_id"]},
            "u": {"S": sender},
            "at": {"N": str(max(int(time.time() * 1000), int(last["at"]["N"]) + 1))},
            "o": {"N": str(int(last["o"]["N"]) + 1)},
            "c": {"S": json.dumps(frame["content"])},
        }
        try:
            DYNAMO.put_item(
                TableName=MESSAGES,
                Item=entry,
                ConditionExpression="attribute_not_exists(#seq)",
                ExpressionAttributeNames={"#seq": "seq"},
            )
            return entry, False
        except DYNAMO.exceptions.ConditionalCheckFailedException:
            above = {":c": {"S": conversation}, ":after": {"N": str(head)}}
            tail += read("#c = :c AND #seq > :after", above, False)
    raise RuntimeError("busy")


def connected(users: list[str]) -> list[str]:
    """The connections of these users."""
    found = []
    keys = [{"user_id": {"S": user}} for user in users]
    wanted = {CONNECTIONS: {"Keys": keys, "ConsistentRead": True}}
    while wanted:
        answer = DYNAMO.batch_get_item(RequestItems=wanted)
        for item in answer["Responses"][CONNECTIONS]:
            found += [value["M"]["id"]["S"] for name, value in item.items() if name.startswith("d#")]
        wanted = answer.get("UnprocessedKeys")
    return found


def post(connection: str, frame: str) -> None:
    """Posts to one socket; one that is gone is nobody's failure."""
    try:
        GATEWAY.post_to_connection(ConnectionId=connection, Data=frame)
    except GATEWAY.exceptions.GoneException:
        pass


def answer(frame: dict) -> dict:
    """The route's response."""
    return {"statusCode": 200, "headers": {}, "isBase64Encoded": False, "body": json.dumps(frame)}


def handle(event: dict, _context: object) -> dict:
    """Stores the message, delivers it, and only then answers."""
    context = event["requestContext"]
    user = context["authorizer"]["user"]
    frame = json.loads(event["body"])
    peer = frame["to_user_id"]
    conversation = "d:" + ":".join(sorted([user, peer]))
    first = max(frame["seen"], 1)
    block = POOL.submit(
        DYNAMO.get_item,
        TableName=CONVERSATIONS,
        Key={"pk": {"S": f"u#{peer}"}, "sk": {"S": f"b#{user}"}},
        ConsistentRead=True,
    )
    above = {":c": {"S": conversation}, ":from": {"N": str(first)}}
    tail = read("#c = :c AND #seq >= :from", above, True)
    if "Item" in block.result():
        return answer({"type": "error", "code": "not_a_member", "message_id": frame["message_id"]})
    if not tail or [int(entry["seq"]["N"]) for entry in tail] != list(range(first, first + len(tail))):
        return answer({"type": "error", "code": "sync_required", "message_id": frame["message_id"]})

    entry, duplicate = store(user, frame, conversation, tail)
    place = {"conversation_id": conversation, "seq": int(entry["seq"]["N"])}
    at = {"message_id": entry["mid"]["S"], "sent_at": int(entry["at"]["N"])}
    content = json.loads(entry["c"]["S"])
    message = {"type": "message", **place, "ordinal": int(entry["o"]["N"]), **at, "sender_id": user, "content": content}
    others = [socket for socket in connected([user, peer]) if socket != context["connectionId"]]
    if len(others) == 1:
        post(others[0], json.dumps(message))
    else:
        list(POOL.map(lambda socket: post(socket, json.dumps(message)), others))
    return answer({"type": "sent", **place, **at, "duplicate": duplicate})
