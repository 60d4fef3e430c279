//! One of the documents, to hold what goes over the wire beside it.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::sync::LazyLock;

use serde_json::{Value, json};

/// What the HTTP API is documented to do.
static OPENAPI: LazyLock<Document> = LazyLock::new(|| Document::read("openapi.json"));

/// A file of `docs`.
pub fn file(name: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs")).join(name)
}

/// That a refusal is one that the document lists for its operation. What is no operation of the API may say what it likes.
pub fn check_refusal(method: &str, target: &str, status: u16, body: &Value) {
    if status >= 400 && OPENAPI.find(method, target).is_some() {
        OPENAPI.check_answer(method, target, status, body);
    }
}

/// A document of `docs`.
pub struct Document(Value);

impl Document {
    pub fn read(name: &str) -> Self {
        Self(serde_json::from_str(&fs::read_to_string(file(name)).unwrap()).unwrap())
    }

    /// What tells whether values are of this schema, which stands somewhere in the document.
    pub fn checker(&self, schema: &Value) -> jsonschema::Validator {
        let mut whole = schema.clone();
        whole["components"] = self.0["components"].clone();
        jsonschema::draft202012::new(&whole).unwrap()
    }

    /// That a value is of this schema, which stands somewhere in the document.
    fn check(&self, schema: &Value, value: &Value, what: &str) {
        let faults: Vec<_> =
            self.checker(schema).iter_errors(value).map(|e| e.to_string()).collect();
        assert!(faults.is_empty(), "{what} {value}: {faults:?}");
    }

    /// The path, as the document names it, of the operation that a request is for, if there is one.
    pub fn route(&self, method: &str, target: &str) -> Option<&str> {
        let path = target.split('?').next().unwrap();
        let is = |template: &str| {
            template.split('/').count() == path.split('/').count()
                && template
                    .split('/')
                    .zip(path.split('/'))
                    .all(|(t, p)| if t.starts_with('{') { !p.is_empty() } else { t == p })
        };
        let paths = self.0["paths"].as_object().unwrap();
        // What is named comes before what stands for anything.
        let mut found: Vec<_> = paths.iter().filter(|(template, _)| is(template)).collect();
        found.sort_by_key(|(template, _)| template.matches('{').count());
        let has = |(_, ways): &&(&String, &Value)| ways.get(method.to_lowercase()).is_some();
        found.iter().find(has).map(|(path, _)| path.as_str())
    }

    /// The operation that a request is for, if there is one.
    fn find(&self, method: &str, target: &str) -> Option<&Value> {
        let path = self.route(method, target)?;
        self.0["paths"][path].get(method.to_lowercase())
    }

    /// All operations, as method and path.
    pub fn operations(&self) -> BTreeSet<String> {
        let paths = self.0["paths"].as_object().unwrap().iter();
        let ways = paths.flat_map(|(path, ways)| {
            let methods = ways.as_object().unwrap().keys();
            methods.map(move |method| format!("{} {path}", method.to_uppercase()))
        });
        ways.collect()
    }

    fn operation(&self, method: &str, target: &str) -> &Value {
        self.find(method, target).unwrap_or_else(|| panic!("{method} {target} is not documented"))
    }

    /// That a request which succeeds is what the document says that it takes.
    pub fn check_request(&self, method: &str, target: &str, body: Option<&Value>, status: u16) {
        if status >= 300 {
            return;
        }
        let operation = self.operation(method, target);
        let taken = &operation["requestBody"]["content"]["application/json"]["schema"];
        match body {
            Some(body) => self.check(taken, body, target),
            None => assert!(taken.is_null(), "{method} {target} has a body"),
        }
        let (_, query) = target.split_once('?').unwrap_or_default();
        let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap();
            let parameter = parameters.iter().find(|p| p["in"] == "query" && p["name"] == name);
            let schema = &parameter.unwrap_or_else(|| panic!("{target}: no {name}"))["schema"];
            let value = value.parse::<u64>().map_or_else(|_| json!(value), |number| json!(number));
            self.check(schema, &value, target);
        }
    }

    /// That the document has an answer of this status, and that it looks like this.
    pub fn check_answer(&self, method: &str, target: &str, status: u16, body: &Value) {
        let answers = &self.operation(method, target)["responses"];
        let answer = answers.get(status.to_string());
        let answer = answer.unwrap_or_else(|| panic!("{method} {target}: {status}: {body}"));
        let lines = answer.pointer("/content/application~1x-ndjson/schema");
        match answer.pointer("/content/application~1json/schema").or(lines) {
            Some(schema) => self.check(schema, body, target),
            None => assert_eq!(*body, Value::Null, "{method} {target}"),
        }
    }

    /// That a webhook looks like this.
    pub fn check_event(&self, body: &Value) {
        let place = "/webhooks/event/post/requestBody/content/application~1json/schema";
        self.check(self.0.pointer(place).unwrap(), body, "webhook");
    }

    /// That a frame is one of those that this side sends.
    pub fn check_frame(&self, side: &str, tag: &str, frame: &Value) {
        let messages = self.0["components"]["messages"].as_object().unwrap();
        let fits: Vec<Value> = messages
            .iter()
            .filter(|(name, message)| name.starts_with(side) && message["name"] == frame[tag])
            .map(|(_, message)| message["payload"].clone())
            .collect();
        assert!(!fits.is_empty(), "{side} sends no such frame: {frame}");
        self.check(&json!({ "oneOf": fits }), frame, "frame");
    }

    /// The schema of this name.
    pub fn schema(&self, name: &str) -> &Value {
        &self.0["components"]["schemas"][name]
    }

    /// What stands where a schema refers to another.
    fn resolved<'a>(&'a self, schema: &'a Value) -> &'a Value {
        let to = schema["$ref"].as_str().and_then(|to| to.strip_prefix('#'));
        to.map_or(schema, |to| self.0.pointer(to).unwrap())
    }

    /// The fields of what is of this schema, each with its own.
    pub fn fields<'a>(&'a self, schema: &'a Value) -> impl Iterator<Item = (String, &'a Value)> {
        let fields = self.resolved(schema)["properties"].as_object().into_iter().flatten();
        fields.map(|(name, field)| (name.clone(), field))
    }

    /// The bodies that clients send: method, path and schema.
    pub fn bodies(&self) -> Vec<(&str, &str, &Value)> {
        let paths = self.0["paths"].as_object().unwrap().iter();
        let ways =
            paths.flat_map(|(path, ways)| ways.as_object().unwrap().iter().map(move |w| (path, w)));
        let body =
            |way: &'_ Value| way.pointer("/requestBody/content/application~1json/schema").is_some();
        ways.filter(|(_, (_, way))| body(way))
            .map(|(path, (method, way))| {
                let schema = &way["requestBody"]["content"]["application/json"]["schema"];
                (method.as_str(), path.as_str(), self.resolved(schema))
            })
            .collect()
    }

    /// What stands in paths and queries: method and path, and of each where it stands, its name and its schema.
    pub fn parameters(&self) -> Vec<(&str, &str, [&str; 2], &Value)> {
        let mut all = vec![];
        for (path, ways) in self.0["paths"].as_object().unwrap() {
            for (method, way) in ways.as_object().unwrap() {
                for one in way["parameters"].as_array().into_iter().flatten() {
                    let place = ["in", "name"].map(|field| one[field].as_str().unwrap());
                    all.push((method.as_str(), path.as_str(), place, &one["schema"]));
                }
            }
        }
        all
    }

    /// Whether what is of this schema is a whole number.
    pub fn is_integer(&self, schema: &Value) -> bool {
        self.resolved(schema)["type"] == "integer"
    }

    /// The frames that clients send: action and schema.
    pub fn client_frames(&self) -> Vec<(&str, &Value)> {
        let messages = self.0["components"]["messages"].as_object().unwrap().iter();
        let of_clients = messages.filter(|(name, _)| name.starts_with("Client"));
        of_clients
            .map(|(_, m)| (m["name"].as_str().unwrap(), self.resolved(&m["payload"])))
            .collect()
    }

    /// The types of the frames that arrive unasked.
    pub fn pushes(&self) -> BTreeSet<&str> {
        let operations = self.0["operations"].as_object().unwrap().values();
        let pushes = operations.filter(|o| o["action"] == "send");
        let messages = pushes.flat_map(|o| o["messages"].as_array().unwrap());
        let names = messages.map(|m| m["$ref"].as_str().unwrap().rsplit('/').next().unwrap());
        names.map(|n| self.0["components"]["messages"][n]["name"].as_str().unwrap()).collect()
    }
}
