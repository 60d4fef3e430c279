//! AsyncAPI 3.0 of the frames over a socket.

use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use super::frames::{ACTIONS, PUSHES};
use super::shapes::{Shapes, camel, reference};
use super::{Line, lines};
use crate::wire::{ClientFrame, ServerFrame};

const ABOUT: &str = "Petrel over a WebSocket: JSON objects, flat, times in ms since 1970. A client's frame names its \
`action`, the server's its `type`. What the words mean, and what a client must do so that nothing is lost, is said in \
docs/protocol.md. A frame without `type` is the gateway's own and means: resend what is pending.";
const REQUEST_ID: &str = "What the client calls its request: whatever answers it carries it too.";

/// The document.
pub fn asyncapi() -> Value {
    let mut shapes = Shapes::new(SchemaSettings::draft07());
    let taken = shapes.taken_variants::<ClientFrame>("action");
    let given = shapes.given_variants::<ServerFrame>("type");
    let told = lines();
    let (mut schemas, mut messages, mut on_channel) =
        (shapes.definitions(), Map::new(), Map::new());
    let all = taken
        .iter()
        .map(|f| ("Client", "action", f))
        .chain(given.iter().map(|f| ("Server", "type", f)));
    for (side, tag, (name, schema)) in all {
        let named = camel(side, name);
        let mut schema = schema.clone();
        schema["properties"]["request_id"] =
            json!({ "type": "string", "maxLength": 64, "description": REQUEST_ID });
        let value = schema["properties"][tag]["const"].clone();
        let mut message = json!({
            "name": value,
            "summary": schema["description"],
            "contentType": "application/json",
            "payload": reference(&named),
        });
        let shown = shown(side, name, &value, &given, &told);
        if !shown.is_empty() {
            message["examples"] = shown.into();
        }
        schemas.insert(named.clone(), schema);
        on_channel
            .insert(named.clone(), json!({ "$ref": format!("#/components/messages/{named}") }));
        messages.insert(named, message);
    }
    json!({
        "asyncapi": "3.0.0",
        "info": {
            "title": "Petrel",
            "version": env!("CARGO_PKG_VERSION"),
            "description": ABOUT,
            "license": { "name": "Apache-2.0" },
        },
        "defaultContentType": "application/json",
        "servers": servers(),
        "channels": { "socket": channel(on_channel) },
        "operations": operations(&given),
        "components": {
            "messages": messages,
            "schemas": schemas,
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "bearerFormat": "JWT",
                    "description": "As subprotocol `bearer.<jwt>` beside `petrel.v1`, in the query, or in the header.",
                },
            },
        },
    })
}

fn servers() -> Value {
    let security = json!([{ "$ref": "#/components/securitySchemes/token" }]);
    json!({
        "aws": {
            "host": "{host}",
            "pathname": "/{stage}",
            "protocol": "wss",
            "description": "The stack's WebSocketUrl",
            "variables": { "host": { "default": "localhost" }, "stage": { "default": "v1" } },
            "security": security,
        },
        "local": {
            "host": "127.0.0.1:8080",
            "pathname": "/ws",
            "protocol": "ws",
            "description": "`petrel serve`",
            "security": security,
        },
    })
}

fn channel(messages: Map<String, Value>) -> Value {
    json!({
        "address": "/",
        "title": "One socket of one device",
        "messages": messages,
        "bindings": {
            "ws": {
                "method": "GET",
                "query": {
                    "type": "object",
                    "properties": {
                        "token": { "type": "string", "description": "The token, if it comes in no header." },
                        "device_id": {
                            "type": "string",
                            "pattern": "^[A-Za-z0-9_-]{1,64}$",
                            "description": "Names the device; minted for the socket if it is absent.",
                        },
                    },
                },
                "headers": {
                    "type": "object",
                    "properties": {
                        "Authorization": { "type": "string" },
                        "Sec-WebSocket-Protocol": { "type": "string" },
                    },
                },
                "bindingVersion": "0.1.0",
            },
        },
    })
}

/// Seen from the server: it receives what a client asks for, answers, and sends what nobody asked for.
fn operations(given: &[(String, Value)]) -> Value {
    let channel = json!({ "$ref": "#/channels/socket" });
    let on = |named: String| json!({ "$ref": format!("#/channels/socket/messages/{named}") });
    let of_type = |kind: &str| -> Vec<Value> {
        let those = given.iter().filter(|(_, f)| f["properties"]["type"]["const"] == kind);
        those.map(|(name, _)| on(camel("Server", name))).collect()
    };
    let mut all = Map::new();
    for action in ACTIONS {
        let mut answers: Vec<_> = action.answers.iter().flat_map(|kind| of_type(kind)).collect();
        answers.extend(of_type("error"));
        let operation = json!({
            "action": "receive",
            "channel": channel,
            "summary": action.summary,
            "messages": [on(camel("Client", action.name))],
            "reply": { "channel": channel, "messages": answers },
        });
        all.insert(action.name.to_owned(), operation);
    }
    for (kind, when) in PUSHES {
        let operation = json!({
            "action": "send",
            "channel": channel,
            "summary": when,
            "messages": of_type(kind),
        });
        all.insert(camel("push", kind), operation);
    }
    all.into()
}

/// The frames of the story that are this message.
fn shown(
    side: &str,
    name: &str,
    value: &Value,
    given: &[(String, Value)],
    told: &[Line],
) -> Vec<Value> {
    let mut all: Vec<Value> = vec![];
    for line in told {
        let frames: Vec<&Value> = match side {
            "Client" => line.sends.iter().filter(|sends| sends["action"] == *value).collect(),
            _ => {
                let came = line.answers.iter().chain(line.arrives.values().flatten());
                came.filter(|f| f["type"] == *value && variant(f, given) == Some(name)).collect()
            }
        };
        for frame in frames {
            if all.iter().all(|shown| shown["payload"] != *frame) {
                all.push(json!({ "summary": line.shows, "payload": frame }));
            }
        }
    }
    all
}

/// The name of the message that a frame is: of those of its type, the one whose fields it has.
fn variant<'a>(frame: &Value, given: &'a [(String, Value)]) -> Option<&'a str> {
    let is = |schema: &Value| {
        let required = schema["required"].as_array().into_iter().flatten();
        schema["properties"]["type"]["const"] == frame["type"]
            && required.filter_map(Value::as_str).all(|field| frame.get(field).is_some())
    };
    given.iter().find(|(_, schema)| is(schema)).map(|(name, _)| name.as_str())
}
