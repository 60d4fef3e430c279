"""What must hold of the expanded template. Every check yields, in words, what is off.

    checks.py expanded.json operations.md

The checks look at what SAM made, not at what was asked of it: SAM adds routes, permissions and stages, and leaves out
route responses.
"""

import json
import re
import sys

ROUTES = {
    "$connect": "ConnectFunction",
    "$disconnect": "ConnectFunction",
    "send": "SendFunction",
    "ack": "AckFunction",
    "sync": "SyncFunction",
    "history": "SyncFunction",
    "typing": "SignalFunction",
    "$default": "SignalFunction",
}
# Nothing answers these two: there is no socket yet, or none any more.
SILENT = {"$connect", "$disconnect"}

BINARIES = ["authorizer", "connect", "send", "ack", "sync", "signal", "fanout", "push", "api"]

KEYS = {
    "MessagesTable": [("conversation_id", "HASH", "S"), ("seq", "RANGE", "N")],
    "ConversationsTable": [("pk", "HASH", "S"), ("sk", "RANGE", "S")],
    "ConnectionsTable": [("user_id", "HASH", "S")],
}
TTL = {"ConversationsTable": "ttl"}

QUEUES = {"FanoutQueue": "FanoutFunction", "PushQueue": "PushFunction"}

# The only actions that AWS lets no one bind to a resource.
NOT_BINDABLE = {"xray:PutTraceSegments", "xray:PutTelemetryRecords"}

POST_ARN = (
    "arn:${AWS::Partition}:execute-api:${AWS::Region}:${AWS::AccountId}"
    ":${WebSocketApi}/${StageName}/POST/@connections/*"
)
APPLICATIONS = {"ApnsArn": "HasApns", "ApnsSandboxArn": "HasApnsSandbox", "FcmArn": "HasFcm"}
NO_VALUE = {"Ref": "AWS::NoValue"}

# What a variable names, and what a function that has it must be allowed to use.
VARIABLES = {
    "PETREL_MESSAGES_TABLE": ({"Ref": "MessagesTable"}, "messages"),
    "PETREL_CONVERSATIONS_TABLE": ({"Ref": "ConversationsTable"}, "conversations"),
    "PETREL_CONNECTIONS_TABLE": ({"Ref": "ConnectionsTable"}, "connections"),
    "PETREL_FANOUT_QUEUE_URL": ({"Ref": "FanoutQueue"}, "fan-out queue"),
    "PETREL_PUSH_QUEUE_URL": ({"Ref": "PushQueue"}, "push queue"),
    "PETREL_WEBSOCKET_ENDPOINT": (
        {"Fn::Sub": "https://${WebSocketApi}.execute-api.${AWS::Region}.${AWS::URLSuffix}/${StageName}"},
        "sockets",
    ),
}


class Template:
    """The expanded template, and what lies beside it."""

    def __init__(self, expanded, operations):
        self.parameters = expanded.get("Parameters", {})
        self.outputs = expanded.get("Outputs", {})
        self.resources = expanded["Resources"]
        self.operations = operations

    def of(self, kind):
        """(logical id, properties) of every resource of a type."""
        return [(name, r.get("Properties", {})) for name, r in self.resources.items() if r["Type"] == kind]

    def functions(self):
        return self.of("AWS::Lambda::Function")

    def properties(self, name):
        return self.resources.get(name, {}).get("Properties", {})

    def statements(self, document):
        """(statement, the condition it stands under or None) of a policy document."""
        found = document.get("Statement", [])
        for statement in found if isinstance(found, list) else [found]:
            if "Fn::If" in statement:
                condition, yes, no = statement["Fn::If"]
                yield yes, condition
                if no != NO_VALUE:
                    yield no, f"not {condition}"
            else:
                yield statement, None

    def table(self, heading):
        """The rows of the first table below a heading of docs/operations.md, as lists of cells without backticks."""
        below = re.split(rf"^#+ {re.escape(heading)}$", self.operations, maxsplit=1, flags=re.MULTILINE)
        rows = []
        for line in below[1].splitlines() if len(below) == 2 else []:
            if line.startswith("|"):
                rows.append([cell.strip().replace("`", "") for cell in line.strip().strip("|").split("|")])
            elif rows:
                break
        return rows[:1] + rows[2:]


def arn(name):
    return {"Fn::GetAtt": [name, "Arn"]}


def mentions(value, name):
    """Whether a Ref, GetAtt or Sub somewhere in `value` names the resource."""
    text = json.dumps(value)
    return f'{{"Ref": "{name}"}}' in text or f'"Fn::GetAtt": ["{name}"' in text or f"${{{name}" in text


# ------------------------------------------------------------------------------------------------------------- APIs


def routes_answer(t):
    """Each WebSocket route leads to its function, and all but $connect and $disconnect answer."""
    routes = {p["RouteKey"]: (name, p) for name, p in t.of("AWS::ApiGatewayV2::Route")}
    for key in sorted(ROUTES.keys() ^ routes.keys()):
        yield f"route {key} is {'missing' if key in ROUTES else 'not known here'}"
    for key, (name, route) in routes.items():
        function = ROUTES.get(key)
        if function is None:
            continue
        integration = next((n for n, _ in t.of("AWS::ApiGatewayV2::Integration") if mentions(route["Target"], n)), None)
        if not mentions(t.properties(integration).get("IntegrationUri"), function):
            yield f"route {key} does not lead to {function}"
        permitted = [
            p
            for _, p in t.of("AWS::Lambda::Permission")
            if mentions(p["FunctionName"], function)
            and mentions(p.get("SourceArn"), "WebSocketApi")
            and f"/{key}\"" in json.dumps(p["SourceArn"])
        ]
        if not permitted:
            yield f"route {key} may not invoke {function}"
        responses = [p for _, p in t.of("AWS::ApiGatewayV2::RouteResponse") if p["RouteId"] == {"Ref": name}]
        if key in SILENT:
            if responses or "RouteResponseSelectionExpression" in route:
                yield f"route {key} answers, and must not"
            continue
        if route.get("RouteResponseSelectionExpression") != "$default":
            yield f"route {key} selects no response: what {function} returns is thrown away"
        if [(r["RouteResponseKey"], r["ApiId"]) for r in responses] != [("$default", {"Ref": "WebSocketApi"})]:
            yield f"route {key} has no RouteResponse $default: what {function} returns is thrown away"


def socket_opens_with_a_token(t):
    """$connect asks the authorizer, whatever headers the client can send; the API picks routes by action."""
    if t.properties("WebSocketApi").get("RouteSelectionExpression") != "$request.body.action":
        yield "the WebSocket API does not pick its routes by $request.body.action"
    for _, route in t.of("AWS::ApiGatewayV2::Route"):
        if route["RouteKey"] != "$connect":
            continue
        authorizer = t.properties(route.get("AuthorizerId", {}).get("Ref"))
        if route.get("AuthorizationType") != "CUSTOM" or not authorizer:
            yield "$connect asks no authorizer"
            continue
        if authorizer.get("AuthorizerType") != "REQUEST":
            yield "the authorizer of $connect is no REQUEST authorizer"
        if not mentions(authorizer.get("AuthorizerUri"), "AuthorizerFunction"):
            yield "the authorizer of $connect is not AuthorizerFunction"
        if authorizer.get("IdentitySource"):
            yield "the authorizer of $connect wants an IdentitySource: who brings the token elsewhere gets 401"
    if not any(
        mentions(p["FunctionName"], "AuthorizerFunction") and "/authorizers/" in json.dumps(p.get("SourceArn"))
        for _, p in t.of("AWS::Lambda::Permission")
    ):
        yield "the WebSocket API may not invoke AuthorizerFunction"


def stages_deploy_themselves(t):
    """Both stages take every change without a deployment of their own, and are throttled."""
    stages = t.of("AWS::ApiGatewayV2::Stage")
    for api in ("WebSocketApi", "HttpApi"):
        of_api = [p for _, p in stages if p["ApiId"] == {"Ref": api}]
        if len(of_api) != 1:
            yield f"{api} has {len(of_api)} stages, not one"
            continue
        if of_api[0].get("AutoDeploy") is not True:
            yield f"the stage of {api} does not deploy itself: routes and responses would not reach it"
        settings = of_api[0].get("DefaultRouteSettings", {})
        for limit in ("ThrottlingRateLimit", "ThrottlingBurstLimit"):
            if limit not in settings:
                yield f"the stage of {api} has no {limit}"


def http_wants_a_token(t):
    """Every HTTP route but GET /api/health is behind the JWT authorizer, and preflights meet no route."""
    body = t.properties("HttpApi").get("Body", {})
    jwt = {
        name: scheme["x-amazon-apigateway-authorizer"]["jwtConfiguration"]
        for name, scheme in body.get("components", {}).get("securitySchemes", {}).items()
        if scheme.get("x-amazon-apigateway-authorizer", {}).get("type") == "jwt"
    }
    for name, configuration in jwt.items():
        if not configuration.get("issuer") or not configuration.get("audience"):
            yield f"the JWT authorizer {name} checks no issuer or no audience"
    seen = set()
    for path, methods in body.get("paths", {}).items():
        for method, operation in methods.items():
            seen.add((method, path))
            if method in ("options", "x-amazon-apigateway-any-method"):
                yield f"{method} {path} is a route: a preflight would meet it in place of the CORS configuration"
            if not mentions(operation.get("x-amazon-apigateway-integration"), "ApiFunction"):
                yield f"{method} {path} does not lead to ApiFunction"
            held = [name for entry in operation.get("security", []) for name in entry if name in jwt]
            if (method, path) == ("get", "/api/health"):
                if held:
                    yield "get /api/health wants a token"
            elif not held:
                yield f"{method} {path} wants no token"
    for route in [("get", "/api/health"), *((m, "/api/{proxy+}") for m in ("get", "post", "delete"))]:
        if route not in seen:
            yield f"{' '.join(route)} is missing"


def cors_is_whole(t):
    """The CORS configuration has every part. SAM drops all others when only AllowOrigins is a function."""
    cors = t.properties("HttpApi").get("Body", {}).get("x-amazon-apigateway-cors", {})
    yes = cors.get("Fn::If", [None, cors, None])[1]
    for part in ("allowOrigins", "allowMethods", "allowHeaders", "maxAge"):
        if part not in yes:
            yield f"CORS has no {part}"
    if "Fn::Split" not in (yes.get("allowOrigins") or {}):
        yield "CORS takes its origins not from the list in AllowedOrigins"
    if "authorization" not in yes.get("allowHeaders", []):
        yield "CORS lets no browser send its token"


# -------------------------------------------------------------------------------------------------------- functions


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
        elif name not in QUEUES.values() and p["Timeout"] > 29:
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
    for binary in sorted(set(BINARIES) ^ set(binaries), key=str):
        yield f"function {binary} is {'missing' if binary in BINARIES else 'not known here'}"


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
    ]:
        if resource == arn(name):
            return column, None
    if resource == {"Fn::Sub": POST_ARN}:
        return "sockets", None
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
        for variable, (value, column) in VARIABLES.items():
            if variable in variables and variables[variable] != value:
                yield f"{name} has a {variable} that names something else"
            if variable in variables and column not in uses:
                yield f"{name} has {variable} and may not use it"
            if column in uses and variable not in variables:
                yield f"{name} may use {column} and has no {variable}"


# --------------------------------------------------------------------------------------------------- tables, queues


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
            if not any(
                mentions(p.get("Dimensions"), target) and p.get("MetricName") == "ApproximateNumberOfMessagesVisible"
                for _, p in t.of("AWS::CloudWatch::Alarm")
            ):
                yield f"{target} raises no alarm when something is in it"
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
    for _, p in sources:
        if p.get("EventSourceArn") == arn("PushQueue"):
            if p.get("ScalingConfig", {}).get("MaximumConcurrency") != {"Ref": "PushMaximumConcurrency"}:
                yield "PushFunction may run without bound"
    for name in sorted(queues.keys() - QUEUES.keys() - dead):
        yield f"queue {name} is not known here"


def queues_are_private(t):
    """Each queue is encrypted and refuses whoever comes without TLS."""
    for name, queue in t.of("AWS::SQS::Queue"):
        if queue.get("SqsManagedSseEnabled") is not True:
            yield f"{name} is not encrypted"
        denied = False
        for _, p in t.of("AWS::SQS::QueuePolicy"):
            if {"Ref": name} not in p["Queues"]:
                continue
            for statement, _ in t.statements(p["PolicyDocument"]):
                if statement.get("Effect") != "Deny":
                    yield f"{name} lets in others than this account's roles"
                denied |= (
                    statement.get("Effect") == "Deny"
                    and statement.get("Principal") == "*"
                    and statement.get("Action") == "sqs:*"
                    and statement.get("Resource") == arn(name)
                    and statement.get("Condition") == {"Bool": {"aws:SecureTransport": "false"}}
                )
        if not denied:
            yield f"{name} can be reached without TLS"


# -------------------------------------------------------------------------------------------------- parameters, docs


def outputs_are_there(t):
    """Whoever deploys is told where everything is."""
    queues = [name for name, _ in t.of("AWS::SQS::Queue")]
    tables = [name for name, _ in t.of("AWS::DynamoDB::Table")]
    values = [output.get("Value") for output in t.outputs.values()]
    for name in queues + tables:
        if {"Ref": name} not in values:
            yield f"no output names {name}"
    base = "${%s}.execute-api.${AWS::Region}.${AWS::URLSuffix}"
    for url in (f"wss://{base % 'WebSocketApi'}/${{StageName}}", f"https://{base % 'HttpApi'}"):
        if {"Fn::Sub": url} not in values:
            yield f"no output is {url}"


def parameters_are_as_written(t):
    """docs/operations.md lists every parameter with its default."""
    written = {row[0]: row[1] for row in t.table("Parameters")[1:]}
    real = {
        name: "required" if "Default" not in p else "empty" if p["Default"] == "" else str(p["Default"])
        for name, p in t.parameters.items()
    }
    for name in sorted(written.keys() | real.keys()):
        if written.get(name) != real.get(name):
            yield f"parameter {name}: {real.get(name)} in the template, {written.get(name)} in docs/operations.md"


CHECKS = [
    routes_answer,
    socket_opens_with_a_token,
    stages_deploy_themselves,
    http_wants_a_token,
    cors_is_whole,
    functions_are_whole,
    roles_are_narrow,
    permissions_are_as_written,
    variables_fit_permissions,
    tables_keep,
    queues_lose_nothing,
    queues_are_private,
    outputs_are_there,
    parameters_are_as_written,
]


def run(check, t):
    """What a check finds. That it cannot find its way is a finding too."""
    found = []
    try:
        found.extend(check(t))
    except (AttributeError, IndexError, KeyError, TypeError) as error:
        found.append(f"something is not where it should be: {error!r}")
    return found


def main(expanded, operations):
    with open(expanded, encoding="utf-8") as template, open(operations, encoding="utf-8") as text:
        t = Template(json.load(template), text.read())
    off = [(check.__name__, what) for check in CHECKS for what in run(check, t)]
    for check, what in off:
        print(f"{check}: {what}", file=sys.stderr)
    if off:
        sys.exit(f"the template is off in {len(off)} places")
    print(f"{len(CHECKS)} checks hold")


if __name__ == "__main__":
    main(*sys.argv[1:])
