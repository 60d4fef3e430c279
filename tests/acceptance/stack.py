"""Deploys template.yaml as a CloudFormation stack and takes it down again: what `sam deploy` does, without the CLI."""

import base64
import io
import json
import os
import sys
import time
import uuid
import zipfile

import boto3
import botocore.exceptions
from botocore.config import Config

import environment
from issuer import AUDIENCE

sys.path.insert(0, str(environment.REPOSITORY / "infra" / "template"))
from expand import expand  # noqa: E402

TEMPLATE = environment.REPOSITORY / "template.yaml"
# For a deployment or a deletion: on AWS minutes, here seconds.
DEPLOY_S = 1200
ORIGIN = "https://chat.example"
# Of a push to a device that was posted to. As short as it can be.
PUSH_DELAY_S = 2


class Failed(Exception):
    """The stack does not come up or go down; says why."""


class Stack:
    """One deployment, with all that had to be made for it."""

    def __init__(self, endpoint, issuer, webhook_url, binaries, architecture, fcm_arn=None):
        self.endpoint = endpoint
        self.issuer = issuer
        self.webhook_url = webhook_url
        self.webhook_secret = None
        self.binaries = binaries
        self.architecture = architecture
        self.name = f"petrel-acceptance-{uuid.uuid4().hex[:8]}"
        self.fcm_arn = fcm_arn
        self.own_application = None
        self.outputs = {}
        self.resources = {}
        # As packaged, and as the endpoint takes it.
        self.packaged = None
        self.template = None
        self.session = boto3.Session()
        self.bucket = None

    def client(self, service):
        config = Config(retries={"max_attempts": 3, "mode": "standard"}, s3={"addressing_style": "path"})
        verify = str(self.endpoint.authority) if self.endpoint.authority else None
        return self.session.client(service, endpoint_url=self.endpoint.url, config=config, verify=verify)

    # ------------------------------------------------------------------------------------------------------------ up

    def deploy(self):
        self.bucket = f"{self.name}-code"
        s3 = self.client("s3")
        region = self.session.region_name
        where = {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}
        s3.create_bucket(Bucket=self.bucket, **where)
        self.push_platform()
        self.webhook_secret = self.client("secretsmanager").create_secret(
            Name=f"{self.name}-webhooks", SecretString=f"whsec_{base64.b64encode(os.urandom(32)).decode()}"
        )["ARN"]
        parameters = self.parameters()
        template = expand(TEMPLATE, parameters)
        self.package(template, s3)
        self.packaged = template
        self.template = self.endpoint.change(template)
        s3.put_object(Bucket=self.bucket, Key="template.json", Body=json.dumps(self.template))
        cloudformation = self.client("cloudformation")
        cloudformation.create_stack(
            StackName=self.name,
            TemplateURL=s3.generate_presigned_url("get_object", {"Bucket": self.bucket, "Key": "template.json"})
            if self.endpoint.kind == "aws"
            else f"{self.endpoint.url}/{self.bucket}/template.json",
            Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()],
            Capabilities=["CAPABILITY_IAM"],
            DisableRollback=True,
        )
        self.wait("CREATE_COMPLETE")
        self.resources = self.physical()
        described = cloudformation.describe_stacks(StackName=self.name)["Stacks"][0]
        self.outputs = {output["OutputKey"]: output["OutputValue"] for output in described["Outputs"]}

    def parameters(self):
        return {
            "TokenIssuer": self.issuer.url,
            "TokenAudience": AUDIENCE,
            "AllowedOrigins": ORIGIN,
            "Architecture": self.architecture,
            "PushDelaySeconds": str(PUSH_DELAY_S),
            "FcmArn": self.fcm_arn or "",
            "WebhookUrl": self.webhook_url,
            "WebhookSecretArn": self.webhook_secret,
            "LogLevel": "INFO",
            "Revision": "acceptance",
        }

    def push_platform(self):
        """An application to push through, unless one was given. Real ones want Firebase's credentials."""
        if self.fcm_arn or self.endpoint.kind == "aws":
            return
        made = self.client("sns").create_platform_application(
            Name=self.name, Platform="GCM", Attributes={"PlatformCredential": "none"}
        )
        self.fcm_arn = self.own_application = made["PlatformApplicationArn"]

    def package(self, template, s3):
        """Uploads each function's binary and says in the template where it is."""
        for resource in template["Resources"].values():
            if resource["Type"] == "AWS::Lambda::Function":
                binary = resource["Metadata"]["BuildProperties"]["Binary"]
                key = f"{binary}.zip"
                s3.put_object(Bucket=self.bucket, Key=key, Body=zipped(find(self.binaries, binary)))
                resource["Properties"]["Code"] = {"S3Bucket": self.bucket, "S3Key": key}

    def wait(self, wanted):
        cloudformation = self.client("cloudformation")
        until = time.monotonic() + DEPLOY_S
        pause = 5 if self.endpoint.kind == "aws" else 0.1
        while time.monotonic() < until:
            try:
                status = cloudformation.describe_stacks(StackName=self.name)["Stacks"][0]["StackStatus"]
            except botocore.exceptions.ClientError:
                # A stack that is gone is not found by its name any more.
                status = "DELETE_COMPLETE"
            if status == wanted:
                return
            if not status.endswith("_IN_PROGRESS"):
                raise Failed(f"{self.name} is {status}, not {wanted}:\n{self.failures()}")
            time.sleep(pause)
        raise Failed(f"{self.name} is not {wanted} after {DEPLOY_S} s")

    def failures(self):
        events = self.client("cloudformation").describe_stack_events(StackName=self.name)["StackEvents"]
        return "\n".join(
            f"  {event['LogicalResourceId']} ({event['ResourceType']}): {event.get('ResourceStatusReason', '')}"
            for event in reversed(events)
            if event["ResourceStatus"].endswith("_FAILED")
        )

    def resource(self, logical_id):
        """The physical id of a resource."""
        described = self.client("cloudformation").describe_stack_resource(
            StackName=self.name, LogicalResourceId=logical_id
        )
        return described["StackResourceDetail"]["PhysicalResourceId"]

    def binary_names(self):
        functions = [r for r in self.template["Resources"].values() if r["Type"] == "AWS::Lambda::Function"]
        return [function["Metadata"]["BuildProperties"]["Binary"] for function in functions]

    def logged(self, function, since_s=3600):
        """What a function logged, line by line. On AWS it takes seconds to get there."""
        start = int((time.time() - since_s) * 1000)
        pages = self.client("logs").get_paginator("filter_log_events").paginate(
            logGroupName=f"/aws/lambda/{self.name}-{function}", startTime=start
        )
        return [event["message"].rstrip() for page in pages for event in page["events"]]

    def invocations(self, function):
        """How often a function has run: reports come as text or as JSON."""
        return sum(line.startswith("REPORT ") or '"platform.report"' in line for line in self.logged(function))

    def poll(self, logical_id, on):
        """Whether a queue's mapping to its function polls, from now on."""
        functions, mapping = self.client("lambda"), self.resource(logical_id)
        functions.update_event_source_mapping(UUID=mapping, Enabled=on)
        wanted = "Enabled" if on else "Disabled"
        until = time.monotonic() + 120
        while functions.get_event_source_mapping(UUID=mapping)["State"] != wanted:
            assert time.monotonic() < until, f"the mapping is not {wanted}"
            time.sleep(0.2)

    def ran_out(self, logical_id, pk, sk):
        """Tells a function that DynamoDB's TTL has removed an item of the conversations table, as the table's stream does on
        AWS within days of the item's time; returns the answer. Nothing here writes such a record (deviations.py)."""
        record = self.record(pk, sk)
        assert self.lets_through(logical_id, record), f"no stream brings {logical_id} this"
        return self.invoke(logical_id, {"Records": [record]})

    def record(self, pk, sk, by_ttl=True):
        """What the stream of the conversations table says of an item that was removed."""
        record = {
            "eventID": uuid.uuid4().hex,
            "eventName": "REMOVE",
            "eventVersion": "1.1",
            "eventSource": "aws:dynamodb",
            "awsRegion": self.session.region_name,
            "dynamodb": {
                "ApproximateCreationDateTime": int(time.time()),
                "Keys": {"pk": {"S": pk}, "sk": {"S": sk}},
                "SequenceNumber": "100000000000000000001",
                "SizeBytes": 64,
                "StreamViewType": "KEYS_ONLY",
            },
        }
        by = {"userIdentity": {"type": "Service", "principalId": "dynamodb.amazonaws.com"}}
        return record | by if by_ttl else record

    def lets_through(self, logical_id, record):
        """Whether a mapping brings this record of the conversations table's stream to a function. Its filter is written as a
        rule's pattern is, so EventBridge is asked."""
        table = self.client("dynamodb").describe_table(TableName=self.outputs["ConversationsTableName"])["Table"]
        found = self.client("lambda").list_event_source_mappings(
            FunctionName=self.resource(logical_id), EventSourceArn=table["LatestStreamArn"]
        )
        event = {
            "id": record["eventID"],
            "account": "000000000000",
            "source": "petrel.acceptance",
            "time": "2026-01-01T00:00:00Z",
            "region": record["awsRegion"],
            "resources": [],
            "detail-type": "record",
            "detail": record,
        }
        patterns = [
            json.dumps({"detail": json.loads(filtered["Pattern"])})
            for mapping in found["EventSourceMappings"]
            if mapping["State"] == "Enabled"
            for filtered in mapping["FilterCriteria"]["Filters"]
        ]
        matches = self.client("events").test_event_pattern
        return any(matches(EventPattern=pattern, Event=json.dumps(event))["Result"] for pattern in patterns)

    def invoke(self, logical_id, event):
        """What a function answers to an event; an error that it answers is a failure."""
        answer = self.client("lambda").invoke(FunctionName=self.resource(logical_id), Payload=json.dumps(event))
        said = json.load(answer["Payload"])
        assert "FunctionError" not in answer, said
        return said

    # ---------------------------------------------------------------------------------------------------------- down

    def delete(self):
        self.client("cloudformation").delete_stack(StackName=self.name)
        self.wait("DELETE_COMPLETE")

    def kept(self):
        """What the template keeps when the stack is deleted: (logical id, type)."""
        return [
            (name, resource["Type"])
            for name, resource in self.template["Resources"].items()
            if resource.get("DeletionPolicy", "").startswith("Retain")
        ]

    def clean_up(self):
        """Leaves nothing behind, not even what outlives the stack. Goes on over what is not there."""
        # Asked while it is there: what it keeps cannot be found by its name any more.
        physical = self.physical() or self.resources
        if self.template:
            ignoring(self.delete)
        for name, kind in self.kept() if self.template else []:
            if name in physical and kind == "AWS::DynamoDB::Table":
                ignoring(self.delete_table, physical[name])
            elif name in physical and kind == "AWS::S3::Bucket":
                ignoring(self.delete_bucket, physical[name])
        if self.own_application:
            ignoring(self.client("sns").delete_platform_application, PlatformApplicationArn=self.own_application)
        if self.webhook_secret:
            secrets = self.client("secretsmanager")
            ignoring(secrets.delete_secret, SecretId=self.webhook_secret, ForceDeleteWithoutRecovery=True)
        if self.bucket:
            ignoring(self.delete_bucket, self.bucket)
        left = self.left()
        if left:
            raise Failed(f"left behind: {', '.join(left)}")

    def left(self):
        """The tables and buckets of this deployment that are still there."""
        tables = self.client("dynamodb").get_paginator("list_tables").paginate()
        names = [name for page in tables for name in page["TableNames"]]
        names += [bucket["Name"] for bucket in self.client("s3").list_buckets()["Buckets"]]
        return [name for name in names if name.startswith(self.name)]

    def physical(self):
        try:
            found = self.client("cloudformation").describe_stack_resources(StackName=self.name)["StackResources"]
        except botocore.exceptions.ClientError:
            return {}
        return {one["LogicalResourceId"]: one.get("PhysicalResourceId") for one in found}

    def delete_table(self, name):
        dynamodb = self.client("dynamodb")
        dynamodb.update_table(TableName=name, DeletionProtectionEnabled=False)
        dynamodb.get_waiter("table_exists").wait(TableName=name)
        dynamodb.delete_table(TableName=name)
        dynamodb.get_waiter("table_not_exists").wait(TableName=name)

    def delete_bucket(self, name):
        s3 = self.client("s3")
        for page in s3.get_paginator("list_object_versions").paginate(Bucket=name):
            for version in page.get("Versions", []) + page.get("DeleteMarkers", []):
                s3.delete_object(Bucket=name, Key=version["Key"], VersionId=version["VersionId"])
        s3.delete_bucket(Bucket=name)


def ignoring(action, *arguments, **named):
    """Says what went wrong with one part of the cleaning, and lets the others go on."""
    try:
        action(*arguments, **named)
    except (botocore.exceptions.ClientError, Failed) as error:
        print(f"cleaning up: {error}", file=sys.stderr)


def find(directory, binary):
    """Where cargo (`<name>`) or cargo-lambda (`<name>/bootstrap`) left it."""
    place = directory / binary
    return place / "bootstrap" if place.is_dir() else place


def zipped(binary):
    """A function's package: its binary, called bootstrap and executable."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        entry = zipfile.ZipInfo("bootstrap")
        entry.external_attr = 0o755 << 16
        entry.compress_type = zipfile.ZIP_DEFLATED
        archive.writestr(entry, binary.read_bytes())
    return buffer.getvalue()
