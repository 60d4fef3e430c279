//! One route of the HTTP API, as a row of the table.

use schemars::{JsonSchema, Schema, SchemaGenerator};

use crate::error::ErrorKind;
use crate::ids::{ConversationId, DeviceId, InviteCode, InviteId, MediaId, Seq, UserId};

/// Writes the schema of one type.
pub type Type = fn(&mut SchemaGenerator) -> Schema;

/// What a success carries.
#[derive(Clone, Copy, Debug)]
pub enum Answered {
    /// No body.
    Nothing,
    /// A body of this type.
    With(Type),
    /// A frame of this `type`, as over a socket.
    Frame(&'static str),
    /// Lines of JSON, each of this type.
    Lines(Type),
}

/// One method of one path.
#[derive(Clone, Debug)]
pub struct Route {
    /// In capitals.
    pub method: &'static str,
    /// As the router has it.
    pub path: &'static str,
    /// Names the operation in generated clients.
    pub name: &'static str,
    /// One line.
    pub summary: &'static str,
    /// Whether it needs no token.
    pub open: bool,
    /// A scope that the token must have.
    pub scope: Option<&'static str>,
    /// The fields of its query.
    pub query: Option<Type>,
    /// What the path names, beside what [`Route::place`] knows.
    places: Vec<(&'static str, Type)>,
    /// Its body.
    pub body: Option<Type>,
    /// What a success answers, by status.
    pub answers: Vec<(u16, Answered)>,
    /// The errors that are its own.
    errors: Vec<ErrorKind>,
}

/// A row for this method and path.
pub fn route(
    method: &'static str,
    path: &'static str,
    name: &'static str,
    summary: &'static str,
) -> Route {
    Route {
        method,
        path,
        name,
        summary,
        open: false,
        scope: None,
        query: None,
        places: vec![],
        body: None,
        answers: vec![],
        errors: vec![],
    }
}

impl Route {
    /// Needs no token.
    #[must_use]
    pub fn open(self) -> Self {
        Self { open: true, ..self }
    }

    /// Needs a token with this scope.
    #[must_use]
    pub fn scope(self, scope: &'static str) -> Self {
        Self { scope: Some(scope), ..self }
    }

    /// Takes these fields in its query.
    #[must_use]
    pub fn query<T: JsonSchema>(self) -> Self {
        Self { query: Some(SchemaGenerator::subschema_for::<T>), ..self }
    }

    /// Names a `T` in its path, at `{name}`.
    #[must_use]
    pub fn names<T: JsonSchema>(mut self, name: &'static str) -> Self {
        self.places.push((name, SchemaGenerator::subschema_for::<T>));
        self
    }

    /// Takes this body.
    #[must_use]
    pub fn takes<T: JsonSchema>(self) -> Self {
        Self { body: Some(SchemaGenerator::subschema_for::<T>), ..self }
    }

    /// Answers so.
    #[must_use]
    pub fn gives<T: JsonSchema>(mut self, status: u16) -> Self {
        self.answers.push((status, Answered::With(SchemaGenerator::subschema_for::<T>)));
        self
    }

    /// Answers with a frame of this `type`.
    #[must_use]
    pub fn gives_frame(mut self, status: u16, kind: &'static str) -> Self {
        self.answers.push((status, Answered::Frame(kind)));
        self
    }

    /// Answers with lines of JSON, each of which is one.
    #[must_use]
    pub fn gives_lines<T: JsonSchema>(mut self, status: u16) -> Self {
        self.answers.push((status, Answered::Lines(SchemaGenerator::subschema_for::<T>)));
        self
    }

    /// Answers with 204.
    #[must_use]
    pub fn gives_nothing(mut self) -> Self {
        self.answers.push((204, Answered::Nothing));
        self
    }

    /// Fails so, beside what every route of its kind does.
    #[must_use]
    pub fn fails(mut self, errors: &[ErrorKind]) -> Self {
        self.errors.extend_from_slice(errors);
        self
    }

    /// What stands in braces in the path, in order.
    pub fn placeholders(&self) -> Vec<&'static str> {
        let parts = self.path.split('/');
        parts.filter_map(|p| p.strip_prefix('{').and_then(|p| p.strip_suffix('}'))).collect()
    }

    /// The type of a placeholder.
    pub fn place(&self, name: &str) -> Option<Type> {
        let own = self.places.iter().find(|(named, _)| *named == name).map(|(_, place)| *place);
        own.or(match name {
            "id" => Some(SchemaGenerator::subschema_for::<ConversationId>),
            "user" => Some(SchemaGenerator::subschema_for::<UserId>),
            "device" => Some(SchemaGenerator::subschema_for::<DeviceId>),
            "invite" => Some(SchemaGenerator::subschema_for::<InviteId>),
            "media" => Some(SchemaGenerator::subschema_for::<MediaId>),
            "seq" => Some(SchemaGenerator::subschema_for::<Seq>),
            "code" => Some(SchemaGenerator::subschema_for::<InviteCode>),
            _ => None,
        })
    }

    /// Every way in which it can fail.
    pub fn errors(&self) -> Vec<ErrorKind> {
        let mut all = self.errors.clone();
        if self.body.is_some() || self.query.is_some() || self.path.contains('{') {
            all.push(ErrorKind::BadRequest);
        }
        if !self.open {
            all.extend([ErrorKind::Unauthenticated, ErrorKind::Disabled]);
        }
        if self.scope.is_some() {
            all.push(ErrorKind::Forbidden);
        }
        // Whatever stands before the function, and looks at no route: a bound of bodies, also where none belongs; the
        // gateway's throttle; a machine that has too much to do.
        all.extend([ErrorKind::TooLarge, ErrorKind::RateLimited, ErrorKind::Busy]);
        all.sort_by_key(|kind| (kind.http_status(), kind.code()));
        all.dedup();
        all
    }

    /// Whether a request to this path, without its query, is for this route.
    pub fn matches(&self, method: &str, path: &str) -> bool {
        let (mine, other) = (self.path.split('/'), path.split('/'));
        self.method == method
            && mine.clone().count() == other.clone().count()
            && mine.zip(other).all(|(m, o)| if m.starts_with('{') { !o.is_empty() } else { m == o })
    }
}
