"""What whoever deploys says and is told: parameters, rules, outputs."""


def outputs_are_there(t):
    """Whoever deploys is told where everything is."""
    queues = [name for name, _ in t.of("AWS::SQS::Queue")]
    tables = [name for name, _ in t.of("AWS::DynamoDB::Table")]
    values = [output.get("Value") for output in t.outputs.values()]
    buckets = [name for name, _ in t.of("AWS::S3::Bucket")]
    for name in queues + tables + buckets:
        if {"Ref": name} not in values:
            yield f"no output names {name}"
    base = "${%s}.execute-api.${AWS::Region}.${AWS::URLSuffix}"
    for url in (f"wss://{base % 'WebSocketApi'}/${{StageName}}", f"https://{base % 'HttpApi'}"):
        if {"Fn::Sub": url} not in values:
            yield f"no output is {url}"
    for name, condition, value in [
        ("WebSocketDomainUrl", "HasWebSocketDomain", {"Fn::Sub": "wss://${WebSocketDomain}"}),
        ("HttpDomainUrl", "HasHttpDomain", {"Fn::Sub": "https://${HttpDomain}"}),
        ("WebSocketDomainTarget", "HasWebSocketDomain", {"Fn::GetAtt": ["WebSocketDomainName", "RegionalDomainName"]}),
        ("HttpDomainTarget", "HasHttpDomain", {"Fn::GetAtt": ["HttpDomainName", "RegionalDomainName"]}),
        ("UserPoolId", "HasUserPool", {"Ref": "UserPool"}),
        ("UserPoolClientId", "HasUserPool", {"Ref": "UserPoolClient"}),
    ]:
        output = t.outputs.get(name, {})
        if (output.get("Condition"), output.get("Value")) != (condition, value):
            yield f"output {name} is not {value} under {condition}"


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


def holds(value, parameters):
    """What a rule's functions come to."""
    if not isinstance(value, dict):
        return value
    ((function, arguments),) = value.items()
    if function == "Ref":
        return str(parameters[arguments])
    if function == "Fn::Equals":
        return holds(arguments[0], parameters) == holds(arguments[1], parameters)
    if function == "Fn::Not":
        return not holds(arguments[0], parameters)
    if function == "Fn::And":
        return all(holds(argument, parameters) for argument in arguments)
    raise KeyError(function)


def refusals(t, **given):
    """What the rules say to these parameters, beside the defaults."""
    parameters = {name: p.get("Default", "") for name, p in t.parameters.items()} | given
    return [
        assertion["AssertDescription"]
        for rule in t.rules.values()
        if holds(rule.get("RuleCondition", True), parameters)
        for assertion in rule["Assertions"]
        if not holds(assertion["Assert"], parameters)
    ]


# Parameters, and words of the rules that must refuse them; none if they are good.
CASES = [
    ({"TokenIssuer": "https://a", "TokenAudience": "b"}, []),
    ({"TokenIssuer": "https://a", "TokenAudience": "b", "JwksUrl": "https://c"}, []),
    ({"CreateUserPool": "true"}, []),
    ({"CreateUserPool": "true", "WebhookUrl": "https://a"}, ["needs WebhookSecretArn"]),
    ({"CreateUserPool": "true", "WebhookUrl": "https://a", "WebhookSecretArn": "arn"}, []),
    ({}, ["TokenIssuer is empty", "TokenAudience is empty"]),
    ({"TokenIssuer": "https://a"}, ["TokenAudience is empty"]),
    ({"TokenAudience": "b"}, ["TokenIssuer is empty"]),
    ({"CreateUserPool": "true", "TokenIssuer": "https://a"}, ["must be empty"]),
    ({"CreateUserPool": "true", "TokenAudience": "b"}, ["must be empty"]),
    ({"CreateUserPool": "true", "JwksUrl": "https://c"}, ["must be empty"]),
    ({"CreateUserPool": "true", "WebSocketDomain": "a.example"}, ["need CertificateArn"]),
    ({"CreateUserPool": "true", "HttpDomain": "a.example"}, ["need CertificateArn"]),
    ({"CreateUserPool": "true", "HttpDomain": "a.example", "CertificateArn": "arn"}, []),
    ({"CreateUserPool": "true", "WebSocketDomain": "a.example", "HttpDomain": "b.example", "CertificateArn": "arn"}, []),
    (
        {"CreateUserPool": "true", "WebSocketDomain": "a.example", "HttpDomain": "a.example", "CertificateArn": "arn"},
        ["must differ"],
    ),
]


def contradictions_are_refused(t):
    """Parameters that do not go together are refused before anything is made, in words that name them."""
    for given, words in CASES:
        said = refusals(t, **given)
        if len(said) != len(words) or any(word not in text for word, text in zip(words, said)):
            yield f"{given} is told {said}, not {words}"
