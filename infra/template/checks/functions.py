"""The functions and what each may do."""

import json
import re

from .template import arn

BINARIES = "authorizer connect send ack sync signal fanout push media archive api webhook".split()

# Who reads a queue or a stream may run longer than an API waits.
CONSUMERS = {"FanoutFunction", "PushFunction", "ArchiveFunction", "WebhookFunction"}

# The only actions that AWS lets no one bind to a resource.
NOT_BINDABLE = {"xray:PutTraceSegments", "xray:PutTelemetryRecords"}

# Where the functions' own metrics are, and alarms and dashboard look for them.
NAMESPACE = "Petrel/${AWS::StackName}"

# What may be reserved for a function, by the condition under which it is. The rest shares what the account has.
RESERVED = {
    "AuthorizerFunction": ("ReservesConnect", "ConnectReservedConcurrency"),
    "ConnectFunction": ("ReservesConnect", "ConnectReservedConcurrency"),
    "SendFunction": ("ReservesSend", "SendReservedConcurrency"),
}

POST_ARN = (
    "arn:${AWS::Partition}:execute-api:${AWS::Region}:${AWS::AccountId}"
    ":${WebSocketApi}/${StageName}/POST/@connections/*"
)
CLOSE_ARN = POST_ARN.replace("/POST/", "/DELETE/")
APPLICATIONS = {"ApnsArn": "HasApns", "ApnsSandboxArn": "HasApnsSandbox", "FcmArn": "HasFcm"}

# What a variable names, and what a function that has it must be allowed to use.
VARIABLES = {
    "PETREL_MESSAGES_TABLE": ({"Ref": "MessagesTable"}, "messages"),
    "PETREL_CONVERSATIONS_TABLE": ({"Ref": "ConversationsTable"}, "conversations"),
    "PETREL_CONNECTIONS_TABLE": ({"Ref": "ConnectionsTable"}, "connections"),
    "PETREL_ARCHIVE_BUCKET": ({"Ref": "ArchiveBucket"}, "archive"),
    "PETREL_FANOUT_QUEUE_URL": ({"Ref": "FanoutQueue"}, "fan-out queue"),
    "PETREL_PUSH_QUEUE_URL": ({"Ref": "PushQueue"}, "push queue"),
    "PETREL_WEBHOOK_QUEUE_URL": ({"Ref": "WebhookQueue"}, "webhook queue"),
    "PETREL_MODERATION_TOPIC_ARN": ({"Ref": "ModerationTopic"}, "moderation topic"),
    "PETREL_MEDIA_BUCKET": ({"Ref": "MediaBucket"}, "media bucket"),
    "PETREL_WEBSOCKET_ENDPOINT": (
        {"Fn::Sub": "https://${WebSocketApi}.execute-api.${AWS::Region}.${AWS::URLSuffix}/${StageName}"},
        "sockets",
    ),
}


def functions_are_whole(t):
    """Runtime, build, time limit, tracing and logs of each function."""
    binaries = []
    for name, p in t.functions():
        metadata = t.resources[name].get("Metadata", {})
        binaries.append(metadata.get("BuildProperties", {}).get("Binary"))
        if metadata.get("BuildMethod") != "rust-cargolambda" or name != f"{str(binaries[-1]).capitalize()}Function":
            yield f"{name} is not built from its binary by cargo-lambda"
        if (p.get("Runtime"), p.get("Handler")) != ("provided.al2023", "bootstrap"):
            yield f"{name} does not run bootstrap on provided.al2023"
        if p.get("Architectures") != [{"Ref": "Architecture"}]:
            yield f"{name} takes its architecture not from the parameter"
        # An API waits 29 seconds for a function and then answers in its place.
        if not isinstance(p.get("Timeout"), int):
            yield f"{name} has no time limit of its own"
        elif name not in CONSUMERS and p["Timeout"] > 29:
            yield f"{name} may run {p['Timeout']} s, and API Gateway waits 29"
        if p.get("TracingConfig") != {"Mode": "Active"}:
            yield f"{name} is not traced"
        logging = p.get("LoggingConfig", {})
        group = t.properties((logging.get("LogGroup") or {}).get("Ref"))
        if logging.get("LogFormat") != "JSON":
            yield f"{name} does not log JSON"
        if group.get("RetentionInDays") != {"Ref": "LogRetentionDays"}:
            yield f"{name} has no log group that forgets after LogRetentionDays"
        variables = p.get("Environment", {}).get("Variables") or {}
        # One is applied by the function, the other by Lambda: the stricter wins.
        if logging.get("ApplicationLogLevel") != variables.get("RUST_LOG") or "RUST_LOG" not in variables:
            yield f"{name} has a RUST_LOG that is not its ApplicationLogLevel"
        if variables.get("PETREL_METRICS_NAMESPACE") != {"Fn::Sub": NAMESPACE}:
            yield f"{name} does not count in {NAMESPACE}"
    for binary in sorted(set(BINARIES) ^ set(binaries), key=str):
        yield f"function {binary} is {'missing' if binary in BINARIES else 'not known here'}"


def concurrency_is_shared_out(t):
    """Nothing is reserved unless asked for: an account of ten concurrent executions could not deploy otherwise."""
    for name, p in t.functions():
        condition, parameter = RESERVED.get(name, (None, None))
        wanted = {"Fn::If": [condition, {"Ref": parameter}, {"Ref": "AWS::NoValue"}]} if condition else None
        if p.get("ReservedConcurrentExecutions") != wanted:
            yield f"{name} reserves {json.dumps(p.get('ReservedConcurrentExecutions'))}"
    for condition, parameter in sorted(set(RESERVED.values())):
        if t.conditions.get(condition) != {"Fn::Not": [{"Fn::Equals": [{"Ref": parameter}, 0]}]}:
            yield f"{condition} is not that {parameter} is other than 0"
        if t.parameters.get(parameter, {}).get("Default") != 0:
            yield f"{parameter} reserves something by default"


def roles_are_narrow(t):
    """One role a function. Each statement allows one action on one resource; * stands where AWS takes nothing else."""
    roles = {}
    for name, p in t.functions():
        role = p["Role"].get("Fn::GetAtt", [None])[0]
        if role in roles:
            yield f"{name} shares {role} with {roles[role]}"
        roles[role] = name
    documents = [(name, p["PolicyDocument"]) for name, p in t.of("AWS::IAM::ManagedPolicy") + t.of("AWS::IAM::Policy")]
    for name, p in t.of("AWS::IAM::Role"):
        if name not in roles:
            yield f"{name} is no function's role"
        for statement, _ in t.statements(p["AssumeRolePolicyDocument"]):
            service = (statement.get("Principal") or {}).get("Service")
            if service not in ("lambda.amazonaws.com", ["lambda.amazonaws.com"]) or len(statement["Principal"]) > 1:
                yield f"{name} may be assumed by {json.dumps(statement.get('Principal'))}"
        for managed in p.get("ManagedPolicyArns", []):
            if t.resources.get(managed.get("Ref") if isinstance(managed, dict) else None) is None:
                yield f"{name} has a policy from elsewhere, {json.dumps(managed)}"
        documents += [(name, policy["PolicyDocument"]) for policy in p.get("Policies", [])]
    for name, document in documents:
        for statement, _ in t.statements(document):
            action, resource = statement.get("Action"), statement.get("Resource")
            said = f"{name}: {json.dumps(action)} on {json.dumps(resource)}"
            if statement.get("Effect") != "Allow" or statement.keys() & {"NotAction", "NotResource"}:
                yield f"{said} is not a plain permission"
            if not isinstance(action, str) or "*" in action:
                yield f"{said} is more than one action"
            if resource is None or isinstance(resource, list):
                yield f"{said} is not one resource"
            if resource == "*" and action not in NOT_BINDABLE:
                yield f"{said} is every resource"
            elif "*" in json.dumps(resource) and resource != "*" and bound(statement) is None:
                yield f"{said} has a wildcard that is not known here"


def bound(statement):
    """The column of the table in docs/operations.md that a statement's resource belongs to, and its condition."""
    resource = statement.get("Resource")
    for name, column in [
        ("MessagesTable", "messages"),
        ("ConversationsTable", "conversations"),
        ("ConnectionsTable", "connections"),
        ("FanoutQueue", "fan-out queue"),
        ("PushQueue", "push queue"),
        ("WebhookQueue", "webhook queue"),
        ("MediaDeadLetterQueue", "media failures"),
        ("MediaBucket", "media bucket"),
        ("ArchiveBucket", "archive"),
        ("ArchiveFailureQueue", "archive failures"),
    ]:
        if resource == arn(name):
            return column, None
    if resource == {"Fn::Sub": "${MediaBucket.Arn}/*"}:
        return "media bucket", None
    if resource == {"Fn::Sub": "${ArchiveBucket.Arn}/*"}:
        return "archive", None
    if resource == {"Fn::GetAtt": ["ConversationsTable", "StreamArn"]}:
        return "stream", None
    if resource == {"Fn::Sub": POST_ARN}:
        return "sockets", None
    if resource == {"Fn::Sub": CLOSE_ARN}:
        return "closing sockets", None
    if resource == {"Ref": "ModerationTopic"}:
        return "moderation topic", None
    for parameter, condition in APPLICATIONS.items():
        endpoints = {"Fn::Join": [":endpoint/", {"Fn::Split": [":app/", {"Ref": parameter}]}]}
        if resource == {"Ref": parameter}:
            return "push applications", condition
        if resource == {"Fn::Sub": ["${Endpoints}/*", {"Endpoints": endpoints}]}:
            return "push endpoints", condition
    return None


def permissions(t, name):
    """{column: actions} of a function's role, without its logs and traces; and what fits in no column."""
    role = t.properties(t.properties(name)["Role"]["Fn::GetAtt"][0])
    logs = t.properties(name).get("LoggingConfig", {}).get("LogGroup", {}).get("Ref")
    columns, applications, odd = {}, {}, []
    for policy in role.get("Policies", []):
        for statement, condition in t.statements(policy["PolicyDocument"]):
            place, action = bound(statement), statement.get("Action")
            # The queue is there with the receiver; what is there with it needs no condition of its own.
            if place == ("webhook queue", None):
                with_it = "HasWebhook" in (condition, t.resources[name].get("Condition"))
                condition = None if with_it else "nothing that makes the queue"
            if place is not None and isinstance(action, str) and place[1] == condition:
                columns.setdefault(place[0], set()).add(action.split(":")[1])
                if condition:
                    applications.setdefault((place[0], action), set()).add(condition)
            elif statement.get("Resource") != arn(logs):
                odd.append(f"{action} on {json.dumps(statement.get('Resource'))} under {condition}")
    for (column, action), conditions in applications.items():
        for missing in sorted(set(APPLICATIONS.values()) - conditions):
            odd.append(f"{action} on {column}, but not when {missing}")
    return columns, odd


def permissions_are_as_written(t):
    """What each function may do is what docs/operations.md says, and each may write its own log and traces."""
    rows = t.table("What each function may do")
    if not rows:
        yield "docs/operations.md has no table 'What each function may do'"
        return
    written = {
        row[0]: {column: set(re.findall(r"\w+", cell)) for column, cell in zip(rows[0][1:], row[1:]) if cell}
        for row in rows[1:]
    }
    for name, p in t.functions():
        binary = name.removesuffix("Function").lower()
        may, odd = permissions(t, name)
        for what in odd:
            yield f"{binary} may do what docs/operations.md cannot say: {what}"
        for column in sorted(may.keys() | written.get(binary, {}).keys()):
            real, said = may.get(column, set()), written.get(binary, {}).get(column, set())
            for action in sorted(real - said):
                yield f"{binary} may {action} on {column}, and docs/operations.md does not say so"
            for action in sorted(said - real):
                yield f"docs/operations.md lets {binary} {action} on {column}, and its role does not"
        role = t.properties(p["Role"]["Fn::GetAtt"][0])
        text = json.dumps(role.get("Policies", []))
        logs = p.get("LoggingConfig", {}).get("LogGroup", {}).get("Ref")
        for action in ("logs:CreateLogStream", "logs:PutLogEvents"):
            if {"Effect": "Allow", "Action": action, "Resource": arn(logs)} not in [
                s for policy in role.get("Policies", []) for s, _ in t.statements(policy["PolicyDocument"])
            ]:
                yield f"{binary} may not {action} to its log group"
        if {"Ref": "TracePolicy"} not in role.get("ManagedPolicyArns", []) and "xray:" not in text:
            yield f"{binary} may not send its traces"


def variables_fit_permissions(t):
    """A function knows the tables, queues and sockets that it may use, and no others."""
    for name, p in t.functions():
        variables = p.get("Environment", {}).get("Variables") or {}
        may, _ = permissions(t, name)
        # What a function only receives from, Lambda reads in its place.
        uses = {c for c, actions in may.items() if actions - {"ReceiveMessage", "DeleteMessage", "GetQueueAttributes"}}
        # Who may only close sockets knows where they are too.
        uses |= {"sockets"} & {column.removeprefix("closing ") for column in uses}
        for variable, (value, column) in VARIABLES.items():
            if variable in variables and variables[variable] not in (value, {"Fn::If": ["HasWebhook", value, ""]}):
                yield f"{name} has a {variable} that names something else"
            if variable in variables and column not in uses:
                yield f"{name} has {variable} and may not use it"
            if column in uses and variable not in variables:
                yield f"{name} may use {column} and has no {variable}"
