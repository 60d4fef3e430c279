"""What breaks parameters, rules and outputs."""

from . import mutant


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


@mutant("outputs_are_there")
def no_bucket_name(_, t):
    del t.outputs["MediaBucketName"]


@mutant("outputs_are_there")
def no_domain_target(_, t):
    del t.outputs["HttpDomainTarget"]


@mutant("outputs_are_there")
def pool_that_is_not_there(_, t):
    del t.outputs["UserPoolId"]["Condition"]


@mutant("contradictions_are_refused")
def nobody_signs_tokens(_, t):
    del t.rules["OwnIssuer"]


@mutant("contradictions_are_refused")
def two_sign_tokens(_, t):
    del t.rules["PoolIssuer"]


@mutant("contradictions_are_refused")
def no_certificate_needed(_, t):
    del t.rules["DomainsHaveACertificate"]["Assertions"][0]


@mutant("contradictions_are_refused")
def certificate_always_needed(_, t):
    del t.rules["DomainsHaveACertificate"]["RuleCondition"]
