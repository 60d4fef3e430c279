"""What breaks the APIs."""

from . import mutant, props


@mutant("routes_answer")
def no_route_response(r, _):
    del r["HistoryRouteResponse"]


@mutant("routes_answer")
def no_response_selected(r, _):
    del props(r, "WebSocketApiSendRoute")["RouteResponseSelectionExpression"]


@mutant("routes_answer")
def response_of_another_route(r, _):
    props(r, "AckRouteResponse")["RouteId"] = {"Ref": "WebSocketApiSendRoute"}


@mutant("routes_answer")
def response_under_another_key(r, _):
    props(r, "SyncRouteResponse")["RouteResponseKey"] = "200"


@mutant("routes_answer")
def connect_answers(r, _):
    props(r, "WebSocketApiConnectRoute")["RouteResponseSelectionExpression"] = "$default"


@mutant("routes_answer")
def no_route(r, _):
    del r["WebSocketApiTypingRoute"]


@mutant("routes_answer")
def unknown_route(r, _):
    props(r, "WebSocketApiTypingRoute")["RouteKey"] = "type"


@mutant("routes_answer")
def wrong_function(r, _):
    props(r, "WebSocketApiHistoryIntegration")["IntegrationUri"] = {"Fn::Sub": "${AckFunction.Arn}"}


@mutant("routes_answer")
def route_may_not_invoke(r, _):
    del r["WebSocketApiAckPermission"]


@mutant("socket_opens_with_a_token")
def no_authorizer(r, _):
    del props(r, "WebSocketApiConnectRoute")["AuthorizerId"]


@mutant("socket_opens_with_a_token")
def authorization_none(r, _):
    props(r, "WebSocketApiConnectRoute")["AuthorizationType"] = "NONE"


@mutant("socket_opens_with_a_token")
def header_wanted(r, _):
    props(r, "WebSocketApiConnectAuthorizer")["IdentitySource"] = ["route.request.header.Authorization"]


@mutant("socket_opens_with_a_token")
def authorizer_may_not_be_invoked(r, _):
    del r["WebSocketApiAuthorizerPermission"]


@mutant("socket_opens_with_a_token")
def route_by_another_field(r, _):
    props(r, "WebSocketApi")["RouteSelectionExpression"] = "$request.body.type"


@mutant("stages_deploy_themselves")
def no_auto_deploy(r, _):
    props(r, "WebSocketApiStage")["AutoDeploy"] = False


@mutant("stages_deploy_themselves")
def no_throttle(r, _):
    del props(r, "HttpApiApiGatewayDefaultStage")["DefaultRouteSettings"]


@mutant("http_wants_a_token")
def open_route(r, _):
    props(r, "HttpApi")["Body"]["paths"]["/api/{proxy+}"]["post"]["security"] = [{"NONE": []}]


@mutant("http_wants_a_token")
def closed_health(r, _):
    props(r, "HttpApi")["Body"]["paths"]["/api/health"]["get"]["security"] = [{"Token": []}]


@mutant("http_wants_a_token")
def any_route(r, _):
    path = props(r, "HttpApi")["Body"]["paths"]["/api/{proxy+}"]
    path["x-amazon-apigateway-any-method"] = path["get"]


@mutant("http_wants_a_token")
def any_audience(r, _):
    scheme = props(r, "HttpApi")["Body"]["components"]["securitySchemes"]["Token"]
    del scheme["x-amazon-apigateway-authorizer"]["jwtConfiguration"]["audience"]


@mutant("http_wants_a_token")
def no_delete(r, _):
    del props(r, "HttpApi")["Body"]["paths"]["/api/{proxy+}"]["delete"]


@mutant("http_wants_a_token")
def operators_without_a_scope(r, _):
    operation = props(r, "HttpApi")["Body"]["paths"]["/api/admin/{proxy+}"]["put"]
    operation["security"] = [{"Token": []}]


@mutant("cors_is_whole")
def only_origins(r, _):
    props(r, "HttpApi")["Body"]["x-amazon-apigateway-cors"] = {"Fn::Split": [",", "*"]}


@mutant("cors_is_whole")
def no_token_header(r, _):
    props(r, "HttpApi")["Body"]["x-amazon-apigateway-cors"]["Fn::If"][1]["allowHeaders"].remove("authorization")


@mutant("http_wants_a_token")
def another_audience(r, _):
    scheme = props(r, "HttpApi")["Body"]["components"]["securitySchemes"]["Token"]
    scheme["x-amazon-apigateway-authorizer"]["jwtConfiguration"]["audience"] = [{"Ref": "TokenAudience"}]


@mutant("both_apis_trust_the_same")
def sockets_of_any_audience(r, _):
    del props(r, "AuthorizerFunction")["Environment"]["Variables"]["PETREL_TOKEN_AUDIENCE"]


@mutant("both_apis_trust_the_same")
def pool_unasked(r, _):
    del r["UserPool"]["Condition"]


@mutant("both_apis_trust_the_same")
def pool_goes_with_the_stack(r, _):
    del r["UserPool"]["DeletionPolicy"]


@mutant("both_apis_trust_the_same")
def sign_up(r, _):
    props(r, "UserPool")["AdminCreateUserConfig"]["AllowAdminCreateUserOnly"] = False


@mutant("both_apis_trust_the_same")
def short_passwords(r, _):
    props(r, "UserPool")["Policies"]["PasswordPolicy"]["MinimumLength"] = 8


@mutant("both_apis_trust_the_same")
def unprotected_pool(r, _):
    del props(r, "UserPool")["DeletionProtection"]


@mutant("both_apis_trust_the_same")
def no_first_try(r, _):
    props(r, "UserPoolClient")["ExplicitAuthFlows"].remove("ALLOW_USER_PASSWORD_AUTH")


@mutant("both_apis_trust_the_same")
def secret_in_an_app(r, _):
    props(r, "UserPoolClient")["GenerateSecret"] = True


@mutant("both_apis_trust_the_same")
def tells_who_is_there(r, _):
    del props(r, "UserPoolClient")["PreventUserExistenceErrors"]


@mutant("domains_lead_to_their_apis")
def crossed_domains(r, _):
    props(r, "HttpDomainMapping")["ApiId"] = {"Ref": "WebSocketApi"}


@mutant("domains_lead_to_their_apis")
def domain_unasked(r, _):
    del r["WebSocketDomainName"]["Condition"]


@mutant("domains_lead_to_their_apis")
def old_tls(r, _):
    props(r, "HttpDomainName")["DomainNameConfigurations"][0]["SecurityPolicy"] = "TLS_1_0"


@mutant("domains_lead_to_their_apis")
def below_a_path(r, _):
    props(r, "WebSocketDomainMapping")["ApiMappingKey"] = "v1"
