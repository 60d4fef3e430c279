//! The JSON Schema of the protocol, generated from the types that speak it.

use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use super::rest::{
    ChangeAnswer, ConversationList, GroupAnswer, Messages, PatchState, PostAck, PostGroup,
    PostMembers, PostMessage, PostSync, PutPush, ReceiptsAnswer, StateAnswer, SyncAnswer,
    UnreadAnswer,
};
use super::{Answer, ClientFrame};

/// One document with every frame and body under `$defs`: [`ClientFrame`] is what a client sends over a socket, [`Answer`]
/// what it gets there; the rest are the bodies of the HTTP API.
pub fn schema() -> Value {
    // As a reader of the wire sees them: what the server may leave out is optional.
    let mut incoming = SchemaSettings::draft2020_12().for_deserialize().into_generator();
    incoming.subschema_for::<ClientFrame>();
    incoming.subschema_for::<PostMessage>();
    incoming.subschema_for::<PostGroup>();
    incoming.subschema_for::<PostMembers>();
    incoming.subschema_for::<PostAck>();
    incoming.subschema_for::<PostSync>();
    incoming.subschema_for::<PutPush>();
    incoming.subschema_for::<PatchState>();
    let mut outgoing = SchemaSettings::draft2020_12().for_serialize().into_generator();
    outgoing.subschema_for::<Answer>();
    outgoing.subschema_for::<Messages>();
    outgoing.subschema_for::<SyncAnswer>();
    outgoing.subschema_for::<ConversationList>();
    outgoing.subschema_for::<GroupAnswer>();
    outgoing.subschema_for::<ChangeAnswer>();
    outgoing.subschema_for::<ReceiptsAnswer>();
    outgoing.subschema_for::<StateAnswer>();
    outgoing.subschema_for::<UnreadAnswer>();
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
