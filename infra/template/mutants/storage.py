"""What breaks tables, queues and buckets."""

from . import allow, mutant, props


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


@mutant("queues_lose_nothing")
def fan_out_without_bound(r, _):
    props(r, "FanoutFunctionQueue")["ScalingConfig"]["MaximumConcurrency"] = {"Ref": "PushMaximumConcurrency"}


@mutant("buckets_keep")
def bucket_goes_with_the_stack(r, _):
    del r["ArchiveBucket"]["DeletionPolicy"]


@mutant("buckets_keep")
def media_expire(r, _):
    props(r, "MediaBucket")["LifecycleConfiguration"]["Rules"][0]["ExpirationInDays"] = 90


@mutant("buckets_keep")
def uploads_pile_up(r, _):
    del props(r, "MediaBucket")["LifecycleConfiguration"]["Rules"][0]


@mutant("buckets_keep")
def deleted_pile_up(r, _):
    props(r, "ArchiveBucket")["LifecycleConfiguration"]["Rules"][1]["Status"] = "Disabled"


@mutant("buckets_keep")
def history_takes_hours(r, _):
    props(r, "ArchiveBucket")["LifecycleConfiguration"]["Rules"][2]["Transitions"][0]["StorageClass"] = "DEEP_ARCHIVE"


@mutant("buckets_keep")
def one_version(r, _):
    del props(r, "ArchiveBucket")["VersioningConfiguration"]


@mutant("buckets_keep")
def unknown_bucket(r, _):
    r["Other"] = r["ArchiveBucket"]


@mutant("buckets_are_private")
def public_policy(r, _):
    props(r, "MediaBucket")["PublicAccessBlockConfiguration"]["BlockPublicPolicy"] = False


@mutant("buckets_are_private")
def plain_bucket(r, _):
    del props(r, "MediaBucket")["BucketEncryption"]


@mutant("buckets_are_private")
def owned_by_uploaders(r, _):
    del props(r, "MediaBucket")["OwnershipControls"]


@mutant("buckets_are_private")
def bucket_without_tls(r, _):
    del props(r, "ArchiveBucketPolicy")["PolicyDocument"]["Statement"][0]["Condition"]


@mutant("buckets_are_private")
def bucket_but_not_its_objects(r, _):
    del props(r, "ArchiveBucketPolicy")["PolicyDocument"]["Statement"][0]["Resource"][1]


@mutant("buckets_are_private")
def anyone_may_read(r, _):
    props(r, "MediaBucketPolicy")["PolicyDocument"]["Statement"].append(allow("s3:GetObject", "*"))


def source(r):
    """The archiver's event source."""
    return next(
        resource["Properties"]
        for resource in r.values()
        if resource["Type"] == "AWS::Lambda::EventSourceMapping"
        and resource["Properties"]["FunctionName"] == {"Ref": "ArchiveFunction"}
    )


@mutant("timers_are_heard")
def everything_is_heard(r, _):
    del source(r)["FilterCriteria"]


@mutant("timers_are_heard")
def deleted_by_hand_too(r, _):
    source(r)["FilterCriteria"]["Filters"] = [{"Pattern": '{"dynamodb":{"Keys":{"sk":{"S":["timer"]}}}}'}]


@mutant("timers_are_heard")
def early_timers_are_missed(r, _):
    source(r)["StartingPosition"] = "LATEST"


@mutant("timers_are_heard")
def failures_are_forgotten(r, _):
    del source(r)["DestinationConfig"]


@mutant("timers_are_heard")
def one_stops_all(r, _):
    del source(r)["MaximumRetryAttempts"]


@mutant("timers_are_heard")
def lease_is_outlived(r, _):
    props(r, "ArchiveFunction")["Timeout"] = 900


@mutant("files_are_heard")
def the_bucket_is_silent(r, _):
    del props(r, "MediaBucket")["NotificationConfiguration"]


@mutant("files_are_heard")
def other_buckets_are_heard(r, _):
    del props(r, "MediaFunctionStored")["EventPattern"]["detail"]


@mutant("files_are_heard")
def what_is_deleted_is_taken_for_stored(r, _):
    props(r, "MediaFunctionStored")["EventPattern"]["detail-type"].append("Object Deleted")


@mutant("files_are_heard")
def verdicts_on_other_buckets(r, _):
    props(r, "MediaFunctionScannedByGuardDuty")["EventPattern"]["detail"] = {}


@mutant("files_are_heard")
def anyone_is_a_scanner(r, _):
    del props(r, "MediaFunctionScannedByAnother")["EventPattern"]["source"]


@mutant("files_are_heard")
def no_scanner_of_ones_own(r, _):
    del r["MediaFunctionScannedByAnother"]


@mutant("files_are_heard")
def a_rule_is_off(r, _):
    props(r, "MediaFunctionScannedByGuardDuty")["State"] = "DISABLED"


@mutant("files_are_heard")
def a_rule_more(r, _):
    r["Other"] = r["MediaFunctionStored"]


def uploads(r):
    """The event source of uploads that ran out."""
    return props(r, "MediaFunctionRanOut")


@mutant("files_are_heard")
def everything_that_changes_is_heard(r, _):
    del uploads(r)["FilterCriteria"]


def refilter(r, old, new):
    only = uploads(r)["FilterCriteria"]["Filters"][0]
    only["Pattern"] = only["Pattern"].replace(old, new)


@mutant("files_are_heard")
def loans_are_taken_for_uploads(r, _):
    refilter(r, '"u#"', '"l#"')


@mutant("files_are_heard")
def no_upload_begins_so(r, _):
    refilter(r, '"f#"', '"m#"')


@mutant("files_are_heard")
def uploads_begin_otherwise(_, t):
    t.keys = t.keys.replace('"f#"', '"file#"')


@mutant("files_are_heard")
def owners_begin_otherwise(_, t):
    t.keys = t.keys.replace('"u#"', '"user#"')


@mutant("files_are_heard")
def other_events_are_read(_, t):
    t.media = t.media.replace('"REMOVE"', '"INSERT"')


@mutant("files_are_heard")
def early_uploads_are_missed(r, _):
    uploads(r)["StartingPosition"] = "LATEST"


@mutant("files_are_heard")
def one_upload_stops_all(r, _):
    del uploads(r)["MaximumRetryAttempts"]


@mutant("files_are_heard")
def a_whole_batch_comes_again(r, _):
    del uploads(r)["FunctionResponseTypes"]


@mutant("tables_keep")
def no_stream(r, _):
    del props(r, "ConversationsTable")["StreamSpecification"]


@mutant("queues_lose_nothing")
def media_events_are_lost(r, _):
    for resource in r.values():
        if resource["Type"] == "AWS::Lambda::EventInvokeConfig":
            del resource["Properties"]["DestinationConfig"]


@mutant("queues_lose_nothing")
def media_events_that_are_not_brought_are_lost(r, _):
    del props(r, "MediaFunctionStored")["Targets"][0]["DeadLetterConfig"]


@mutant("queues_lose_nothing")
def a_rule_may_not_write_what_it_cannot_bring(r, _):
    statement = props(r, "MediaDeadLetterQueuePolicy")["PolicyDocument"]["Statement"][1]
    statement["Condition"]["ArnEquals"]["aws:SourceArn"].pop()


@mutant("queues_are_private")
def every_rule_writes_to_the_queue(r, _):
    del props(r, "MediaDeadLetterQueuePolicy")["PolicyDocument"]["Statement"][1]["Condition"]


@mutant("queues_lose_nothing")
def media_records_are_lost(r, _):
    for resource in r.values():
        if resource["Type"] == "AWS::Lambda::EventSourceMapping":
            resource["Properties"].pop("DestinationConfig", None)


@mutant("queues_lose_nothing")
def media_failures_are_kept_for_four_days(r, _):
    del props(r, "MediaDeadLetterQueue")["MessageRetentionPeriod"]
