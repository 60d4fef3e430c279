//! Schemas for a document that keeps them under `components`.

use std::collections::BTreeSet;

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Map, Value, json};

use super::Type;

/// Where both documents keep their schemas.
const PLACE: &str = "/components/schemas";

/// What is read and what is written, each with the definitions it needs.
pub struct Shapes {
    incoming: SchemaGenerator,
    outgoing: SchemaGenerator,
}

impl Shapes {
    /// In this dialect.
    pub fn new(dialect: SchemaSettings) -> Self {
        let there = dialect.with(|s| s.definitions_path = PLACE.into());
        Self {
            incoming: there.clone().for_deserialize().into_generator(),
            outgoing: there.for_serialize().into_generator(),
        }
    }

    /// The schema of what a client sends.
    pub fn taken(&mut self, of: Type) -> Value {
        of(&mut self.incoming).to_value()
    }

    /// The schema of what the server sends, as a reader sees it: what it may leave out is optional.
    pub fn given(&mut self, of: Type) -> Value {
        of(&mut self.outgoing).to_value()
    }

    /// The variants of a tagged enum that a client sends, by tag.
    pub fn taken_variants<T: JsonSchema>(&mut self, tag: &str) -> Vec<(String, Value)> {
        self.taken(SchemaGenerator::subschema_for::<T>);
        variants(self.incoming.definitions_mut().remove(&*T::schema_name()), tag)
    }

    /// The variants of a tagged enum that the server sends, by tag.
    pub fn given_variants<T: JsonSchema>(&mut self, tag: &str) -> Vec<(String, Value)> {
        self.given(SchemaGenerator::subschema_for::<T>);
        variants(self.outgoing.definitions_mut().remove(&*T::schema_name()), tag)
    }

    /// Name, schema and need of each field of a query.
    pub fn fields(&mut self, of: Type) -> Vec<(String, Value, bool)> {
        let whole = self.taken(of);
        let name = name(&whole);
        let whole = self.incoming.definitions_mut().remove(&name).unwrap_or(whole);
        let needed = |field: &str| {
            whole["required"].as_array().is_some_and(|all| all.iter().any(|f| f == field))
        };
        let fields = whole["properties"].as_object().cloned().unwrap_or_default();
        fields.into_iter().map(|(f, schema)| (f.clone(), present(schema), needed(&f))).collect()
    }

    /// All that was needed.
    pub fn definitions(mut self) -> Map<String, Value> {
        let mut all = self.outgoing.take_definitions(true);
        all.extend(self.incoming.take_definitions(true));
        all
    }
}

/// The name of what a schema refers to.
pub fn name(reference: &Value) -> String {
    let whole = reference["$ref"].as_str().unwrap_or_default();
    whole.rsplit('/').next().unwrap_or_default().to_owned()
}

/// A reference to a schema of this name.
pub fn reference(name: &str) -> Value {
    json!({ "$ref": format!("#{PLACE}/{name}") })
}

/// Lets go of the schemas that nothing in the document refers to.
pub fn prune(document: &mut Value) {
    let mut wanted = BTreeSet::new();
    let mut rest = document.clone();
    let all = rest["components"]["schemas"].take();
    let mut ways = vec![&rest];
    while let Some(one) = ways.pop() {
        let mut found = vec![];
        references(one, &mut found);
        for name in found.into_iter().filter(|name| all.get(name).is_some()) {
            if wanted.insert(name.clone()) {
                ways.push(&all[&name]);
            }
        }
    }
    if let Some(schemas) = document["components"]["schemas"].as_object_mut() {
        schemas.retain(|name, _| wanted.contains(name));
    }
}

/// The names of the schemas that a part of a document refers to.
fn references(part: &Value, found: &mut Vec<String>) {
    match part {
        Value::Object(fields) => {
            if fields.get("$ref").is_some_and(Value::is_string) {
                found.push(name(part));
            }
            fields.values().for_each(|field| references(field, found));
        }
        Value::Array(all) => all.iter().for_each(|one| references(one, found)),
        _ => {}
    }
}

/// Without `null`, which a query cannot say.
fn present(mut schema: Value) -> Value {
    if let Some(kinds) = schema["type"].as_array().cloned() {
        let mut kinds = kinds.into_iter().filter(|kind| kind != "null");
        schema["type"] = kinds.next().unwrap_or_default();
    }
    if let Some(either) = schema["anyOf"].as_array().cloned() {
        let some = either.into_iter().find(|one| one["type"] != "null");
        if let (Some(whole), Some(some)) = (schema.as_object_mut(), some) {
            whole.remove("anyOf");
            whole.extend(some.as_object().cloned().unwrap_or_default());
        }
    }
    schema
}

/// The variants, by tag. Where two share one, the second is named after the field that only it has.
fn variants(whole: Option<Value>, tag: &str) -> Vec<(String, Value)> {
    let all = whole.unwrap_or_default()["oneOf"].as_array().cloned().unwrap_or_default();
    let mut named: Vec<(String, Value)> = vec![];
    for one in all {
        let value = one["properties"][tag]["const"].as_str().unwrap_or_default().to_owned();
        let name = match named.iter().find(|(name, _)| *name == value) {
            None => value,
            Some((_, first)) => {
                let fields = one["properties"].as_object().into_iter().flatten();
                let own =
                    fields.map(|(field, _)| field).find(|f| first["properties"].get(f).is_none());
                format!("{value}_{}", own.map_or("other", String::as_str))
            }
        };
        named.push((name, one));
    }
    named
}

/// `sent_results` as `SentResults`, with something before it.
pub fn camel(before: &str, name: &str) -> String {
    let words = name.split('_').map(|word| {
        let (first, rest) = word.split_at(word.len().min(1));
        first.to_uppercase() + rest
    });
    words.fold(before.to_owned(), |all, word| all + &word)
}
