//! The examples of both documents: three stories in `docs/examples`, each told from the top to a fresh server by a test
//! (`tests/end_to_end/examples`, `tests/end_to_end/webhooks.rs`), which also writes down what it answered.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A request and its answer.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Example {
    /// What there is to see, in a few words.
    pub shows: String,
    /// Whose token comes with it; nobody's without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub who: Option<String>,
    /// The scope of that token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
    /// The method, a blank, the path and the query; or a whole URL that an answer named, which is asked without a token.
    pub request: String,
    /// Headers that go with a whole URL.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// What goes to a whole URL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// The body, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<Value>,
    /// What the answer's status is. Written down by the test.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// What the answer's body is, if it has one. Written down by the test.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<Value>,
}

impl Example {
    /// Its method.
    pub fn method(&self) -> &str {
        self.request.split(' ').next().unwrap_or_default()
    }

    /// Its path, without the query.
    pub fn path(&self) -> &str {
        let target = self.request.split(' ').nth(1).unwrap_or_default();
        target.split('?').next().unwrap_or_default()
    }

    /// Whether it goes to a URL that an answer named, and to no route of the API.
    pub fn is_elsewhere(&self) -> bool {
        self.path().contains("://")
    }

    /// Its query.
    pub fn query(&self) -> &str {
        self.request.split_once('?').map_or("", |(_, query)| query)
    }
}

/// A frame, or a request over HTTP, and what comes of it over sockets.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Line {
    /// What there is to see, in a few words.
    pub shows: String,
    /// Over whose socket, or with whose token: a user, or `user/device`.
    pub who: String,
    /// The frame.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sends: Option<Value>,
    /// Instead of a frame: a method, a blank and a path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<String>,
    /// The body of that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<Value>,
    /// The frames that answer it, in order. Written down by the test.
    #[serde(default)]
    pub answers: Vec<Value>,
    /// The frames that arrive at sockets unasked, in order. Written down by the test.
    #[serde(default)]
    pub arrives: BTreeMap<String, Vec<Value>>,
}

/// A request over HTTP, and what the receiver of webhooks is told of it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Told {
    /// What there is to see, in a few words.
    pub shows: String,
    /// Whose token comes with it.
    pub who: String,
    /// The method, a blank and the path.
    pub request: String,
    /// Its body.
    pub body: Value,
    /// The body of the webhook. Written down by the test.
    #[serde(default)]
    pub tells: Value,
}

/// The requests of `docs/examples/http.json`, in order.
///
/// # Panics
/// When the file is not a list of them.
#[expect(clippy::expect_used, reason = "the file is a part of this crate, and a test reads it")]
pub fn examples() -> Vec<Example> {
    let text = include_str!("../../../../../docs/examples/http.json");
    serde_json::from_str(text).expect("docs/examples/http.json is a list of examples")
}

/// The frames of `docs/examples/frames.json`, in order.
///
/// # Panics
/// When the file is not a list of them.
#[expect(clippy::expect_used, reason = "the file is a part of this crate, and a test reads it")]
pub fn lines() -> Vec<Line> {
    let text = include_str!("../../../../../docs/examples/frames.json");
    serde_json::from_str(text).expect("docs/examples/frames.json is a list of lines")
}

/// The requests of `docs/examples/webhooks.json`, in order.
///
/// # Panics
/// When the file is not a list of them.
#[expect(clippy::expect_used, reason = "the file is a part of this crate, and a test reads it")]
pub fn events() -> Vec<Told> {
    let text = include_str!("../../../../../docs/examples/webhooks.json");
    serde_json::from_str(text).expect("docs/examples/webhooks.json is a list of what is told")
}
