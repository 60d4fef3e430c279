"""What breaks the functions and their permissions."""

from . import MESSAGES, allow, mutant, props, statements


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
    index = next(i for i, s in enumerate(found) if "CreatePlatformEndpoint" in str(s))
    found[index] = found[index]["Fn::If"][1]


@mutant("permissions_are_as_written")
def a_queue_that_may_not_be_there(r, _):
    found = statements(r, "SendRole")
    index = next(i for i, s in enumerate(found) if "WebhookQueue" in str(s))
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


@mutant("functions_are_whole")
def counts_elsewhere(r, _):
    del props(r, "FanoutFunction")["Environment"]["Variables"]["PETREL_METRICS_NAMESPACE"]


@mutant("concurrency_is_shared_out")
def reserves_always(r, _):
    props(r, "SendFunction")["ReservedConcurrentExecutions"] = 100


@mutant("concurrency_is_shared_out")
def reserves_another(r, _):
    props(r, "AckFunction")["ReservedConcurrentExecutions"] = props(r, "SendFunction")["ReservedConcurrentExecutions"]


@mutant("concurrency_is_shared_out")
def reserves_by_default(_, t):
    t.parameters["ConnectReservedConcurrency"]["Default"] = 10


@mutant("concurrency_is_shared_out")
def zero_stops_send(_, t):
    t.conditions["ReservesSend"] = {"Fn::Equals": ["a", "a"]}
