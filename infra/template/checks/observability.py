"""Alarms and the dashboard: that they are there, look at metrics that exist, tell someone, and cost what is said."""

import json
import re

from .functions import BINARIES, NAMESPACE
from .storage import FAILURES, KEYS, QUEUES, UNARCHIVED

# The functions' own metrics. shared/core counts them; a name that is not here is one that nobody sends.
COUNTS = (
    "Messages Duplicates Conflicts Deliveries Gone PutBack FanOutInline PushJobs PushJobsLost Pushes PushFailures"
    " PushesSkipped Webhooks WebhookFailures WebhookJobsLost Reports Opened Closed Syncs Acks Busy Refused Failures"
).split()
TIMES = "DeliveryLatency FanOutAge PushAge WebhookAge".split()

# What AWS sends, by the dimensions under which this template asks for it. From the pages on CloudWatch metrics of each
# service: a metric under other dimensions than these is another metric, which is never sent.
SENT = {
    ("AWS/Lambda", ("FunctionName",)): {"Errors", "Throttles", "Invocations", "Duration"},
    ("AWS/Lambda", ()): {"ClaimedAccountConcurrency", "ConcurrentExecutions"},
    ("AWS/SQS", ("QueueName",)): {
        "ApproximateNumberOfMessagesVisible",
        "ApproximateAgeOfOldestMessage",
        "NumberOfMessagesSent",
        "NumberOfEmptyReceives",
    },
    ("AWS/ApiGateway", ("ApiId",)): {
        "5xx",
        "4xx",
        "Count",
        "IntegrationError",
        "ExecutionError",
        "ClientError",
        "MessageCount",
        "ConnectCount",
    },
    ("AWS/DynamoDB", ("TableName",)): {
        "ReadThrottleEvents",
        "WriteThrottleEvents",
        "ConsumedReadCapacityUnits",
        "ConsumedWriteCapacityUnits",
    },
    ("AWS/Logs", ("LogGroupName",)): {"IncomingBytes"},
    (NAMESPACE, ()): set(COUNTS + TIMES),
}

FUNCTIONS = {f"{binary.capitalize()}Function" for binary in BINARIES}
TOPIC = {"Fn::If": ["OwnTopic", {"Ref": "AlarmTopic"}, {"Ref": "AlarmTopicArn"}]}
KINDS = ("AWS::CloudWatch::Alarm", "AWS::CloudWatch::CompositeAlarm")
# The most that an alarm may do arithmetic on.
METRICS_AN_ALARM = 10


def alarms(t):
    return [(name, p) for kind in KINDS for name, p in t.of(kind)]


def metrics(p):
    """(namespace, metric, {dimension: value}) of an alarm. A query counts as none: it is billed by what it finds."""
    found = [m["MetricStat"]["Metric"] for m in p.get("Metrics", []) if "MetricStat" in m]
    found += [p] if "MetricName" in p else []
    for metric in found:
        namespace = metric["Namespace"]
        dimensions = {d["Name"]: d["Value"] for d in metric.get("Dimensions", [])}
        yield namespace["Fn::Sub"] if isinstance(namespace, dict) else namespace, metric["MetricName"], dimensions


def watched(t, namespace, metric):
    """The resources of which some alarm looks at a metric."""
    values = [d for _, p in alarms(t) for n, m, d in metrics(p) if (n, m) == (namespace, metric)]
    return {(value.get("Ref") or value["Fn::GetAtt"][0]) for d in values for value in d.values()}


def everything_is_watched(t):
    """What can go wrong has its alarm."""
    dead = {f"{queue.removesuffix('Queue')}DeadLetterQueue" for queue in QUEUES} | set(FAILURES)
    for namespace, metric, resources in [
        ("AWS/SQS", "ApproximateNumberOfMessagesVisible", dead | {UNARCHIVED}),
        ("AWS/SQS", "ApproximateAgeOfOldestMessage", set(QUEUES)),
        # The authorizer refuses by failing: AuthorizerAlarm looks at its share of errors.
        ("AWS/Lambda", "Errors", FUNCTIONS),
        ("AWS/Lambda", "Throttles", FUNCTIONS),
        ("AWS/ApiGateway", "5xx", {"HttpApi"}),
        ("AWS/ApiGateway", "IntegrationError", {"WebSocketApi"}),
        ("AWS/ApiGateway", "ExecutionError", {"WebSocketApi"}),
        ("AWS/DynamoDB", "ReadThrottleEvents", set(KEYS)),
        ("AWS/DynamoDB", "WriteThrottleEvents", set(KEYS)),
    ]:
        for missing in sorted(resources - watched(t, namespace, metric)):
            yield f"no alarm looks at {metric} of {missing}"
    for metric in ("DeliveryLatency", "Failures", "PushJobsLost", "PushFailures", "WebhookJobsLost", "Busy"):
        if not any((n, m) == (NAMESPACE, metric) for _, p in alarms(t) for n, m, _ in metrics(p)):
            yield f"no alarm looks at {metric}"
    queries = [m["Expression"].get("Fn::Sub", "") for _, p in alarms(t) for m in p.get("Metrics", []) if "Period" in m]
    for table in KEYS:
        query = f'SELECT SUM(SystemErrors) FROM SCHEMA("AWS/DynamoDB", Operation, TableName) WHERE TableName = \'${{{table}}}\''
        if query not in queries:
            yield f"no alarm looks at SystemErrors of {table}"
    if not any("AuthorizerFunction" in json.dumps(p) and "asked" in json.dumps(p) for _, p in alarms(t)):
        yield "no alarm looks at the share of sockets that the authorizer refuses"


def alarms_are_well_made(t):
    """Each alarm looks at what is sent, is quiet at rest, tells someone, and says where to read on."""
    parts = {name for _, p in t.of(KINDS[1]) for name in re.findall(r"\$\{(\w+)\}", p["AlarmRule"]["Fn::Sub"])}
    for name, p in alarms(t):
        # Who looks at what is there with the receiver is there with it.
        wanted = "WatchesWebhook" if name.startswith("Webhook") else "HasAlarms"
        if t.resources[name].get("Condition") != wanted:
            yield f"{name} is there without Alarms"
        if "docs/operations.md" not in p.get("AlarmDescription", ""):
            yield f"{name} does not say where to read on"
        wanted = None if name in parts else [TOPIC]
        for actions in ("AlarmActions", "OKActions"):
            if p.get(actions) != wanted:
                yield f"{name} has the {actions} {json.dumps(p.get(actions))}"
        if "AlarmRule" in p:
            continue
        if p.get("TreatMissingData") != "notBreaching":
            yield f"{name} takes silence for a breach, and a stack at rest is silent"
        found = list(metrics(p))
        if len(found) > METRICS_AN_ALARM:
            yield f"{name} looks at {len(found)} metrics; CloudWatch takes {METRICS_AN_ALARM}"
        for namespace, metric, dimensions in found:
            if metric not in SENT.get((namespace, tuple(sorted(dimensions))), ()):
                yield f"{name} looks at {metric} of {namespace} by {sorted(dimensions)}, which nobody sends"
        yield from arithmetic(name, p)


def arithmetic(name, p):
    """One result, over one period, of ids that are there."""
    parts = p.get("Metrics", [])
    if not parts:
        return
    if len([m for m in parts if m.get("ReturnData", True)]) != 1:
        yield f"{name} has not one result"
    if len({m["MetricStat"]["Period"] for m in parts if "MetricStat" in m}) > 1:
        yield f"{name} has metrics of several periods"
    ids = {m["Id"] for m in parts}
    for m in parts:
        expression = m.get("Expression", "")
        text = expression.get("Fn::Sub", "") if isinstance(expression, dict) else expression
        if text.startswith("SELECT"):
            continue
        if "METRICS()" in text and "FILL(METRICS(), 0)" not in text:
            yield f"{name} sums metrics that may be missing: most are not sent when nothing happened"
        for word in set(re.findall(r"\b[a-z]\w*\b", re.sub(r"\$\{\w+\}", "", text))) - ids:
            yield f"{name} counts with {word}, which is not there"


def budget_is_watched(t):
    """Two burn rates of the send objective, each over a long and a short window."""
    terms = {"Busy", "Messages", "Duplicates"}
    for alarm, rate, windows in [("SendBurnFastAlarm", 14.4, (3600, 300)), ("SendBurnSlowAlarm", 6, (21600, 1800))]:
        rule = t.properties(alarm).get("AlarmRule", {}).get("Fn::Sub", "")
        match = re.fullmatch(r'ALARM\("\$\{(\w+)\}"\) AND ALARM\("\$\{(\w+)\}"\)', rule)
        if not match:
            yield f"{alarm} is not that two windows burn"
            continue
        for part, window in zip(match.groups(), windows):
            p = t.properties(part)
            if {m for _, m, _ in metrics(p)} != terms:
                yield f"{part} does not count {sorted(terms)}"
            if {m["MetricStat"]["Period"] for m in p.get("Metrics", []) if "MetricStat" in m} != {window}:
                yield f"{part} does not look at {window} s"
            if (p.get("Threshold"), p.get("ComparisonOperator")) != (rate, "GreaterThanOrEqualToThreshold"):
                yield f"{part} does not alarm at {rate} times the objective"
            result = next((m for m in p.get("Metrics", []) if m.get("ReturnData", True)), {})
            if "100 * bad / all / (100 - ${SendObjective})" not in json.dumps(result):
                yield f"{part} does not count from SendObjective"


def alarms_reach_someone(t):
    """The topic is made unless one is named, takes CloudWatch's messages of this account only, and may write a mail."""
    if t.resources.get("AlarmTopic", {}).get("Condition") != "MakesAlarmTopic":
        yield "AlarmTopic is not made when, and only when, none is named"
    statements = t.properties("AlarmTopicPolicy").get("PolicyDocument", {}).get("Statement", [])
    allowed = [s for s in statements if s.get("Effect") == "Allow"]
    if [(s["Principal"], s["Action"], s.get("Condition")) for s in allowed] != [
        (
            {"Service": "cloudwatch.amazonaws.com"},
            "sns:Publish",
            {"StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}},
        )
    ]:
        yield "AlarmTopic takes messages of others than this account's alarms"
    if not any(
        s.get("Effect") == "Deny" and s.get("Condition") == {"Bool": {"aws:SecureTransport": "false"}}
        for s in statements
    ):
        yield "AlarmTopic takes messages without TLS"
    subscription = t.properties("AlarmSubscription")
    if (subscription.get("TopicArn"), subscription.get("Endpoint")) != (TOPIC, {"Ref": "AlarmEmail"}):
        yield "AlarmEmail hears of no alarm"


def shown(widget):
    """(namespace, metric, dimensions, options) of a widget, with the dots filled in."""
    before = []
    for line in widget["properties"]["metrics"]:
        options = line[-1] if isinstance(line[-1], dict) else {}
        words = line[:-1] if isinstance(line[-1], dict) else line
        if "expression" in options:
            continue
        if words and words[0] == "...":
            words = before[: len(before) - len(words) + 1] + words[1:]
        words = [before[i] if word == "." else word for i, word in enumerate(words)]
        before = words
        yield words[0], words[1], dict(zip(words[2::2], words[3::2])), options


def dashboard_shows(t):
    """The dashboard is JSON, overlaps nowhere, draws only metrics that are sent, and all of the functions' own that matter."""
    if t.resources.get("Dashboard", {}).get("Condition") != "HasAlarms":
        yield "the dashboard is there without Alarms"
    text = t.properties("Dashboard")["DashboardBody"]["Fn::Sub"]
    # A number comes from a parameter without quotes around it.
    widgets = json.loads(re.sub(r'(?<=: )\$\{(\w+)\}', "0", text))["widgets"]
    cells, seen = set(), set()
    for widget in widgets:
        title = widget["properties"]["title"]
        if widget["properties"].get("region") != "${AWS::Region}":
            yield f"{title} looks at another region"
        own = {
            (x, y)
            for x in range(widget["x"], widget["x"] + widget["width"])
            for y in range(widget["y"], widget["y"] + widget["height"])
        }
        if own & cells or any(x >= 24 for x, _ in own):
            yield f"{title} lies over another widget or the edge"
        cells |= own
        for namespace, metric, dimensions, _ in shown(widget):
            seen.add((namespace, metric))
            if metric not in SENT.get((namespace, tuple(sorted(dimensions))), ()):
                yield f"{title} draws {metric} of {namespace} by {sorted(dimensions)}, which nobody sends"
        lines = [line[-1] for line in widget["properties"]["metrics"] if isinstance(line[-1], dict)]
        ids = {line["id"] for line in lines if "id" in line}
        for expression in (line["expression"] for line in lines if "expression" in line):
            for word in set(re.findall(r"\b[a-z]\w*\b", expression)) - ids:
                yield f"{title} counts with {word}, which is not there"
    for name in re.findall(r"\$\{(\w+)[.}]", text):
        if name not in t.resources and name not in t.parameters:
            yield f"the dashboard names {name}, which is not there"
    # What an operator does not ask first: connections come and go, and acks follow messages.
    for metric in sorted(set(COUNTS + TIMES) - {"Opened", "Closed", "Acks"} - {m for n, m in seen if n == NAMESPACE}):
        yield f"the dashboard does not show {metric}"
    for service, names in SENT.items():
        for metric in sorted(names - {"ApproximateNumberOfMessagesVisible"} - set(COUNTS + TIMES)):
            if (service[0], metric) not in seen:
                yield f"the dashboard does not show {metric} of {service[0]}"


def alarms_are_as_written(t):
    """docs/operations.md has every alarm, and says how many metrics they are billed for."""
    written = {row[0] for row in t.table("Alarms")[1:]}
    parts = {name for _, p in t.of(KINDS[1]) for name in re.findall(r"\$\{(\w+)\}", p["AlarmRule"]["Fn::Sub"])}
    for name in sorted({name for name, _ in alarms(t)} - parts ^ written):
        yield f"{name} is {'not in docs/operations.md' if name not in written else 'only in docs/operations.md'}"
    billed = sum(len(list(metrics(p))) for _, p in alarms(t))
    said = f"{billed} metrics and {len(t.of(KINDS[1]))} composite alarms"
    if said not in re.sub(r"\s+", " ", t.operations):
        yield f"docs/operations.md does not say that the alarms are {said}"
