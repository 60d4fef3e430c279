//! What S3 answers when it does not do what it is asked.

/// A refusal, in S3's words where clients act on them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) status: u16,
    pub(crate) code: &'static str,
    pub(crate) message: String,
}

impl Refusal {
    pub(crate) fn new(status: u16, code: &'static str, message: &str) -> Self {
        Self { status, code, message: message.to_owned() }
    }

    pub(crate) fn denied(message: &str) -> Self {
        Self::new(403, "AccessDenied", message)
    }

    pub(crate) fn bad(message: &str) -> Self {
        Self::new(400, "InvalidRequest", message)
    }

    pub(crate) fn absent() -> Self {
        Self::new(404, "NoSuchKey", "there is no such object")
    }

    /// For what S3 does and this does not.
    pub(crate) fn unknown(what: &str) -> Self {
        Self::new(501, "NotImplemented", &format!("{what} is not embedded"))
    }

    /// The disk is full, say.
    pub(crate) fn failed(error: &std::io::Error) -> Self {
        tracing::error!(%error, "the embedded bucket does not work");
        Self::new(500, "InternalError", "the bucket does not work")
    }

    /// As S3's XML has it.
    pub(crate) fn xml(&self) -> String {
        let (code, message) = (self.code, escape(&self.message));
        format!("{HEAD}<Error><Code>{code}</Code><Message>{message}</Message></Error>")
    }
}

/// Begins every document.
pub(crate) const HEAD: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n";

/// A text as XML has it.
pub(crate) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '&' => escaped.push_str("&amp;"),
            '"' => escaped.push_str("&quot;"),
            // Not even an escape makes most of these fit for XML 1.0; S3 has the same trouble.
            c if c.is_control() => escaped.push_str(&format!("&#{};", u32::from(c))),
            c => escaped.push(c),
        }
    }
    escaped
}
