"""Where an endpoint differs from AWS, and what the suite does about it. Nothing else in the suite knows.

Each entry of the tables below has a name, the reason, and is applied to the endpoints that need it only; README.md lists
them for readers, and `documented` (in test_stack.py) holds the two together. A template is changed by these functions
alone: a resource type that the emulator does not have and that is not in `LEFT_OUT` fails the deployment.
"""

import copy
import re
import ssl
from dataclasses import dataclass, field
from pathlib import Path

# ------------------------------------------------------------------------------------------- what a template loses

# Types that the emulator does not have, and why nothing that the suite tests is lost with them.
LEFT_OUT = {
    "AWS::ApiGatewayV2::RouteResponse": "it sends a function's answer to the client without one",
    "AWS::CloudWatch::CompositeAlarm": "nobody is alarmed here; the template's checks and mutants hold the alarms",
}


def leave_out(template):
    """Types the emulator does not have (`LEFT_OUT`)."""
    resources = template["Resources"]
    for name in [name for name, resource in resources.items() if resource["Type"] in LEFT_OUT]:
        del resources[name]


def metric_math_alarms(template):
    """It refuses an alarm over metric math. Nobody alarms here."""
    resources = template["Resources"]
    for name, resource in list(resources.items()):
        if resource["Type"] == "AWS::CloudWatch::Alarm" and "Metrics" in resource["Properties"]:
            del resources[name]


def token_anywhere(template):
    """An authorizer without IdentitySource gets `Authorization` as one; on AWS it has none, and a token may come in the
    subprotocol or the query."""
    for resource in template["Resources"].values():
        properties = resource.get("Properties", {})
        if resource["Type"] == "AWS::ApiGatewayV2::Authorizer" and properties.get("AuthorizerType") == "REQUEST":
            properties.setdefault("IdentitySource", [])


def numbers_by_reference(template):
    """A number that is a parameter stays a string, and its queue poller stumbles over a MaximumConcurrency that is one.
    The parameter's default stands in for it."""
    for resource in template["Resources"].values():
        scaling = resource.get("Properties", {}).get("ScalingConfig", {})
        if resource["Type"] == "AWS::Lambda::EventSourceMapping" and "Ref" in scaling.get("MaximumConcurrency", {}):
            parameter = template["Parameters"][scaling["MaximumConcurrency"]["Ref"]]
            scaling["MaximumConcurrency"] = int(parameter["Default"])


def log_format(template):
    """It does not tell functions how they shall log. On AWS the service sets this variable by LoggingConfig."""
    for resource in template["Resources"].values():
        properties = resource.get("Properties", {})
        if resource["Type"] == "AWS::Lambda::Function" and "LogFormat" in properties.get("LoggingConfig", {}):
            variables = properties.setdefault("Environment", {}).setdefault("Variables", {})
            variables["AWS_LAMBDA_LOG_FORMAT"] = properties["LoggingConfig"]["LogFormat"]


def batch_actions(template):
    """It asks for sqs:SendMessageBatch, an action that IAM does not have: on AWS sqs:SendMessage allows both."""
    for resource in template["Resources"].values():
        if resource["Type"] == "AWS::IAM::Role":
            for policy in resource["Properties"].get("Policies", []):
                statements = policy["PolicyDocument"]["Statement"]
                statements += [batch for batch in map(batch_of, statements) if batch]


def batch_of(statement):
    """The same for batches, if it is about sending; under a condition if it is."""
    if "Fn::If" in statement:
        condition, allowed, otherwise = statement["Fn::If"]
        batch = batch_of(allowed)
        return batch and {"Fn::If": [condition, batch, otherwise]}
    return statement | {"Action": "sqs:SendMessageBatch"} if statement.get("Action") == "sqs:SendMessage" else None


def http_api_of_body(template):
    """An API's OpenAPI body is ignored. Each operation becomes the integration and the route that AWS makes of it, each
    security scheme an authorizer."""
    for name, resource in list(template["Resources"].items()):
        if resource["Type"] == "AWS::ApiGatewayV2::Api" and "Body" in resource["Properties"]:
            template["Resources"].update(of_body(name, resource))


def of_body(api, resource):
    body = resource["Properties"].pop("Body")
    known = {"info", "paths", "x-amazon-apigateway-cors", "tags", "openapi", "components"}
    if body.keys() - known:
        raise ValueError(f"{api}: unknown in the body: {sorted(body.keys() - known)}")
    resource["Properties"] |= {"Name": body["info"]["title"], "ProtocolType": "HTTP"}
    if "x-amazon-apigateway-cors" in body:
        # It reads them from a template with the names that its own API has, which are OpenAPI's.
        resource["Properties"]["CorsConfiguration"] = body["x-amazon-apigateway-cors"]
    made = {}
    for scheme, it in body["components"]["securitySchemes"].items():
        authorizer = it["x-amazon-apigateway-authorizer"]
        made[f"{api}{scheme}Authorizer"] = of_type(
            "Authorizer",
            ApiId={"Ref": api},
            Name=scheme,
            AuthorizerType=authorizer["type"].upper(),
            IdentitySource=[authorizer["identitySource"]],
            JwtConfiguration=capitalised(authorizer["jwtConfiguration"]),
        )
    for path, operations in body["paths"].items():
        for method, operation in operations.items():
            name = api + method.capitalize() + re.sub(r"\W", "", path)
            integration = operation["x-amazon-apigateway-integration"]
            made[f"{name}Integration"] = of_type(
                "Integration",
                ApiId={"Ref": api},
                IntegrationType=integration["type"].upper(),
                IntegrationUri=integration["uri"],
                PayloadFormatVersion=integration["payloadFormatVersion"],
            )
            route = of_type(
                "Route",
                ApiId={"Ref": api},
                RouteKey=f"{method.upper()} {path}",
                Target={"Fn::Join": ["/", ["integrations", {"Ref": f"{name}Integration"}]]},
            )
            ((scheme, scopes),) = operation["security"][0].items()
            if scheme != "NONE":
                route["Properties"] |= {
                    "AuthorizationType": "JWT",
                    "AuthorizerId": {"Ref": f"{api}{scheme}Authorizer"},
                    "AuthorizationScopes": scopes,
                }
            made[f"{name}Route"] = route
    return made


def of_type(kind, **properties):
    return {"Type": f"AWS::ApiGatewayV2::{kind}", "Properties": properties}


def capitalised(value):
    """With the names of OpenAPI's extensions written as CloudFormation writes them."""
    if isinstance(value, list):
        return [capitalised(one) for one in value]
    if isinstance(value, dict):
        return {key if is_function(key) else key[0].upper() + key[1:]: capitalised(it) for key, it in value.items()}
    return value


def is_function(key):
    return key == "Ref" or key.startswith("Fn::")


def connections_endpoint(template, url):
    """@connections is at another address than on AWS."""
    at_aws = "https://${WebSocketApi}.execute-api.${AWS::Region}.${AWS::URLSuffix}/${StageName}"
    here = {"Fn::Sub": f"{url}/_aws/execute-api/${{WebSocketApi}}/${{StageName}}"}
    found = 0
    for resource in template["Resources"].values():
        variables = resource.get("Properties", {}).get("Environment", {}).get("Variables", {})
        if "PETREL_WEBSOCKET_ENDPOINT" in variables:
            if variables["PETREL_WEBSOCKET_ENDPOINT"] != {"Fn::Sub": at_aws}:
                raise ValueError("PETREL_WEBSOCKET_ENDPOINT is written in another way than this replaces")
            variables["PETREL_WEBSOCKET_ENDPOINT"] = here
            found += 1
    if not found:
        raise ValueError("no function knows @connections")


# ------------------------------------------------------------------------------------------------- what is different

# What other files of the suite do about ministack: where, and why.
ELSEWHERE = {
    "recorder": "recorder.py: it takes publishes to a device and shows them to nobody; a proxy before its SNS keeps them",
    "endpoint_arns": "recorder.py: it names a device's endpoint arn:…:app/…, and AWS arn:…:endpoint/…; so does the proxy",
    "ttl_records": "stack.py: what its TTL removes is in no stream, and none of its records says who removed an item; "
    "`ran_out` hands the function the record that AWS writes",
}


@dataclass
class Endpoint:
    """A place that claims to be AWS."""

    kind: str
    url: str | None = None
    # Whose certificates to believe, if not the usual authorities'.
    authority: Path | None = None
    # Changes of the template, in this order.
    transformations: list = field(default_factory=list)
    # What it cannot show: a word that a test asks for, and why. Such a test is skipped, and on ministack only these may be.
    lacks: dict = field(default_factory=dict)
    # Statuses of a refused handshake that differ from those on AWS.
    handshake: dict = field(default_factory=dict)

    def change(self, template):
        """The template as this endpoint takes it."""
        changed = copy.deepcopy(template)
        for transformation in self.transformations:
            if transformation is connections_endpoint:
                transformation(changed, self.url)
            else:
                transformation(changed)
        return changed

    def tls(self):
        return ssl.create_default_context(cafile=self.authority)

    def handshake_status(self, at_aws):
        return self.handshake.get(at_aws, at_aws)

    def socket_url(self, outputs):
        """Where clients connect."""
        if not self.url:
            return outputs["WebSocketUrl"]
        api, stage = re.fullmatch(r"wss://([^.]+)\.[^/]+/(.+)", outputs["WebSocketUrl"]).groups()
        return f"{self.url.replace('http', 'ws', 1)}/_aws/execute-api/{api}/{stage}"

    def http_url(self, outputs):
        """What /api is below."""
        if not self.url:
            return outputs["HttpApiUrl"]
        api = re.fullmatch(r"https://([^.]+)\..+", outputs["HttpApiUrl"]).group(1)
        return f"{self.url}/_aws/execute-api/{api}/$default"


PUBLISHES = "nothing shows what was published to a device"
UNSIGNED = "it refuses requests without a signature only if it was started so"


def ministack(url=None):
    """Our own, which is started later, with policies checked and a recorder before its SNS; or one at this URL, of which
    nothing is known."""
    unknown = {
        "publishes": PUBLISHES + " but a proxy before its SNS, which it has to be started with",
        "policies": "it checks them only if it was started so",
        "unsigned": UNSIGNED,
    }
    return Endpoint(
        "ministack",
        url,
        transformations=[
            leave_out,
            metric_math_alarms,
            token_anywhere,
            numbers_by_reference,
            log_format,
            batch_actions,
            http_api_of_body,
            connections_endpoint,
        ],
        lacks={
            "subprotocol": "it accepts a socket without passing on the subprotocol that $connect answers",
            "frame_limit": "it takes frames of any length, where API Gateway closes with 1009 beyond 32 KB",
        }
        | (unknown if url else {}),
        handshake={
            # An authorizer that fails is 500 to it, also when it fails with "Unauthorized", which AWS makes a 401.
            # test_connecting.py asks the function itself too, so that a crash does not pass for a refusal.
            401: 500,
            # A $connect function that refuses closes the handshake without its status.
            400: 403,
        },
    )


def localstack(url):
    # LocalStack serves both APIs by path too. Nobody has run the suite there yet.
    enforced = "it checks them only if it was started with ENFORCE_IAM"
    lacks = {"publishes": PUBLISHES, "policies": enforced, "unsigned": UNSIGNED}
    return Endpoint("localstack", url, transformations=[connections_endpoint], lacks=lacks)


def aws():
    lacks = {"publishes": PUBLISHES, "policies": "a changed policy takes a while to hold"}
    return Endpoint("aws", lacks=lacks)
