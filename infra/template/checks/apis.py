"""Both APIs: routes, responses, authorizers, stages, and the domains of one's own."""

import json

from .template import mentions

ROUTES = {
    "$connect": "ConnectFunction",
    "$disconnect": "ConnectFunction",
    "send": "SendFunction",
    "ack": "AckFunction",
    "sync": "SyncFunction",
    "history": "SyncFunction",
    "typing": "SignalFunction",
    "presence": "SignalFunction",
    "$default": "SignalFunction",
}
# Whose tokens are good: the pool's if there is one, or else those of the issuer that was named.
ISSUER = {"Fn::If": ["HasUserPool", {"Fn::Sub": "https://${UserPool.ProviderName}"}, {"Ref": "TokenIssuer"}]}
AUDIENCE = {"Fn::If": ["HasUserPool", {"Ref": "UserPoolClient"}, {"Ref": "TokenAudience"}]}

# The HTTP API also takes tokens of the operators' client, if that has another audience.
AUDIENCES = [AUDIENCE, {"Fn::If": ["HasOperatorAudience", {"Ref": "OperatorAudience"}, {"Ref": "AWS::NoValue"}]}]
SCOPES = [{"Ref": "OperatorScope"}]

# Nothing answers these two: there is no socket yet, or none any more.
SILENT = {"$connect", "$disconnect"}


def routes_answer(t):
    """Each WebSocket route leads to its function, and all but $connect and $disconnect answer."""
    routes = {p["RouteKey"]: (name, p) for name, p in t.of("AWS::ApiGatewayV2::Route")}
    for key in sorted(ROUTES.keys() ^ routes.keys()):
        yield f"route {key} is {'missing' if key in ROUTES else 'not known here'}"
    for key, (name, route) in routes.items():
        function = ROUTES.get(key)
        if function is None:
            continue
        integration = next((n for n, _ in t.of("AWS::ApiGatewayV2::Integration") if mentions(route["Target"], n)), None)
        if not mentions(t.properties(integration).get("IntegrationUri"), function):
            yield f"route {key} does not lead to {function}"
        permitted = [
            p
            for _, p in t.of("AWS::Lambda::Permission")
            if mentions(p["FunctionName"], function)
            and mentions(p.get("SourceArn"), "WebSocketApi")
            and f"/{key}\"" in json.dumps(p["SourceArn"])
        ]
        if not permitted:
            yield f"route {key} may not invoke {function}"
        responses = [p for _, p in t.of("AWS::ApiGatewayV2::RouteResponse") if p["RouteId"] == {"Ref": name}]
        if key in SILENT:
            if responses or "RouteResponseSelectionExpression" in route:
                yield f"route {key} answers, and must not"
            continue
        if route.get("RouteResponseSelectionExpression") != "$default":
            yield f"route {key} selects no response: what {function} returns is thrown away"
        if [(r["RouteResponseKey"], r["ApiId"]) for r in responses] != [("$default", {"Ref": "WebSocketApi"})]:
            yield f"route {key} has no RouteResponse $default: what {function} returns is thrown away"


def socket_opens_with_a_token(t):
    """$connect asks the authorizer, whatever headers the client can send; the API picks routes by action."""
    if t.properties("WebSocketApi").get("RouteSelectionExpression") != "$request.body.action":
        yield "the WebSocket API does not pick its routes by $request.body.action"
    for _, route in t.of("AWS::ApiGatewayV2::Route"):
        if route["RouteKey"] != "$connect":
            continue
        authorizer = t.properties(route.get("AuthorizerId", {}).get("Ref"))
        if route.get("AuthorizationType") != "CUSTOM" or not authorizer:
            yield "$connect asks no authorizer"
            continue
        if authorizer.get("AuthorizerType") != "REQUEST":
            yield "the authorizer of $connect is no REQUEST authorizer"
        if not mentions(authorizer.get("AuthorizerUri"), "AuthorizerFunction"):
            yield "the authorizer of $connect is not AuthorizerFunction"
        if authorizer.get("IdentitySource"):
            yield "the authorizer of $connect wants an IdentitySource: who brings the token elsewhere gets 401"
    if not any(
        mentions(p["FunctionName"], "AuthorizerFunction") and "/authorizers/" in json.dumps(p.get("SourceArn"))
        for _, p in t.of("AWS::Lambda::Permission")
    ):
        yield "the WebSocket API may not invoke AuthorizerFunction"


def stages_deploy_themselves(t):
    """Both stages take every change without a deployment of their own, and are throttled."""
    stages = t.of("AWS::ApiGatewayV2::Stage")
    for api in ("WebSocketApi", "HttpApi"):
        of_api = [p for _, p in stages if p["ApiId"] == {"Ref": api}]
        if len(of_api) != 1:
            yield f"{api} has {len(of_api)} stages, not one"
            continue
        if of_api[0].get("AutoDeploy") is not True:
            yield f"the stage of {api} does not deploy itself: routes and responses would not reach it"
        settings = of_api[0].get("DefaultRouteSettings", {})
        for limit in ("ThrottlingRateLimit", "ThrottlingBurstLimit"):
            if limit not in settings:
                yield f"the stage of {api} has no {limit}"


def http_wants_a_token(t):
    """Every HTTP route but GET /api/health is behind the JWT authorizer, and preflights meet no route."""
    body = t.properties("HttpApi").get("Body", {})
    jwt = {
        name: scheme["x-amazon-apigateway-authorizer"]["jwtConfiguration"]
        for name, scheme in body.get("components", {}).get("securitySchemes", {}).items()
        if scheme.get("x-amazon-apigateway-authorizer", {}).get("type") == "jwt"
    }
    for name, configuration in jwt.items():
        if not configuration.get("issuer") or not configuration.get("audience"):
            yield f"the JWT authorizer {name} checks no issuer or no audience"
        if configuration.get("issuer") != ISSUER or configuration.get("audience") != AUDIENCES:
            yield f"the JWT authorizer {name} trusts others than the parameters name"
    seen = set()
    for path, methods in body.get("paths", {}).items():
        for method, operation in methods.items():
            seen.add((method, path))
            if method in ("options", "x-amazon-apigateway-any-method"):
                yield f"{method} {path} is a route: a preflight would meet it in place of the CORS configuration"
            if not mentions(operation.get("x-amazon-apigateway-integration"), "ApiFunction"):
                yield f"{method} {path} does not lead to ApiFunction"
            held = [name for entry in operation.get("security", []) for name in entry if name in jwt]
            if (method, path) == ("get", "/api/health"):
                if held:
                    yield "get /api/health wants a token"
            elif not held:
                yield f"{method} {path} wants no token"
            scopes = [scopes for entry in operation.get("security", []) for name, scopes in entry.items() if name in jwt]
            wanted = [SCOPES] if path.startswith("/api/admin/") else [[]]
            if held and [s or [] for s in scopes] != wanted:
                yield f"{method} {path} asks for the scopes {json.dumps(scopes)}, not {json.dumps(wanted)}"
    methods = ("get", "post", "put", "patch", "delete")
    admin = [(m, "/api/admin/{proxy+}") for m in methods if m != "patch"]
    for route in [("get", "/api/health"), *((m, "/api/{proxy+}") for m in methods), *admin]:
        if route not in seen:
            yield f"{' '.join(route)} is missing"


def cors_is_whole(t):
    """The CORS configuration has every part. SAM drops all others when only AllowOrigins is a function."""
    cors = t.properties("HttpApi").get("Body", {}).get("x-amazon-apigateway-cors", {})
    yes = cors.get("Fn::If", [None, cors, None])[1]
    for part in ("allowOrigins", "allowMethods", "allowHeaders", "maxAge"):
        if part not in yes:
            yield f"CORS has no {part}"
    if "Fn::Split" not in (yes.get("allowOrigins") or {}):
        yield "CORS takes its origins not from the list in AllowedOrigins"
    if "authorization" not in yes.get("allowHeaders", []):
        yield "CORS lets no browser send its token"


def both_apis_trust_the_same(t):
    """The WebSocket authorizer and the HTTP API take the same tokens; the pool, if there is one, makes only such."""
    variables = t.properties("AuthorizerFunction").get("Environment", {}).get("Variables", {})
    if (variables.get("PETREL_TOKEN_ISSUER"), variables.get("PETREL_TOKEN_AUDIENCE")) != (ISSUER, AUDIENCE):
        yield "AuthorizerFunction trusts others than the HTTP API"
    pool, client = t.properties("UserPool"), t.properties("UserPoolClient")
    for name in ("UserPool", "UserPoolClient"):
        resource = t.resources.get(name, {})
        if resource.get("Condition") != "HasUserPool":
            yield f"{name} is made without being asked for"
        if (resource.get("DeletionPolicy"), resource.get("UpdateReplacePolicy")) != ("Retain", "Retain"):
            yield f"{name} goes with the stack, and the tables know users by it"
    if pool.get("AdminCreateUserConfig", {}).get("AllowAdminCreateUserOnly") is not True:
        yield "anyone may sign up"
    if pool.get("Policies", {}).get("PasswordPolicy", {}).get("MinimumLength", 0) < 12:
        yield "passwords may be short"
    if pool.get("DeletionProtection") != {"Fn::If": ["IsProtected", "ACTIVE", "INACTIVE"]}:
        yield "the user pool takes its deletion protection not from the parameter"
    flows = {"ALLOW_USER_SRP_AUTH", "ALLOW_USER_PASSWORD_AUTH", "ALLOW_REFRESH_TOKEN_AUTH"}
    if set(client.get("ExplicitAuthFlows", [])) != flows:
        yield f"the user pool's client signs in by {client.get('ExplicitAuthFlows')}"
    if client.get("GenerateSecret") is not False:
        yield "the user pool's client has a secret, which an app cannot keep"
    if client.get("PreventUserExistenceErrors") != "ENABLED":
        yield "the user pool tells strangers who has an account"


def domains_lead_to_their_apis(t):
    """A domain of one's own, if there is one, serves the whole API over TLS 1.2. Posting goes past it."""
    for kind, api, stage in [
        ("WebSocket", "WebSocketApi", "WebSocketApiStage"),
        ("Http", "HttpApi", "HttpApiApiGatewayDefaultStage"),
    ]:
        domain, mapping = f"{kind}DomainName", f"{kind}DomainMapping"
        for name in (domain, mapping):
            if t.resources.get(name, {}).get("Condition") != f"Has{kind}Domain":
                yield f"{name} is made without being asked for"
        configurations = t.properties(domain).get("DomainNameConfigurations", [])
        if [(c.get("SecurityPolicy"), c.get("CertificateArn")) for c in configurations] != [
            ("TLS_1_2", {"Ref": "CertificateArn"})
        ]:
            yield f"{domain} does not ask for TLS 1.2 and the certificate"
        wanted = {"DomainName": {"Ref": domain}, "ApiId": {"Ref": api}, "Stage": {"Ref": stage}}
        if t.properties(mapping) != wanted:
            yield f"{mapping} does not lead to the whole of {api}"
