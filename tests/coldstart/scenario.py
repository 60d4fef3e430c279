"""What is asked of each function, what AWS answers, and what must have come of it: one text message to one person who is
online with one device, from a client that is up to date."""

import json
import os

STAGE = "live"
SEEN = 41
CONVERSATION = "d:ana:bo"
CONTENT = {"type": "text", "text": "Shall we meet at the station at seven, or is that too early for you?"}


def message_id(number: int) -> str:
    """The id that the sender minted for the message of this number."""
    return f"0192f3c4-0000-7000-8000-{number:012x}"


def event(number: int) -> dict:
    """The event of the message of this number, as API Gateway makes it."""
    frame = {
        "action": "send",
        "to_user_id": "bo",
        "seen": SEEN,
        "message_id": message_id(number),
        "content": CONTENT,
    }
    return {
        "requestContext": {
            "routeKey": "send",
            "messageId": "GXLKJfX4FiACG1w=",
            "eventType": "MESSAGE",
            "extendedRequestId": "GXLKJFn_FiAFnVw=",
            "requestTime": "24/Nov/2026:12:00:00 +0000",
            "messageDirection": "IN",
            "stage": STAGE,
            "connectedAt": 1_790_000_000_000,
            "requestTimeEpoch": 1_790_000_100_000,
            "requestId": "GXLKJFn_FiAFnVw=",
            "domainName": "api.execute-api.eu-central-1.amazonaws.com",
            "connectionId": "socket-ana",
            "apiId": "api",
            "authorizer": {"user": "ana", "device": "phone", "principalId": "ana", "integrationLatency": 7},
            "identity": {"sourceIp": "192.0.2.1"},
        },
        "body": json.dumps(frame),
        "isBase64Encoded": False,
    }


def answers(operation: str, body: dict) -> dict:
    """What DynamoDB answers: the message the client has seen last, no block, and a device for each of the two."""
    if operation == "Query":
        item = entry(SEEN, message_id(0), "bo", {"type": "text", "text": "Tomorrow it is."})
        item["at"] = {"N": "1790000000000"}
        return {"Items": [item], "Count": 1, "ScannedCount": 1}
    if operation == "BatchGetItem":
        rows = [
            {
                "user_id": {"S": user},
                f"d#{device}": {"M": {"id": {"S": f"socket-{user}"}, "at": {"N": "1790000000000"}}},
            }
            for user, device in [("ana", "phone"), ("bo", "tablet")]
        ]
        return {"Responses": {"connections": rows}, "UnprocessedKeys": {}}
    return {}


def entry(seq: int, message: str, sender: str, content: dict) -> dict:
    """The item of an entry without its time."""
    return {
        "conversation_id": {"S": CONVERSATION},
        "seq": {"N": str(seq)},
        "mid": {"S": message},
        "u": {"S": sender},
        "o": {"N": str(seq - 1)},
        "c": {"S": json.dumps(content)},
    }


def check(number: int, asked: list[tuple[str, dict | str]], outcome: tuple[str, dict]) -> None:
    """Raises AssertionError unless exactly this message was stored, delivered and answered, by exactly these calls."""
    names = [name for name, _ in asked]
    post = f"POST /{STAGE}/@connections/socket-bo"
    same(sorted(names[:2]), ["GetItem", "Query"], "the reads")
    same(names[2:], ["PutItem", "BatchGetItem", post], "the calls after them")
    calls = dict(asked)

    query, block, put, batch = (calls[name] for name in ["Query", "GetItem", "PutItem", "BatchGetItem"])
    same((query["TableName"], query["ConsistentRead"], query["ScanIndexForward"]), ("messages", True, False), "Query")
    key = {"pk": {"S": "u#bo"}, "sk": {"S": "b#ana"}}
    same((block["TableName"], block["ConsistentRead"], block["Key"]), ("conversations", True, key), "GetItem")
    stored = dict(put["Item"])
    at = int(stored.pop("at")["N"])
    stored["c"] = {"S": json.dumps(json.loads(stored["c"]["S"]))}
    same(stored, entry(SEEN + 1, message_id(number), "ana", CONTENT), "the item")
    same((put["TableName"], put["ConditionExpression"]), ("messages", "attribute_not_exists(#seq)"), "PutItem")
    wanted = batch["RequestItems"]["connections"]
    users = sorted(key["user_id"]["S"] for key in wanted["Keys"])
    same((users, wanted["ConsistentRead"]), (["ana", "bo"], True), "BatchGetItem")

    place = {"conversation_id": CONVERSATION, "seq": SEEN + 1, "message_id": message_id(number), "sent_at": at}
    message = {"type": "message", **place, "ordinal": SEEN, "sender_id": "ana", "content": CONTENT}
    same(json.loads(calls[post]), message, "the frame to the other device")
    same((outcome[0], outcome[1].get("statusCode")), ("response", 200), f"the response {outcome[1]}")
    same(json.loads(outcome[1]["body"]), {"type": "sent", **place, "duplicate": False}, "the answer")


def same(found: object, expected: object, what: str) -> None:
    """Raises AssertionError, and says how they differ, unless both are equal."""
    if found != expected:
        raise AssertionError(f"{what}: found {found}, expected {expected}")


def environment(ports: dict[str, int], runtime: int, roots: os.PathLike) -> dict[str, str]:
    """What Lambda and the template give the function, and whom each runtime trusts."""
    url = {service: f"https://localhost:{port}" for service, port in ports.items()}
    return {
        "PATH": os.environ["PATH"],
        "LANG": "en_US.UTF-8",
        "TZ": ":UTC",
        "AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{runtime}",
        "AWS_LAMBDA_FUNCTION_NAME": "send",
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "512",
        "AWS_LAMBDA_LOG_GROUP_NAME": "/aws/lambda/send",
        "AWS_LAMBDA_LOG_STREAM_NAME": "2026/11/24/[$LATEST]0",
        "AWS_LAMBDA_LOG_FORMAT": "JSON",
        "AWS_LAMBDA_LOG_LEVEL": "INFO",
        "RUST_LOG": "INFO",
        "AWS_REGION": "eu-central-1",
        "AWS_DEFAULT_REGION": "eu-central-1",
        "AWS_ACCESS_KEY_ID": "x" * 20,
        "AWS_SECRET_ACCESS_KEY": "x" * 40,
        "AWS_SESSION_TOKEN": "x" * 700,
        "AWS_ENDPOINT_URL_DYNAMODB": url["dynamo"],
        "AWS_ENDPOINT_URL_SQS": url["sqs"],
        "SSL_CERT_FILE": str(roots),
        "NODE_EXTRA_CA_CERTS": str(roots),
        "AWS_CA_BUNDLE": str(roots),
        "PETREL_MESSAGES_TABLE": "messages",
        "PETREL_CONVERSATIONS_TABLE": "conversations",
        "PETREL_CONNECTIONS_TABLE": "connections",
        "PETREL_ARCHIVE_BUCKET": "archive",
        # The others limit nothing either, so that all store the same item.
        "PETREL_LIMITS": "conversation=0,messages=0,requests=0",
        "PETREL_FANOUT_QUEUE_URL": f"{url['sqs']}/123456789012/fanout",
        "PETREL_PUSH_QUEUE_URL": f"{url['sqs']}/123456789012/push",
        "PETREL_PUSH_DELAY_S": "30",
        "PETREL_WEBSOCKET_ENDPOINT": f"{url['gateway']}/{STAGE}",
    }
