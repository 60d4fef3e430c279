//! The JSON Schema of the protocol, generated from the types that speak it.

use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use super::documents::{Answered, routes};
use super::webhook::{EventFrame, ReportFrame};
use super::{Answer, ClientFrame};

/// One document with every frame and body under `$defs`: [`ClientFrame`] is what a client sends over a socket, [`Answer`]
/// what it gets there; [`EventFrame`] is the body of a webhook and [`ReportFrame`] what goes to the
/// moderation topic; the rest are the bodies of the HTTP API, which [`routes`] names.
pub fn schema() -> Value {
    // As a reader of the wire sees them: what the server may leave out is optional.
    let mut incoming = SchemaSettings::draft2020_12().for_deserialize().into_generator();
    incoming.subschema_for::<ClientFrame>();
    let mut outgoing = SchemaSettings::draft2020_12().for_serialize().into_generator();
    outgoing.subschema_for::<Answer>();
    outgoing.subschema_for::<EventFrame>();
    outgoing.subschema_for::<ReportFrame>();
    for route in routes() {
        if let Some(body) = route.body {
            body(&mut incoming);
        }
        for (_, answered) in route.answers {
            if let Answered::With(answer) = answered {
                answer(&mut outgoing);
            }
        }
    }
    let mut all = definitions(&mut outgoing);
    all.extend(definitions(&mut incoming));
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Petrel's protocol",
        "$defs": all,
    })
}

fn definitions(generator: &mut SchemaGenerator) -> Map<String, Value> {
    generator.take_definitions(true)
}
