//! The documents about the API that machines read: OpenAPI of the HTTP routes, AsyncAPI of the frames, both generated
//! from the types that speak them and from the tables here. Knows no router and no socket; tests hold the tables beside both.
//!
//! # How to add a route
//!
//! 1. Its query, body and answer are types of [`crate::wire::rest`] or [`crate::wire::query`] that derive `JsonSchema` under the `schema`
//!    feature, as their neighbours do; what can be said of a field's range goes there (`#[schemars(range(…))]`).
//! 2. A row in `routes.rs`: method and path as the router has them, what it takes, what it answers with which status, and the
//!    errors that are its own. `bad_request`, `too_large`, `unauthenticated`, `rate_limited` and `busy` follow from the rest.
//! 3. A request or more in `docs/examples/http.json`, without `status` and `answer`: the whole file is one story, told
//!    from the top to a fresh server by [`Example::who`]. Then write down what it answers, and the documents from it:
//!
//!    ```text
//!    PETREL_UPDATE=1 cargo test -p petrel --test end_to_end examples
//!    PETREL_UPDATE=1 cargo test -p petrel-core --test documents
//!    ```
//!
//! # How to add a frame
//!
//! A row in `frames.rs`, and a line or more in `docs/examples/frames.json`; then the same two commands. What arrives because of a
//! request over HTTP has a line with `request` and `body` in the place of `sends`.
//!
//! # How to add a webhook
//!
//! A row in `docs/examples/webhooks.json`, without `tells`; then the same with `webhooks` in the place of `examples`.

mod asyncapi;
mod examples;
mod frames;
mod openapi;
mod route;
mod routes;
mod shapes;

pub use asyncapi::asyncapi;
pub use examples::{Example, Line, Told, events, examples, lines};
pub use openapi::openapi;
pub use route::{Answered, Route, Type};
pub use routes::routes;
