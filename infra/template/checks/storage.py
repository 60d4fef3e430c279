"""What keeps: tables, queues, buckets."""

import json

from .template import arn

KEYS = {
    "MessagesTable": [("conversation_id", "HASH", "S"), ("seq", "RANGE", "N")],
    "ConversationsTable": [("pk", "HASH", "S"), ("sk", "RANGE", "S")],
    "ConnectionsTable": [("user_id", "HASH", "S")],
}
TTL = {"ConversationsTable": "ttl"}
STREAMS = {"ConversationsTable": "KEYS_ONLY"}
# What the archiver is told of: timers that the TTL has deleted, and nothing else.
TIMERS = {
    "userIdentity": {"type": ["Service"], "principalId": ["dynamodb.amazonaws.com"]},
    "dynamodb": {"Keys": {"sk": {"S": ["timer"]}}},
}
# What the function behind the media bucket is told of: bytes that arrived, and verdicts, of this bucket and no other.
MEDIA = [{"Ref": "MediaBucket"}]
FILES = {
    "MediaFunctionStored": {
        "source": ["aws.s3"],
        "detail-type": ["Object Created"],
        "detail": {"bucket": {"name": MEDIA}},
    },
    "MediaFunctionScannedByGuardDuty": {
        "source": ["aws.guardduty"],
        "detail-type": ["GuardDuty Malware Protection Object Scan Result"],
        "detail": {"s3ObjectDetails": {"bucketName": MEDIA}},
    },
    "MediaFunctionScannedByAnother": {"source": ["petrel.scanner"], "detail": {"bucket": MEDIA}},
}
# What the function itself looks at, word for word.
READ_BY_MEDIA = [
    'source == "aws.s3"',
    'event_name == "REMOVE"',
    'principal_id == "dynamodb.amazonaws.com"',
    "keys::read_upload(",
]

BUCKETS = {"MediaBucket": "INTELLIGENT_TIERING", "ArchiveBucket": "GLACIER_IR"}

UNARCHIVED = "ArchiveFailureQueue"
QUEUES = {"FanoutQueue": "FanoutFunction", "PushQueue": "PushFunction", "WebhookQueue": "WebhookFunction"}


# Whose failures go into a queue without a queue before it, for Lambda brings its events.
FAILURES = {"MediaDeadLetterQueue": "MediaFunction"}


def tables_keep(t):
    """Keys, backups and protection of the tables. No message has a life time."""
    tables = dict(t.of("AWS::DynamoDB::Table"))
    for name in sorted(KEYS.keys() ^ tables.keys()):
        yield f"table {name} is {'missing' if name in KEYS else 'not known here'}"
    for name, p in tables.items():
        kinds = {a["AttributeName"]: a["AttributeType"] for a in p.get("AttributeDefinitions", [])}
        keys = [(k["AttributeName"], k["KeyType"], kinds.get(k["AttributeName"])) for k in p.get("KeySchema", [])]
        if keys != KEYS.get(name):
            yield f"{name} has the keys {keys}, not {KEYS.get(name)}"
        ttl = p.get("TimeToLiveSpecification", {})
        if (ttl.get("AttributeName") if ttl.get("Enabled") else None) != TTL.get(name) or (ttl and name not in TTL):
            yield f"{name} has the TTL attribute {ttl.get('AttributeName')}, not {TTL.get(name)}"
        if p.get("StreamSpecification", {}).get("StreamViewType") != STREAMS.get(name):
            yield f"{name} has another stream than {STREAMS.get(name)}"
        if p.get("BillingMode") != "PAY_PER_REQUEST":
            yield f"{name} is not on demand"
        if p.get("SSESpecification", {}).get("SSEEnabled") is not True:
            yield f"{name} is not encrypted with a key of the account"
        if p.get("PointInTimeRecoverySpecification", {}).get("PointInTimeRecoveryEnabled") is not True:
            yield f"{name} has no point-in-time recovery"
        if p.get("DeletionProtectionEnabled") != {"Ref": "DeletionProtection"}:
            yield f"{name} takes its deletion protection not from the parameter"
        for policy in ("DeletionPolicy", "UpdateReplacePolicy"):
            if t.resources[name].get(policy) != "Retain":
                yield f"{name} is not kept by its {policy}"
        for index in ("GlobalSecondaryIndexes", "LocalSecondaryIndexes"):
            if index in p:
                yield f"{name} has {index}"
    if t.parameters.get("DeletionProtection", {}).get("Default") != "true":
        yield "the tables are not protected from deletion by default"


def queues_lose_nothing(t):
    """Each queue hides a message long enough, and keeps what failed; each consumer says which messages failed."""
    queues = dict(t.of("AWS::SQS::Queue"))
    sources = t.of("AWS::Lambda::EventSourceMapping")
    dead = set()
    for name, function in QUEUES.items():
        queue, limit = queues.get(name, {}), t.properties(function).get("Timeout", 3)
        # "at least six times the timeout of your function": AWS Lambda, using Lambda with Amazon SQS.
        if queue.get("VisibilityTimeout", 30) < 6 * limit:
            yield f"{name} hides a message {queue.get('VisibilityTimeout', 30)} s, less than six times {limit} s"
        redrive = queue.get("RedrivePolicy", {})
        target = redrive.get("deadLetterTargetArn", {}).get("Fn::GetAtt", [None])[0]
        if target not in queues or target in QUEUES:
            yield f"{name} has no dead-letter queue"
        else:
            dead.add(target)
            if queues[target].get("MessageRetentionPeriod") != 14 * 24 * 3600:
                yield f"{target} does not keep for 14 days"
        if redrive.get("maxReceiveCount") != 5:
            yield f"{name} tries {redrive.get('maxReceiveCount')} times, not 5"
        consumers = [p for _, p in sources if p.get("EventSourceArn") == arn(name)]
        if [p.get("FunctionName") for p in consumers] != [{"Ref": function}]:
            yield f"{name} is not read by {function} alone"
        for consumer in consumers:
            if consumer.get("FunctionResponseTypes") != ["ReportBatchItemFailures"]:
                yield f"{function} does not report which messages failed: one would bring back its whole batch"
            if consumer.get("BatchSize") != 10:
                yield f"{function} does not take 10 messages at once"
            bound = {"Ref": function.removesuffix("Function") + "MaximumConcurrency"}
            if consumer.get("ScalingConfig", {}).get("MaximumConcurrency") != bound:
                yield f"{function} may run without bound"
    for name, function in FAILURES.items():
        dead.add(name)
        if queues.get(name, {}).get("MessageRetentionPeriod") != 14 * 24 * 3600:
            yield f"{name} does not keep for 14 days"
        kept = {"OnFailure": {"Destination": arn(name)}}
        for _, p in t.of("AWS::Lambda::EventInvokeConfig"):
            if p.get("FunctionName") == {"Ref": function} and p.get("DestinationConfig") == kept:
                break
        else:
            yield f"an event that {function} fails at is lost"
        for _, p in sources:
            if p.get("FunctionName") == {"Ref": function} and p.get("DestinationConfig") != kept:
                yield f"a record that {function} fails at is lost"
        for rule, p in t.of("AWS::Events::Rule"):
            for target in p["Targets"]:
                if target["Arn"] == arn(function) and target.get("DeadLetterConfig") != {"Arn": arn(name)}:
                    yield f"an event that {rule} cannot bring to {function} is lost"
        if by_rules(t, name) not in [s for s, _ in policies(t, name)]:
            yield f"the rules of {function} may not write to {name}"
    for name in sorted(queues.keys() - QUEUES.keys() - dead - {UNARCHIVED}):
        yield f"queue {name} is not known here"


def policies(t, queue):
    """What the policies of a queue say."""
    of = [p["PolicyDocument"] for _, p in t.of("AWS::SQS::QueuePolicy") if {"Ref": queue} in p["Queues"]]
    return [statement for document in of for statement in t.statements(document)]


def by_rules(t, queue):
    """That the rules whose undeliverable events go to a queue, and no others, may write to it."""
    kept = {"Arn": arn(queue)}
    rules = [n for n, p in t.of("AWS::Events::Rule") if any(g.get("DeadLetterConfig") == kept for g in p["Targets"])]
    return {
        "Effect": "Allow",
        "Principal": {"Service": "events.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": arn(queue),
        "Condition": {"ArnEquals": {"aws:SourceArn": Unordered(arn(rule) for rule in rules)}},
    }


class Unordered(list):
    """A list that equals another with the same items in any order."""

    def __eq__(self, other):
        return sorted(map(str, self)) == sorted(map(str, other))


def timers_are_heard(t):
    """The archiver hears of every timer and of nothing else; what fails is tried again, and put away."""
    sources = [p for _, p in t.of("AWS::Lambda::EventSourceMapping") if p.get("FunctionName") == {"Ref": "ArchiveFunction"}]
    if [p.get("EventSourceArn") for p in sources] != [{"Fn::GetAtt": ["ConversationsTable", "StreamArn"]}]:
        yield "ArchiveFunction does not read the stream of ConversationsTable alone"
    for p in sources:
        filters = [json.loads(f["Pattern"]) for f in p.get("FilterCriteria", {}).get("Filters", [])]
        if filters != [TIMERS]:
            yield f"ArchiveFunction hears of {json.dumps(filters)}"
        if p.get("StartingPosition") != "TRIM_HORIZON":
            yield "ArchiveFunction misses the timers that run out before it listens"
        if p.get("FunctionResponseTypes") != ["ReportBatchItemFailures"]:
            yield "ArchiveFunction does not report where it failed"
        if p.get("MaximumRetryAttempts") != 5 or p.get("BisectBatchOnFunctionError") is not True:
            yield "ArchiveFunction lets one conversation stop the others for ever"
        if p.get("DestinationConfig", {}).get("OnFailure", {}).get("Destination") != arn(UNARCHIVED):
            yield "ArchiveFunction forgets what has failed"
    # Its lease of the objects is 900 s (LEASE_MS in shared/core/src/services/archive.rs), and a call may be on its way for 60.
    if dict(t.functions()).get("ArchiveFunction", {}).get("Timeout", 900) > 600:
        yield "ArchiveFunction may outlive its lease"
    if dict(t.of("AWS::SQS::Queue")).get(UNARCHIVED, {}).get("MessageRetentionPeriod") != 14 * 24 * 3600:
        yield f"{UNARCHIVED} does not keep for 14 days"


def files_are_heard(t):
    """The media function hears of what arrives, of verdicts on it and of uploads that ran out, and of nothing else."""
    tells = t.properties("MediaBucket").get("NotificationConfiguration", {}).get("EventBridgeConfiguration", {})
    if tells.get("EventBridgeEnabled") is not True:
        yield "MediaBucket tells nobody what arrives"
    rules = {n: p for n, p in t.of("AWS::Events::Rule") if arn("MediaFunction") in [g["Arn"] for g in p["Targets"]]}
    for name in sorted(FILES.keys() | rules.keys()):
        p = rules.get(name, {})
        if p.get("EventPattern") != FILES.get(name):
            yield f"{name} hears of {json.dumps(p.get('EventPattern'))}"
        if p.get("State", "ENABLED") != "ENABLED":
            yield f"{name} is off"
    begins = {t.key(at): {"S": [{"prefix": t.key(prefix)}]} for at, prefix in (("PK", "FILE"), ("SK", "USER"))}
    ran_out = {"eventName": ["REMOVE"], "userIdentity": {"type": ["Service"]}, "dynamodb": {"Keys": begins}}
    sources = [p for _, p in t.of("AWS::Lambda::EventSourceMapping") if p.get("FunctionName") == {"Ref": "MediaFunction"}]
    if [p.get("EventSourceArn") for p in sources] != [{"Fn::GetAtt": ["ConversationsTable", "StreamArn"]}]:
        yield "MediaFunction does not read the stream of ConversationsTable alone"
    for p in sources:
        filters = [json.loads(f["Pattern"]) for f in p.get("FilterCriteria", {}).get("Filters", [])]
        if filters != [ran_out]:
            yield f"MediaFunction hears of {json.dumps(filters)}"
        if p.get("StartingPosition") != "TRIM_HORIZON":
            yield "MediaFunction misses the uploads that run out before it listens"
        if p.get("FunctionResponseTypes") != ["ReportBatchItemFailures"]:
            yield "MediaFunction does not report where it failed"
        if p.get("MaximumRetryAttempts") != 100 or p.get("BisectBatchOnFunctionError") is not True:
            yield "MediaFunction lets one upload stop the others for ever"
    for words in READ_BY_MEDIA:
        if words not in t.media:
            yield f"functions/src/media.rs does not look at {words}"


def queues_are_private(t):
    """Each queue is encrypted and refuses whoever comes without TLS."""
    for name, queue in t.of("AWS::SQS::Queue"):
        if queue.get("SqsManagedSseEnabled") is not True:
            yield f"{name} is not encrypted"
        denied = False
        for statement, _ in policies(t, name):
            if statement.get("Effect") != "Deny" and not (name in FAILURES and by_rules(t, name) == statement):
                yield f"{name} lets in others than this account's roles, and rules"
            denied |= (
                statement.get("Effect") == "Deny"
                and statement.get("Principal") == "*"
                and statement.get("Action") == "sqs:*"
                and statement.get("Resource") == arn(name)
                and statement.get("Condition") == {"Bool": {"aws:SecureTransport": "false"}}
            )
        if not denied:
            yield f"{name} can be reached without TLS"


def buckets_keep(t):
    """Each bucket outlives the stack, keeps what was replaced for a while, and grows cheaper and no litter."""
    buckets = dict(t.of("AWS::S3::Bucket"))
    for name in sorted(BUCKETS.keys() ^ buckets.keys()):
        yield f"bucket {name} is {'missing' if name in BUCKETS else 'not known here'}"
    for name, p in buckets.items():
        for policy in ("DeletionPolicy", "UpdateReplacePolicy"):
            if t.resources[name].get(policy) != "Retain":
                yield f"{name} is not kept by its {policy}"
        if p.get("VersioningConfiguration", {}).get("Status") != "Enabled":
            yield f"{name} forgets what is replaced at once"
        rules = [r for r in p.get("LifecycleConfiguration", {}).get("Rules", []) if r.get("Status") == "Enabled"]
        if not any(r.get("AbortIncompleteMultipartUpload", {}).get("DaysAfterInitiation") for r in rules):
            yield f"{name} keeps uploads that were never finished"
        if not any(r.get("NoncurrentVersionExpiration", {}).get("NoncurrentDays") for r in rules):
            yield f"{name} keeps for ever what was replaced"
        if any("ExpirationInDays" in r or "ExpirationDate" in r for r in rules):
            yield f"{name} forgets what was not replaced"
        colder = [s.get("StorageClass") for r in rules for s in r.get("Transitions", [])]
        if colder != [BUCKETS.get(name)]:
            yield f"{name} moves to {colder}, not to {BUCKETS.get(name)}"


def buckets_are_private(t):
    """Nothing in a bucket is public, plain, or reachable without TLS, and all of it belongs to the account."""
    for name, p in t.of("AWS::S3::Bucket"):
        block = p.get("PublicAccessBlockConfiguration", {})
        for way in ("BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets"):
            if block.get(way) is not True:
                yield f"{name} lacks {way}"
        rules = p.get("BucketEncryption", {}).get("ServerSideEncryptionConfiguration", [])
        if [r.get("ServerSideEncryptionByDefault", {}).get("SSEAlgorithm") for r in rules] != ["AES256"]:
            yield f"{name} is not encrypted"
        if p.get("OwnershipControls") != {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}:
            yield f"{name} may hold what belongs to others"
        everything = [arn(name), {"Fn::Sub": f"${{{name}.Arn}}/*"}]
        denied = False
        for _, policy in t.of("AWS::S3::BucketPolicy"):
            if policy["Bucket"] != {"Ref": name}:
                continue
            for statement, _ in t.statements(policy["PolicyDocument"]):
                if statement.get("Effect") != "Deny":
                    yield f"{name} lets in others than this account's roles"
                denied |= (
                    statement.get("Effect") == "Deny"
                    and statement.get("Principal") == "*"
                    and statement.get("Action") == "s3:*"
                    and statement.get("Resource") == everything
                    and statement.get("Condition") == {"Bool": {"aws:SecureTransport": "false"}}
                )
        if not denied:
            yield f"{name} can be reached without TLS"
