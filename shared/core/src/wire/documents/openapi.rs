//! OpenAPI 3.1 of the HTTP API.

use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use super::route::{Answered, Route};
use super::shapes::{Shapes, camel, prune, reference};
use super::{Example, events, examples, routes};
use crate::error::ErrorKind;
use crate::wire::ServerFrame;
use crate::wire::webhook::EventFrame;

const ABOUT: &str = "Petrel's HTTP API: everything that needs no socket. What the words mean, and what a client must do \
so that nothing is lost, is said in docs/protocol.md. Fields that the server does not know are ignored. \
The examples are one story, told to a fresh server from top to bottom.";

/// The document.
pub fn openapi() -> Value {
    let mut shapes = Shapes::new(SchemaSettings::draft2020_12());
    let frames = shapes.given_variants::<ServerFrame>("type");
    let told = examples();
    let mut paths = Map::new();
    for route in routes() {
        let told: Vec<_> = told.iter().filter(|e| route.matches(e.method(), e.path())).collect();
        let operation = operation(&route, &mut shapes, &told);
        let at = paths.entry(route.path).or_insert_with(|| json!({}));
        at[route.method.to_lowercase()] = operation;
    }
    let event = shapes.given(SchemaGenerator::subschema_for::<EventFrame>);
    let mut schemas = shapes.definitions();
    schemas.extend(frames.into_iter().map(|(name, frame)| (camel("Server", &name), frame)));
    // The gateway's own answers, on AWS.
    let gateways = json!({
        "description": "What stands before the function on AWS says no more than this.",
        "type": "object",
        "properties": { "message": { "type": "string" } },
        "required": ["message"],
        "maxProperties": 1,
    });
    schemas.insert("GatewayError".to_owned(), gateways);
    let mut document = json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Petrel",
            "version": env!("CARGO_PKG_VERSION"),
            "description": ABOUT,
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "servers": [
            { "url": "/", "description": "The server that this document comes from" },
            {
                "url": "https://{host}",
                "description": "The stack's HttpUrl",
                "variables": { "host": { "default": "localhost" } },
            },
        ],
        "security": [{ "token": [] }],
        "paths": paths,
        "webhooks": { "event": webhook(&event) },
        "components": {
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "bearerFormat": "JWT",
                    "description": "A JSON Web Token of the configured issuer; its `sub` is the user.",
                },
            },
            "schemas": schemas,
        },
    });
    prune(&mut document);
    document
}

/// What is told to the operator's receiver: docs/webhooks.md says when, and how to check who tells it.
fn webhook(event: &Value) -> Value {
    let header = |name: &str, words: &str| {
        json!({
            "name": name,
            "in": "header",
            "required": true,
            "description": words,
            "schema": { "type": "string" },
        })
    };
    let shown: Map<_, _> = events()
        .iter()
        .map(|e| (slug(&e.shows), json!({ "summary": e.shows, "value": e.tells })))
        .collect();
    json!({
        "post": {
            "operationId": "event",
            "summary": "A message, a change of a group or a report, by Standard Webhooks; see docs/webhooks.md",
            "security": [],
            "parameters": [
                header("webhook-id", "The same however often it is told"),
                header("webhook-timestamp", "When this attempt was made, s since 1970"),
                header("webhook-signature", "`v1,` and the HMAC-SHA256 of `<id>.<timestamp>.<body>` in base64"),
            ],
            "requestBody": {
                "required": true,
                "content": { "application/json": { "schema": event, "examples": shown } },
            },
            "responses": { "2XX": { "description": "Taken; anything else, and it comes again" } },
        },
    })
}

fn operation(route: &Route, shapes: &mut Shapes, told: &[&Example]) -> Value {
    let mut operation = json!({ "operationId": route.name, "summary": route.summary });
    if let Some(area) = route.path.split('/').nth(2) {
        operation["tags"] = json!([area]);
    }
    if route.open {
        operation["security"] = json!([]);
    }
    if let Some(scope) = route.scope {
        operation["security"] = json!([{ "token": [scope] }]);
        operation["description"] = json!(format!("Needs a token whose `scope` holds `{scope}`."));
    }
    let parameters = parameters(route, shapes, told);
    if !parameters.is_empty() {
        operation["parameters"] = parameters.into();
    }
    if let Some(body) = route.body {
        let mut content = json!({ "schema": shapes.taken(body) });
        let shown: Map<_, _> = told
            .iter()
            .filter(|e| e.status.is_some_and(|status| status < 300))
            .filter_map(|e| {
                Some((slug(&e.shows), json!({ "summary": e.shows, "value": e.body.clone()? })))
            })
            .collect();
        if !shown.is_empty() {
            content["examples"] = shown.into();
        }
        operation["requestBody"] =
            json!({ "required": true, "content": { "application/json": content } });
    }
    let mut responses = Map::new();
    for (status, answered) in &route.answers {
        let schema = match answered {
            Answered::Nothing => None,
            Answered::With(of) | Answered::Lines(of) => Some(shapes.given(*of)),
            Answered::Frame(kind) => Some(reference(&camel("Server", kind))),
        };
        let words = match status {
            200 => "Done",
            201 => "Made",
            _ => "Done; there is nothing to say",
        };
        let mut response = response(words, schema, *status, told);
        if let (Answered::Lines(_), Some(content)) = (answered, response.get_mut("content")) {
            let of_a_line = content["application/json"].take();
            *content = json!({ "application/x-ndjson": of_a_line });
        }
        responses.insert(status.to_string(), response);
    }
    let errors = route.errors();
    for group in errors.chunk_by(|a, b| a.http_status() == b.http_status()) {
        let status = group[0].http_status();
        responses.insert(status.to_string(), failure(status, group, told));
    }
    operation["responses"] = responses.into();
    operation
}

fn parameters(route: &Route, shapes: &mut Shapes, told: &[&Example]) -> Vec<Value> {
    let good: Vec<_> =
        told.iter().filter(|e| e.status.is_some_and(|status| status < 300)).collect();
    let mut all = vec![];
    for name in route.placeholders() {
        // A placeholder without a type is told by a test.
        let Some(of) = route.place(name) else { continue };
        let at = route.path.split('/').position(|part| part == format!("{{{name}}}"));
        let shown = good.first().zip(at).and_then(|(e, at)| e.path().split('/').nth(at));
        let mut one =
            json!({ "name": name, "in": "path", "required": true, "schema": shapes.taken(of) });
        if let Some(shown) = shown {
            one["example"] = json!(shown);
        }
        all.push(one);
    }
    for (name, schema, required) in route.query.map(|of| shapes.fields(of)).unwrap_or_default() {
        let values = good.iter().flat_map(|e| e.query().split('&'));
        let shown = values.filter_map(|pair| pair.split_once('=')).find(|(n, _)| *n == name);
        let mut schema = schema;
        let words = schema.as_object_mut().and_then(|s| s.remove("description"));
        let mut one =
            json!({ "name": name, "in": "query", "required": required, "schema": schema });
        if let Some(words) = words {
            one["description"] = words;
        }
        if let Some((_, shown)) = shown {
            one["example"] = shown.parse::<u64>().map_or_else(|_| json!(shown), |n| json!(n));
        }
        all.push(one);
    }
    all
}

/// An answer of this status, with what it was in the story.
fn response(words: &str, schema: Option<Value>, status: u16, told: &[&Example]) -> Value {
    let mut response = json!({ "description": words });
    if let Some(schema) = schema {
        let mut content = json!({ "schema": schema });
        let shown: Map<_, _> = told
            .iter()
            .filter(|e| e.status == Some(status))
            .filter_map(|e| {
                Some((slug(&e.shows), json!({ "summary": e.shows, "value": e.answer.clone()? })))
            })
            .collect();
        if !shown.is_empty() {
            content["examples"] = shown.into();
        }
        response["content"] = json!({ "application/json": content });
    }
    response
}

fn failure(status: u16, kinds: &[ErrorKind], told: &[&Example]) -> Value {
    let codes: Vec<_> = kinds.iter().map(|kind| kind.code()).collect();
    let ours = json!({
        "allOf": [
            reference("ServerError"),
            { "type": "object", "properties": { "code": { "enum": codes } } },
        ],
    });
    let gateways = matches!(status, 401 | 413 | 429 | 503);
    let schema =
        if gateways { json!({ "anyOf": [ours, reference("GatewayError")] }) } else { ours };
    let mut response = response(&codes.join(", "), Some(schema), status, told);
    if matches!(status, 429 | 503) {
        response["headers"]["Retry-After"] = json!({
            "description": "When to send the same again, s; `retry_after_ms` in the body is finer.",
            "schema": { "type": "integer", "minimum": 0 },
        });
    }
    response
}

/// Names an example within its operation by what it shows.
fn slug(shows: &str) -> String {
    let letters = shows.to_lowercase();
    let words = letters.split(|c: char| !c.is_ascii_alphanumeric()).filter(|w| !w.is_empty());
    words.collect::<Vec<_>>().join("_")
}
