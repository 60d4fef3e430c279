"""What checkov finds in the expanded template, against what we know of and why it stays.

    checkov ... --output json | findings.py

Fails on a finding that has no reason below, and on a reason that no finding needs any more.
"""

import json
import sys

# The finding: the type of resource that has it, and why it stays.
ACCEPTED = {
    "CKV_AWS_18": (
        "AWS::S3::Bucket",
        "Access logs of a bucket that only this stack's functions reach say what their own logs say, and cost storage.",
    ),
    "CKV_AWS_26": (
        "AWS::SNS::Topic",
        "CloudWatch cannot publish to a topic under SNS's own key; a key of one's own costs by the month, and the"
        " messages hold an alarm's name and numbers, nothing of a user.",
    ),
    "CKV_AWS_27": (
        "AWS::SQS::Queue",
        "The queues are encrypted with SQS's own keys (SqsManagedSseEnabled, held by queues_are_private); checkov wants"
        " KMS, which is a call and its price for every message.",
    ),
    "CKV_AWS_95": (
        "AWS::ApiGatewayV2::Stage",
        "Every function logs its requests with their ids. An access log is the same again, billed by the byte.",
    ),
    "CKV_AWS_115": (
        "AWS::Lambda::Function",
        "What is reserved for one is taken from all others, and an account of ten concurrent executions can reserve"
        " nothing. Those that protect others have a parameter, the consumers of queues a maximum.",
    ),
    "CKV_AWS_116": (
        "AWS::Lambda::Function",
        "No function is invoked asynchronously, so its dead-letter queue would stay empty. What fails in a queue goes to"
        " the queue's (held by queues_lose_nothing).",
    ),
    "CKV_AWS_117": (
        "AWS::Lambda::Function",
        "Nothing here is in a VPC. One would only add a NAT gateway, by the month, between the functions and AWS.",
    ),
    "CKV_AWS_119": (
        "AWS::DynamoDB::Table",
        "The tables are encrypted with DynamoDB's KMS key of the account. A key of one's own is one more thing that, once"
        " lost or disabled, takes every message with it.",
    ),
    "CKV_AWS_158": (
        "AWS::Logs::LogGroup",
        "CloudWatch encrypts logs with its own key. They hold ids, never contents.",
    ),
    "CKV_AWS_173": (
        "AWS::Lambda::Function",
        "Lambda encrypts the variables with its own key. One holds a secret, what webhooks are signed with; who may read it"
        " there may change the function.",
    ),
}


def main():
    report = json.load(sys.stdin)
    results = report["results"]
    if results["parsing_errors"] or not results["passed_checks"]:
        sys.exit(f"checkov could not read the template: {results['parsing_errors']}")
    off, needed = [], set()
    for finding in results["failed_checks"]:
        kind = finding["resource"].rsplit(".", 1)[0]
        if ACCEPTED.get(finding["check_id"], ("",))[0] == kind:
            needed.add(finding["check_id"])
        else:
            off.append(f"{finding['check_id']} {finding['resource']}: {finding['check_name']}")
    off += [f"{id} is accepted, and nothing has it" for id in sorted(ACCEPTED.keys() - needed)]
    for what in off:
        print(what, file=sys.stderr)
    if off:
        sys.exit(f"checkov and findings.py differ in {len(off)} places")
    passed, accepted = len(results["passed_checks"]), len(results["failed_checks"])
    print(f"checkov: {passed} checks passed, {accepted} findings of {len(ACCEPTED)} kinds accepted")


if __name__ == "__main__":
    main()
