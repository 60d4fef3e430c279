"""The stack as a whole: what is documented, an outage, and what is left when it is deleted."""

import copy
import inspect
import json
import re

import botocore.exceptions
import pytest

import deviations
import environment
from client import direct, text

README = environment.REPOSITORY / "tests" / "acceptance" / "README.md"


def test_deviations_are_documented():
    """README.md has a row for each thing that this suite does because ministack is not AWS."""
    endpoint = deviations.ministack()
    names = [it.__name__ for it in endpoint.transformations]
    names += [f"lacks: {word}" for word in endpoint.lacks]
    names += [f"handshake: {at_aws} is {here}" for at_aws, here in endpoint.handshake.items()]
    names += [f"left out: {kind}" for kind in deviations.LEFT_OUT]
    names += list(deviations.ELSEWHERE)
    section = README.read_text().split("\n## Where ministack differs from AWS\n")[1].split("\n## ")[0]
    rows = re.findall(r"^\| `([^`]+)` \|", section, flags=re.MULTILINE)
    assert sorted(rows) == sorted(names)


def test_transformations_change_what_they_are_for(stack):
    """One that finds nothing to change is dead: the template or the emulator has moved on."""
    for transformation in stack.endpoint.transformations:
        template = copy.deepcopy(stack.packaged)
        arguments = [template, stack.endpoint.url][: len(inspect.signature(transformation).parameters)]
        transformation(*arguments)
        assert template != stack.packaged, f"{transformation.__name__} changes nothing"


@pytest.mark.needs("policies")
async def test_functions_may_do_what_their_roles_allow(stack, user):
    """Without its policy a function fails: so what the other tests see, they see under the template's policies."""
    iam, role = stack.client("iam"), stack.resource("AckRole")
    policy = iam.get_role_policy(RoleName=role, PolicyName="ack")["PolicyDocument"]
    ana, bo = user("ana"), user("bo")
    conversation = direct(ana.id, bo.id)
    async with ana.device() as hers, bo.device() as his:
        await hers.send(conversation, text("hi"))
        iam.delete_role_policy(RoleName=role, PolicyName="ack")
        try:
            await his.ack(conversation, read=1)
            assert (await his.take(type="error"))["code"] == "busy"
        finally:
            iam.put_role_policy(RoleName=role, PolicyName="ack", PolicyDocument=json.dumps(policy))
        await his.ack(conversation, read=1)
        assert (await hers.take(type="receipt"))["read"] == 1


def test_streams_wake_a_function_for_what_is_its_own_alone(stack):
    """Each sees what the TTL has removed of its own, and nothing of all else that goes through the table."""
    timer, upload = ("t#d:ana:bo", "timer"), ("f#0192f3c4", "u#ana")
    others = [("f#0192f3c4", "l#bo"), ("u#ana", "c#d:ana:bo"), ("u#ana", "w#bo"), ("d:ana:bo", "floor")]
    for function, own in (("ArchiveFunction", timer), ("MediaFunction", upload)):
        assert stack.lets_through(function, stack.record(*own))
        assert not stack.lets_through(function, stack.record(*own, by_ttl=False))
        for keys in {timer, upload, *others} - {own}:
            assert not stack.lets_through(function, stack.record(*keys)), keys


def test_tables_are_protected(stack):
    dynamodb = stack.client("dynamodb")
    for output in ("MessagesTableName", "ConversationsTableName", "ConnectionsTableName"):
        with pytest.raises(botocore.exceptions.ClientError, match="(?i)protect"):
            dynamodb.delete_table(TableName=stack.outputs[output])


@pytest.mark.last
async def test_large_group_is_served_while_the_queue_is_out(stack, user):
    """If SQS refuses the chunks, the function that sends delivers them itself. Runs late: the queue is gone after it."""
    members = [user(f"m{n}") for n in range(40)]
    group = (await members[0].http.found("forty", [one.id for one in members[1:]]))["conversation_id"]
    async with members[0].device() as hers, members[39].device() as his:
        stack.client("sqs").delete_queue(QueueUrl=stack.outputs["FanoutQueueUrl"])
        assert (await hers.send(group, text("without a queue"), seen=1))["seq"] == 2
        await his.message(group, 2)


@pytest.mark.last
def test_deleted_stack_leaves_the_data_and_nothing_else(stack):
    physical = stack.physical()
    # A condition may have left some out.
    kept = {name: kind for name, kind in stack.kept() if name in physical}
    assert set(kept.values()) <= {"AWS::DynamoDB::Table", "AWS::S3::Bucket", "AWS::S3::BucketPolicy"}
    assert {"MessagesTable", "ConversationsTable", "ConnectionsTable"} <= kept.keys()
    stack.delete()
    dynamodb, functions, sqs = stack.client("dynamodb"), stack.client("lambda"), stack.client("sqs")
    s3, apis = stack.client("s3"), stack.client("apigatewayv2")
    for name, kind in kept.items():
        if kind == "AWS::DynamoDB::Table":
            assert dynamodb.describe_table(TableName=physical[name])["Table"]["TableStatus"] == "ACTIVE"
        elif kind == "AWS::S3::Bucket":
            s3.head_bucket(Bucket=physical[name])
    for name, resource in stack.template["Resources"].items():
        if name in kept:
            continue
        check = {
            "AWS::Lambda::Function": lambda id: functions.get_function(FunctionName=id),
            "AWS::SQS::Queue": lambda id: sqs.get_queue_attributes(QueueUrl=id),
            "AWS::DynamoDB::Table": lambda id: dynamodb.describe_table(TableName=id),
            "AWS::S3::Bucket": lambda id: s3.head_bucket(Bucket=id),
            "AWS::ApiGatewayV2::Api": lambda id: apis.get_api(ApiId=id),
        }.get(resource["Type"])
        if check and name in physical:
            with pytest.raises(botocore.exceptions.ClientError):
                check(physical[name])
