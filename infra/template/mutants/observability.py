"""What breaks alarms and the dashboard."""

from . import allow, mutant, props


def part(resources, alarm, id):
    return next(m for m in props(resources, alarm)["Metrics"] if m["Id"] == id)


def redraw(resources, old, new):
    body = props(resources, "Dashboard")["DashboardBody"]
    if old not in body["Fn::Sub"]:
        raise LookupError(f"the dashboard has no {old}")
    body["Fn::Sub"] = body["Fn::Sub"].replace(old, new)


@mutant("everything_is_watched")
def dead_letters_unseen(r, _):
    del r["PushDeadLetterAlarm"]


@mutant("everything_is_watched")
def lag_unseen(r, _):
    del r["FanoutAgeAlarm"]


@mutant("everything_is_watched")
def one_function_unseen(r, _):
    props(r, "FunctionErrorsAlarm")["Metrics"].remove(part(r, "FunctionErrorsAlarm", "ack"))


@mutant("everything_is_watched")
def one_table_unseen(r, _):
    props(r, "TableThrottlesAlarm")["Metrics"].remove(part(r, "TableThrottlesAlarm", "messagesWrite"))


@mutant("everything_is_watched")
def table_errors_unseen(r, _):
    del r["ConnectionsTableErrorsAlarm"]


@mutant("everything_is_watched")
def authorizer_unseen(r, _):
    del r["AuthorizerAlarm"]


@mutant("everything_is_watched")
def latency_unseen(r, _):
    del r["DeliveryLatencyAlarm"]


@mutant("alarms_are_well_made")
def always_there(r, _):
    del r["FailuresAlarm"]["Condition"]


@mutant("alarms_are_well_made")
def rings_at_rest(r, _):
    props(r, "FailuresAlarm")["TreatMissingData"] = "breaching"


@mutant("alarms_are_well_made")
def tells_nobody(r, _):
    del props(r, "FailuresAlarm")["AlarmActions"]


@mutant("alarms_are_well_made")
def composite_tells_nobody(r, _):
    del props(r, "SendBurnFastAlarm")["AlarmActions"]


@mutant("alarms_are_well_made")
def window_wakes_someone(r, _):
    props(r, "SendBurnHour")["AlarmActions"] = props(r, "SendBurnFastAlarm")["AlarmActions"]


@mutant("alarms_are_well_made")
def says_nothing(r, _):
    del props(r, "FailuresAlarm")["AlarmDescription"]


@mutant("alarms_are_well_made")
def misspelt_metric(r, _):
    props(r, "FailuresAlarm")["MetricName"] = "Failure"


@mutant("alarms_are_well_made")
def of_another_namespace(r, _):
    props(r, "FailuresAlarm")["Namespace"] = "Petrel"


@mutant("alarms_are_well_made")
def by_another_dimension(r, _):
    props(r, "HttpErrorsAlarm")["Dimensions"][0]["Name"] = "ApiName"


@mutant("alarms_are_well_made")
def eleven_metrics(r, _):
    metrics = props(r, "FunctionThrottlesAlarm")["Metrics"]
    metrics += [dict(metrics[1], Id=f"more{n}") for n in range(2)]


@mutant("alarms_are_well_made")
def two_periods(r, _):
    part(r, "PushFailuresAlarm", "failed")["MetricStat"]["Period"] = 60


@mutant("alarms_are_well_made")
def two_results(r, _):
    del part(r, "PushFailuresAlarm", "failed")["ReturnData"]


@mutant("alarms_are_well_made")
def unknown_term(r, _):
    part(r, "PushFailuresAlarm", "failed")["Id"] = "failures"


@mutant("alarms_are_well_made")
def silent_parts_hide_the_rest(r, _):
    part(r, "TableThrottlesAlarm", "result")["Expression"] = "SUM(METRICS())"


@mutant("budget_is_watched")
def either_window(r, _):
    rule = props(r, "SendBurnFastAlarm")["AlarmRule"]
    rule["Fn::Sub"] = rule["Fn::Sub"].replace("AND", "OR")


@mutant("budget_is_watched")
def the_same_window_twice(r, _):
    rule = props(r, "SendBurnSlowAlarm")["AlarmRule"]
    rule["Fn::Sub"] = rule["Fn::Sub"].replace("SendBurnHalfHour", "SendBurnSixHours")


@mutant("budget_is_watched")
def busy_is_success(r, _):
    part(r, "SendBurnHour", "busy")["MetricStat"]["Metric"]["MetricName"] = "Messages"


@mutant("budget_is_watched")
def burns_faster(r, _):
    props(r, "SendBurnHour")["Threshold"] = 100


@mutant("budget_is_watched")
def fixed_objective(r, _):
    result = part(r, "SendBurnHour", "result")
    result["Expression"] = {"Fn::Sub": result["Expression"]["Fn::Sub"].replace("${SendObjective}", "99")}


@mutant("alarms_reach_someone")
def topic_for_anyone(r, _):
    props(r, "AlarmTopicPolicy")["PolicyDocument"]["Statement"].append(allow("sns:Publish", "*"))


@mutant("alarms_reach_someone")
def alarms_of_any_account(r, _):
    del props(r, "AlarmTopicPolicy")["PolicyDocument"]["Statement"][0]["Condition"]


@mutant("alarms_reach_someone")
def topic_without_tls(r, _):
    del props(r, "AlarmTopicPolicy")["PolicyDocument"]["Statement"][1]


@mutant("alarms_reach_someone")
def second_topic(r, _):
    r["AlarmTopic"]["Condition"] = "HasAlarms"


@mutant("alarms_reach_someone")
def mail_from_elsewhere(r, _):
    props(r, "AlarmSubscription")["TopicArn"] = {"Ref": "AlarmTopic"}


@mutant("dashboard_shows")
def no_json(r, _):
    redraw(r, '"widgets": [', '"widgets": [,')


@mutant("dashboard_shows")
def dashboard_always_there(r, _):
    del r["Dashboard"]["Condition"]


@mutant("dashboard_shows")
def drawn_over(r, _):
    redraw(r, '"x": 8, "y": 0', '"x": 4, "y": 0')


@mutant("dashboard_shows")
def misspelt_line(r, _):
    redraw(r, '"PutBack"', '"Putback"')


@mutant("dashboard_shows")
def line_of_no_resource(r, _):
    redraw(r, "${FanoutQueue.QueueName}", "${Fanout.QueueName}")


@mutant("dashboard_shows")
def expression_of_nothing(r, _):
    redraw(r, "390 * s /", "390 * sync /")


@mutant("dashboard_shows")
def elsewhere(r, _):
    redraw(r, "${AWS::Region}", "us-east-1")


@mutant("dashboard_shows")
def nobody_sees_what_is_lost(r, _):
    redraw(r, '"PushJobsLost"', '"PushJobs"')


@mutant("alarms_are_as_written")
def unwritten_alarm(r, _):
    r["New"] = r["FailuresAlarm"]


@mutant("alarms_are_as_written")
def written_but_gone(r, _):
    del r["PushJobsLostAlarm"]


@mutant("alarms_are_as_written")
def costs_more(r, _):
    metrics = props(r, "PushFailuresAlarm")["Metrics"]
    metrics.append(dict(metrics[-1], Id="more"))
