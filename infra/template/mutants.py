"""Breaks the expanded template in one place at a time, and wants the check that is for it to say so.

    mutants.py expanded.json operations.md

A check that finds none of its mutants holds nothing.
"""

import copy
import json
import sys

from checks import CHECKS, Template, run

MUTANTS = []


def mutant(check):
    """Registers a function that breaks (resources, template) so that `check` must complain."""

    def register(breaks):
        MUTANTS.append((check, breaks.__name__, breaks))
        return breaks

    return register


def props(resources, name):
    return resources[name]["Properties"]


def statements(resources, role):
    return props(resources, role)["Policies"][0]["PolicyDocument"]["Statement"]


def allow(action, resource):
    return {"Effect": "Allow", "Action": action, "Resource": resource}


MESSAGES = {"Fn::GetAtt": ["MessagesTable", "Arn"]}


@mutant("routes_answer")
def no_route_response(r, _):
    del r["HistoryRouteResponse"]


@mutant("routes_answer")
def no_response_selected(r, _):
    del props(r, "WebSocketApiSendRoute")["RouteResponseSelectionExpression"]


@mutant("routes_answer")
def response_of_another_route(r, _):
    props(r, "AckRouteResponse")["RouteId"] = {"Ref": "WebSocketApiSendRoute"}


@mutant("routes_answer")
def response_under_another_key(r, _):
    props(r, "SyncRouteResponse")["RouteResponseKey"] = "200"


@mutant("routes_answer")
def connect_answers(r, _):
    props(r, "WebSocketApiConnectRoute")["RouteResponseSelectionExpression"] = "$default"


@mutant("routes_answer")
def no_route(r, _):
    del r["WebSocketApiTypingRoute"]


@mutant("routes_answer")
def unknown_route(r, _):
    props(r, "WebSocketApiTypingRoute")["RouteKey"] = "type"


@mutant("routes_answer")
def wrong_function(r, _):
    props(r, "WebSocketApiHistoryIntegration")["IntegrationUri"] = {"Fn::Sub": "${AckFunction.Arn}"}


@mutant("routes_answer")
def route_may_not_invoke(r, _):
    del r["WebSocketApiAckPermission"]


@mutant("socket_opens_with_a_token")
def no_authorizer(r, _):
    del props(r, "WebSocketApiConnectRoute")["AuthorizerId"]


@mutant("socket_opens_with_a_token")
def authorization_none(r, _):
    props(r, "WebSocketApiConnectRoute")["AuthorizationType"] = "NONE"


@mutant("socket_opens_with_a_token")
def header_wanted(r, _):
    props(r, "WebSocketApiConnectAuthorizer")["IdentitySource"] = ["route.request.header.Authorization"]


@mutant("socket_opens_with_a_token")
def authorizer_may_not_be_invoked(r, _):
    del r["WebSocketApiAuthorizerPermission"]


@mutant("socket_opens_with_a_token")
def route_by_another_field(r, _):
    props(r, "WebSocketApi")["RouteSelectionExpression"] = "$request.body.type"


@mutant("stages_deploy_themselves")
def no_auto_deploy(r, _):
    props(r, "WebSocketApiStage")["AutoDeploy"] = False


@mutant("stages_deploy_themselves")
def no_throttle(r, _):
    del props(r, "HttpApiApiGatewayDefaultStage")["DefaultRouteSettings"]


@mutant("http_wants_a_token")
def open_route(r, _):
    props(r, "HttpApi")["Body"]["paths"]["/api/{proxy+}"]["post"]["security"] = [{"NONE": []}]


@mutant("http_wants_a_token")
def closed_health(r, _):
    props(r, "HttpApi")["Body"]["paths"]["/api/health"]["get"]["security"] = [{"Token": []}]


@mutant("http_wants_a_token")
def any_route(r, _):
    path = props(r, "HttpApi")["Body"]["paths"]["/api/{proxy+}"]
    path["x-amazon-apigateway-any-method"] = path["get"]


@mutant("http_wants_a_token")
def any_audience(r, _):
    scheme = props(r, "HttpApi")["Body"]["components"]["securitySchemes"]["Token"]
    del scheme["x-amazon-apigateway-authorizer"]["jwtConfiguration"]["audience"]


@mutant("http_wants_a_token")
def no_delete(r, _):
    del props(r, "HttpApi")["Body"]["paths"]["/api/{proxy+}"]["delete"]


@mutant("cors_is_whole")
def only_origins(r, _):
    props(r, "HttpApi")["Body"]["x-amazon-apigateway-cors"] = {"Fn::Split": [",", "*"]}


@mutant("cors_is_whole")
def no_token_header(r, _):
    props(r, "HttpApi")["Body"]["x-amazon-apigateway-cors"]["Fn::If"][1]["allowHeaders"].remove("authorization")


@mutant("functions_are_whole")
def no_time_limit(r, _):
    del props(r, "SendFunction")["Timeout"]


@mutant("functions_are_whole")
def outlives_the_gateway(r, _):
    props(r, "SyncFunction")["Timeout"] = 60


@mutant("functions_are_whole")
def not_traced(r, _):
    del props(r, "AckFunction")["TracingConfig"]


@mutant("functions_are_whole")
def logs_for_ever(r, _):
    del props(r, "AckLogs")["RetentionInDays"]


@mutant("functions_are_whole")
def logs_text(r, _):
    props(r, "AckFunction")["LoggingConfig"]["LogFormat"] = "Text"


@mutant("functions_are_whole")
def two_log_levels(r, _):
    props(r, "AckFunction")["Environment"]["Variables"]["RUST_LOG"] = "debug"


@mutant("functions_are_whole")
def wrong_binary(r, _):
    r["AckFunction"]["Metadata"]["BuildProperties"]["Binary"] = "send"


@mutant("functions_are_whole")
def fixed_architecture(r, _):
    props(r, "AckFunction")["Architectures"] = ["x86_64"]


@mutant("roles_are_narrow")
def every_action(r, _):
    statements(r, "SendRole").append(allow("dynamodb:*", MESSAGES))


@mutant("roles_are_narrow")
def two_actions(r, _):
    statements(r, "SendRole").append(allow(["dynamodb:GetItem", "dynamodb:Query"], MESSAGES))


@mutant("roles_are_narrow")
def every_resource(r, _):
    statements(r, "SendRole").append(allow("dynamodb:GetItem", "*"))


@mutant("roles_are_narrow")
def two_resources(r, _):
    statements(r, "SendRole").append(allow("dynamodb:GetItem", [MESSAGES]))


@mutant("roles_are_narrow")
def wide_arn(r, _):
    statements(r, "SendRole").append(allow("dynamodb:GetItem", {"Fn::Sub": "arn:aws:dynamodb:*:*:table/*"}))


@mutant("roles_are_narrow")
def all_but_one_action(r, _):
    statements(r, "SendRole").append({"Effect": "Allow", "NotAction": "iam:PassRole", "Resource": MESSAGES})


@mutant("roles_are_narrow")
def managed_policy_of_aws(r, _):
    managed = "arn:aws:iam::aws:policy/service-role/AWSLambdaSQSQueueExecutionRole"
    props(r, "SendRole")["ManagedPolicyArns"].append(managed)


@mutant("roles_are_narrow")
def shared_role(r, _):
    props(r, "AckFunction")["Role"] = {"Fn::GetAtt": ["SendRole", "Arn"]}


@mutant("roles_are_narrow")
def assumed_by_anyone(r, _):
    props(r, "SendRole")["AssumeRolePolicyDocument"]["Statement"][0]["Principal"] = {"AWS": "*"}


@mutant("permissions_are_as_written")
def one_action_more(r, _):
    statements(r, "SyncRole").append(allow("dynamodb:DeleteItem", MESSAGES))


@mutant("permissions_are_as_written")
def one_action_less(r, _):
    del statements(r, "SendRole")[0]


@mutant("permissions_are_as_written")
def another_resource(r, _):
    statements(r, "SyncRole").append(allow("s3:GetObject", {"Fn::Sub": "arn:aws:s3:::bucket/key"}))


@mutant("permissions_are_as_written")
def application_without_condition(r, _):
    found = statements(r, "ApiRole")
    index = next(i for i, s in enumerate(found) if "Fn::If" in s)
    found[index] = found[index]["Fn::If"][1]


@mutant("permissions_are_as_written")
def one_application_less(r, _):
    found = statements(r, "PushRole")
    del found[next(i for i, s in enumerate(found) if "Fn::If" in s)]


@mutant("permissions_are_as_written")
def no_logs(r, _):
    found = statements(r, "SendRole")
    found[:] = [s for s in found if s.get("Action") != "logs:PutLogEvents"]


@mutant("permissions_are_as_written")
def no_traces(r, _):
    del props(r, "SendRole")["ManagedPolicyArns"]


@mutant("permissions_are_as_written")
def undocumented(_, t):
    t.operations = t.operations.replace("ConditionCheckItem", "")


@mutant("variables_fit_permissions")
def unused_variable(r, _):
    props(r, "ConnectFunction")["Environment"]["Variables"]["PETREL_MESSAGES_TABLE"] = {"Ref": "MessagesTable"}


@mutant("variables_fit_permissions")
def unnamed_table(r, _):
    del props(r, "ConnectFunction")["Environment"]["Variables"]["PETREL_CONNECTIONS_TABLE"]


@mutant("variables_fit_permissions")
def crossed_queues(r, _):
    props(r, "SendFunction")["Environment"]["Variables"]["PETREL_PUSH_QUEUE_URL"] = {"Ref": "FanoutQueue"}


@mutant("tables_keep")
def messages_expire(r, _):
    props(r, "MessagesTable")["TimeToLiveSpecification"] = {"AttributeName": "ttl", "Enabled": True}


@mutant("tables_keep")
def timers_do_not(r, _):
    del props(r, "ConversationsTable")["TimeToLiveSpecification"]


@mutant("tables_keep")
def seq_is_text(r, _):
    props(r, "MessagesTable")["AttributeDefinitions"][1]["AttributeType"] = "S"


@mutant("tables_keep")
def other_key(r, _):
    props(r, "ConnectionsTable")["KeySchema"][0]["AttributeName"] = "connection_id"


@mutant("tables_keep")
def no_recovery(r, _):
    props(r, "MessagesTable")["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"] = False


@mutant("tables_keep")
def no_protection(r, _):
    del props(r, "MessagesTable")["DeletionProtectionEnabled"]


@mutant("tables_keep")
def unprotected_by_default(_, t):
    t.parameters["DeletionProtection"]["Default"] = "false"


@mutant("tables_keep")
def deleted_with_the_stack(r, _):
    del r["MessagesTable"]["DeletionPolicy"]


@mutant("tables_keep")
def not_encrypted(r, _):
    del props(r, "MessagesTable")["SSESpecification"]


@mutant("tables_keep")
def provisioned(r, _):
    props(r, "MessagesTable")["BillingMode"] = "PROVISIONED"


@mutant("tables_keep")
def indexed(r, _):
    props(r, "MessagesTable")["GlobalSecondaryIndexes"] = []


@mutant("queues_lose_nothing")
def whole_batch_fails(r, _):
    del props(r, "FanoutFunctionQueue")["FunctionResponseTypes"]


@mutant("queues_lose_nothing")
def whole_push_batch_fails(r, _):
    del props(r, "PushFunctionQueue")["FunctionResponseTypes"]


@mutant("queues_lose_nothing")
def comes_up_twice(r, _):
    props(r, "FanoutQueue")["VisibilityTimeout"] = 179


@mutant("queues_lose_nothing")
def runs_longer(r, _):
    props(r, "PushFunction")["Timeout"] = 31


@mutant("queues_lose_nothing")
def no_dead_letters(r, _):
    del props(r, "FanoutQueue")["RedrivePolicy"]


@mutant("queues_lose_nothing")
def no_dead_push_jobs(r, _):
    del props(r, "PushQueue")["RedrivePolicy"]


@mutant("queues_lose_nothing")
def dead_letters_vanish(r, _):
    props(r, "PushDeadLetterQueue")["MessageRetentionPeriod"] = 345600


@mutant("queues_lose_nothing")
def one_try(r, _):
    props(r, "PushQueue")["RedrivePolicy"]["maxReceiveCount"] = 1


@mutant("queues_lose_nothing")
def no_alarm(r, _):
    del r["PushDeadLetterAlarm"]


@mutant("queues_lose_nothing")
def no_consumer(r, _):
    del r["FanoutFunctionQueue"]


@mutant("queues_lose_nothing")
def other_batch_size(r, _):
    props(r, "FanoutFunctionQueue")["BatchSize"] = 100


@mutant("queues_lose_nothing")
def push_without_bound(r, _):
    del props(r, "PushFunctionQueue")["ScalingConfig"]


@mutant("queues_are_private")
def plain_queue(r, _):
    del props(r, "FanoutQueue")["SqsManagedSseEnabled"]


@mutant("queues_are_private")
def without_tls(r, _):
    del r["PushDeadLetterQueuePolicy"]


@mutant("queues_are_private")
def open_to_all(r, _):
    props(r, "PushQueuePolicy")["PolicyDocument"]["Statement"].append(allow("sqs:SendMessage", "*"))


@mutant("outputs_are_there")
def no_url(_, t):
    del t.outputs["WebSocketUrl"]


@mutant("outputs_are_there")
def no_queue_url(_, t):
    del t.outputs["PushDeadLetterQueueUrl"]


@mutant("parameters_are_as_written")
def other_default(_, t):
    t.parameters["PushDelaySeconds"]["Default"] = 60


@mutant("parameters_are_as_written")
def unwritten_parameter(_, t):
    t.parameters["New"] = {"Type": "String"}


def main(expanded, operations):
    with open(expanded, encoding="utf-8") as template, open(operations, encoding="utf-8") as text:
        original, written = json.load(template), text.read()
    checks = {check.__name__: check for check in CHECKS}
    survived = [f"{name} has no mutant" for name in checks if name not in {check for check, _, _ in MUTANTS}]
    for check, name, breaks in MUTANTS:
        t = Template(copy.deepcopy(original), written)
        before = run(checks[check], t)
        breaks(t.resources, t)
        if run(checks[check], t) == before:
            survived.append(f"{check} does not notice {name}")
    for what in survived:
        print(what, file=sys.stderr)
    if survived:
        sys.exit(f"{len(survived)} mutants survived")
    print(f"{len(MUTANTS)} mutants found")


if __name__ == "__main__":
    main(*sys.argv[1:])
