//! The environment contract: every variable that a function reads, by name. Each function gets only those that it needs;
//! an empty one counts as absent, since templates pass empty parameters on.

use petrel_core::ports::Platform;
use petrel_core::services::Settings as CoreSettings;

use crate::shapes;

/// Looks a variable up. In production [`process_env`]; tests pass their own.
pub type Env<'a> = &'a (dyn Fn(&str) -> Option<String> + Sync);

/// The table of the log.
pub const MESSAGES_TABLE: &str = "PETREL_MESSAGES_TABLE";
/// The table of members, conversation lists and blocks.
pub const CONVERSATIONS_TABLE: &str = "PETREL_CONVERSATIONS_TABLE";
/// The table of who is connected.
pub const CONNECTIONS_TABLE: &str = "PETREL_CONNECTIONS_TABLE";
/// The bucket of cold history.
pub const ARCHIVE_BUCKET: &str = "PETREL_ARCHIVE_BUCKET";
/// Days, 1 to 3650, after which a message may leave the table for the archive. Absent: 30.
pub const HOT_DAYS: &str = "PETREL_HOT_DAYS";
/// Days, 1 to 3650, that a message is kept. Absent: 365.
pub const RETENTION_DAYS: &str = "PETREL_RETENTION_DAYS";
/// Most days for which a conversation may have its messages kept by a rule of its own.
pub const MAX_RETENTION_DAYS: &str = "PETREL_MAX_RETENTION_DAYS";
/// The URL of the queue of fan-out jobs.
pub const FANOUT_QUEUE_URL: &str = "PETREL_FANOUT_QUEUE_URL";
/// The URL of the queue of push jobs.
pub const PUSH_QUEUE_URL: &str = "PETREL_PUSH_QUEUE_URL";
/// The URL of the queue of webhooks. Absent: there are none.
pub const WEBHOOK_QUEUE_URL: &str = "PETREL_WEBHOOK_QUEUE_URL";
/// The `https` URL of the receiver of webhooks.
pub const WEBHOOK_URL: &str = "PETREL_WEBHOOK_URL";
/// What webhooks are signed with: `whsec_` and 24 to 64 bytes in base64; two of them, with a comma between them, while a
/// receiver changes over.
pub const WEBHOOK_SECRETS: &str = "PETREL_WEBHOOK_SECRETS";
/// The ARN of the SNS topic of reports.
pub const MODERATION_TOPIC_ARN: &str = "PETREL_MODERATION_TOPIC_ARN";
/// The `https` URL of @connections: that of the WebSocket API's stage.
pub const WEBSOCKET_ENDPOINT: &str = "PETREL_WEBSOCKET_ENDPOINT";
/// The `iss` of tokens.
pub const TOKEN_ISSUER: &str = "PETREL_TOKEN_ISSUER";
/// The `aud` (or Cognito's `client_id`) of tokens; several with commas between them. Absent: whatever.
pub const TOKEN_AUDIENCE: &str = "PETREL_TOKEN_AUDIENCE";
/// Where the issuer's keys are. Absent: `<issuer>/.well-known/jwks.json`.
pub const JWKS_URL: &str = "PETREL_JWKS_URL";
/// The origins of web pages that may connect, with commas between them; `*`: any. Absent: none, and only programs that
/// are no browsers connect.
pub const ALLOWED_ORIGINS: &str = "PETREL_ALLOWED_ORIGINS";
/// Seconds, 0 to 900, after which a phone whose socket took a message gets a push too. Absent: 30. 0: never.
pub const PUSH_DELAY_S: &str = "PETREL_PUSH_DELAY_S";
/// Whether pushes carry how much the user has not read, `true` or `false`: a read a conversation, each time. Absent: `true`.
pub const PUSH_BADGE: &str = "PETREL_PUSH_BADGE";
/// Whether pushes carry the first words of the message, `true` or `false`. Absent: `true`.
pub const PUSH_PREVIEW: &str = "PETREL_PUSH_PREVIEW";
/// Seconds, 0 to 31,536,000, after which a message can be edited no more. Absent: 900. 0: it always can.
pub const EDIT_WINDOW_S: &str = "PETREL_EDIT_WINDOW_S";
/// How much may be done in a while: `<name>=<count>/<seconds>` with commas between them (see
/// [`petrel_core::limits::Limits`]). What is not named has its default.
pub const LIMITS: &str = "PETREL_LIMITS";
/// What a token's `scope` must hold for the requests of operators. Absent: `petrel/admin`.
pub const OPERATOR_SCOPE: &str = "PETREL_OPERATOR_SCOPE";
/// The ARN of the SNS platform application of Apple, production.
pub const APNS_ARN: &str = "PETREL_APNS_ARN";
/// The ARN of the SNS platform application of Apple, development builds.
pub const APNS_SANDBOX_ARN: &str = "PETREL_APNS_SANDBOX_ARN";
/// The ARN of the SNS platform application of Firebase Cloud Messaging.
pub const FCM_ARN: &str = "PETREL_FCM_ARN";
/// The bucket of media.
pub const MEDIA_BUCKET: &str = "PETREL_MEDIA_BUCKET";
/// The largest picture that may be uploaded, MB of 1,000,000 bytes, 1 to 5000. Absent: 25.
pub const MAX_PHOTO_MB: &str = "PETREL_MAX_PHOTO_MB";
/// The largest of all other files, MB of 1,000,000 bytes, 1 to 5000: what one put to S3 takes. Absent: 100.
pub const MAX_FILE_MB: &str = "PETREL_MAX_FILE_MB";
/// `true`: an upload can be read only when a scanner has said that it is clean. Absent: at once.
pub const MEDIA_SCAN: &str = "PETREL_MEDIA_SCAN";
/// The CloudWatch namespace of the metrics. Absent: there are none.
pub const METRICS_NAMESPACE: &str = "PETREL_METRICS_NAMESPACE";

/// The level of a line that tells of normal work.
pub(crate) const INFO: &str = "INFO";

/// A day in seconds.
const DAY_S: u64 = 86_400;
/// The longest delay that SQS takes, seconds.
pub(crate) const MAX_DELAY_S: u32 = 900;

/// The longest time in which messages can be edited, seconds: a year.
pub(crate) const MAX_EDIT_WINDOW_S: u32 = 31_536_000;

/// A variable is missing or makes no sense.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// It is needed and absent.
    #[error("missing {0}: {words}", words = shapes::expected(.0))]
    Missing(&'static str),
    /// It is there and cannot be used.
    #[error("{name} is {value:?}; it must be {words}", words = shapes::expected(name))]
    Invalid {
        /// Which variable.
        name: &'static str,
        /// What it holds.
        value: String,
    },
    /// The HTTPS client cannot be built.
    #[error("the HTTPS client cannot be built")]
    Https(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl SettingsError {
    pub(crate) fn invalid(name: &'static str, value: &str) -> Self {
        Self::Invalid { name, value: value.to_owned() }
    }
}

/// Looks a variable up in the environment of the process.
pub fn process_env(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// What the ports are built from. What is absent is needed only by whom it serves.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// [`MESSAGES_TABLE`].
    pub messages_table: Option<String>,
    /// [`CONVERSATIONS_TABLE`].
    pub conversations_table: Option<String>,
    /// [`CONNECTIONS_TABLE`].
    pub connections_table: Option<String>,
    /// [`ARCHIVE_BUCKET`].
    pub archive_bucket: Option<String>,
    /// [`FANOUT_QUEUE_URL`].
    pub fanout_queue_url: Option<String>,
    /// [`PUSH_QUEUE_URL`].
    pub push_queue_url: Option<String>,
    /// [`WEBHOOK_QUEUE_URL`].
    pub webhook_queue_url: Option<String>,
    /// [`WEBHOOK_URL`] and [`WEBHOOK_SECRETS`].
    pub webhook: Option<(String, String)>,
    /// [`MODERATION_TOPIC_ARN`].
    pub moderation_topic_arn: Option<String>,
    /// [`MEDIA_BUCKET`].
    pub media_bucket: Option<String>,
    /// [`WEBSOCKET_ENDPOINT`].
    pub websocket_endpoint: Option<String>,
    /// [`APNS_ARN`], [`APNS_SANDBOX_ARN`] and [`FCM_ARN`].
    pub platforms: Vec<(Platform, String)>,
    /// What the core takes.
    pub core: CoreSettings,
}

impl Settings {
    /// Reads the variables.
    ///
    /// # Errors
    /// For one that makes no sense; never for an absent one.
    pub fn read(env: Env<'_>) -> Result<Self, SettingsError> {
        let platforms = [
            (Platform::Apns, APNS_ARN),
            (Platform::ApnsSandbox, APNS_SANDBOX_ARN),
            (Platform::Fcm, FCM_ARN),
        ];
        Ok(Self {
            messages_table: checked(env, MESSAGES_TABLE)?,
            conversations_table: checked(env, CONVERSATIONS_TABLE)?,
            connections_table: checked(env, CONNECTIONS_TABLE)?,
            archive_bucket: checked(env, ARCHIVE_BUCKET)?,
            fanout_queue_url: checked(env, FANOUT_QUEUE_URL)?,
            push_queue_url: checked(env, PUSH_QUEUE_URL)?,
            webhook_queue_url: checked(env, WEBHOOK_QUEUE_URL)?,
            webhook: checked(env, WEBHOOK_URL)?.zip(secrets(env)?),
            moderation_topic_arn: checked(env, MODERATION_TOPIC_ARN)?,
            media_bucket: checked(env, MEDIA_BUCKET)?,
            websocket_endpoint: checked(env, WEBSOCKET_ENDPOINT)?,
            platforms: platforms
                .into_iter()
                .filter_map(|(platform, name)| {
                    Some(checked(env, name).transpose()?.map(|arn| (platform, arn)))
                })
                .collect::<Result<_, _>>()?,
            core: core(env)?,
        })
    }
}

/// The variable, unless it is empty.
pub(crate) fn get(env: Env<'_>, name: &str) -> Option<String> {
    env(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
}

/// The variable, if it is set, and fit for use.
pub(crate) fn checked(env: Env<'_>, name: &'static str) -> Result<Option<String>, SettingsError> {
    match get(env, name) {
        Some(value) if !shapes::fits(name, &value) => Err(SettingsError::invalid(name, &value)),
        value => Ok(value),
    }
}

/// [`WEBHOOK_SECRETS`], which no error quotes.
fn secrets(env: Env<'_>) -> Result<Option<String>, SettingsError> {
    checked(env, WEBHOOK_SECRETS)
        .map_err(|_| SettingsError::invalid(WEBHOOK_SECRETS, "not to be shown"))
}

/// Makes sure that these variables are set, before anything is built on them.
///
/// # Errors
/// For the first that is missing.
pub fn require(env: Env<'_>, names: &[&'static str]) -> Result<(), SettingsError> {
    let missing = names.iter().find(|name| get(env, name).is_none());
    missing.map_or(Ok(()), |name| Err(SettingsError::Missing(name)))
}

/// The level that a line of normal work must have so that Lambda passes it on: [`INFO`], unless a function is set to
/// log less. A line of another level than these is dropped, and with it the metrics in it.
pub(crate) fn log_level(env: Env<'_>) -> &'static str {
    let least = get(env, "AWS_LAMBDA_LOG_LEVEL").or_else(|| get(env, "RUST_LOG"));
    let least = least.unwrap_or_default().to_ascii_uppercase();
    ["WARN", "ERROR", "FATAL"].into_iter().find(|level| *level == least).unwrap_or(INFO)
}

/// The parts of a variable between commas.
pub(crate) fn list(env: Env<'_>, name: &str) -> Vec<String> {
    let value = get(env, name).unwrap_or_default();
    let parts = value.split(',').map(str::trim).filter(|part| !part.is_empty());
    parts.map(str::to_owned).collect()
}

fn core(env: Env<'_>) -> Result<CoreSettings, SettingsError> {
    let mut settings = CoreSettings {
        webhook: checked(env, WEBHOOK_QUEUE_URL)?.is_some(),
        ..CoreSettings::default()
    };
    if let Some(value) = checked(env, PUSH_DELAY_S)? {
        settings.push_delay_s =
            value.parse().map_err(|_| SettingsError::invalid(PUSH_DELAY_S, &value))?;
    }
    for (name, seconds) in [
        (HOT_DAYS, &mut settings.keeping.hot_s),
        (RETENTION_DAYS, &mut settings.keeping.retention_s),
    ] {
        if let Some(value) = checked(env, name)? {
            let days: u64 = value.parse().map_err(|_| SettingsError::invalid(name, &value))?;
            *seconds = days * DAY_S;
        }
    }
    if let Some(value) = checked(env, MAX_RETENTION_DAYS)? {
        settings.max_retention_days =
            value.parse().map_err(|_| SettingsError::invalid(MAX_RETENTION_DAYS, &value))?;
    }
    if let Some(value) = checked(env, EDIT_WINDOW_S)? {
        settings.edit_window_s =
            value.parse().map_err(|_| SettingsError::invalid(EDIT_WINDOW_S, &value))?;
    }
    for (name, flag) in
        [(PUSH_BADGE, &mut settings.push_badge), (PUSH_PREVIEW, &mut settings.push_preview)]
    {
        if let Some(value) = checked(env, name)? {
            *flag = value == "true";
        }
    }
    if let Some(value) = checked(env, LIMITS)? {
        settings.limits.set(&value).map_err(|_| SettingsError::invalid(LIMITS, &value))?;
    }
    if let Some(value) = checked(env, OPERATOR_SCOPE)? {
        settings.operator_scope = value;
    }
    for (name, bytes) in
        [(MAX_PHOTO_MB, &mut settings.max_photo_bytes), (MAX_FILE_MB, &mut settings.max_file_bytes)]
    {
        if let Some(value) = checked(env, name)? {
            let mb: u64 = value.parse().map_err(|_| SettingsError::invalid(name, &value))?;
            *bytes = mb * 1_000_000;
        }
    }
    settings.scan = checked(env, MEDIA_SCAN)?.is_some_and(|value| value == "true");
    Ok(settings)
}

/// The web pages that may open a socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origins {
    /// All.
    Any,
    /// Those of these origins, such as `https://chat.example.com`.
    These(Vec<String>),
}

impl Origins {
    /// Reads [`ALLOWED_ORIGINS`].
    ///
    /// # Errors
    /// For one that is no origin: no page could ever match it.
    pub fn read(env: Env<'_>) -> Result<Self, SettingsError> {
        checked(env, ALLOWED_ORIGINS)?;
        let origins = list(env, ALLOWED_ORIGINS);
        if origins.iter().any(|origin| origin == "*") {
            return Ok(Self::Any);
        }
        let these = origins.into_iter().map(|o| o.trim_end_matches('/').to_owned());
        Ok(Self::These(these.collect()))
    }

    /// Whether a handshake with this `Origin` header may go on. Only browsers send one, and pages cannot leave it out.
    pub fn allow(&self, origin: Option<&str>) -> bool {
        match (self, origin) {
            (Self::Any, _) | (_, None) => true,
            (Self::These(origins), Some(origin)) => {
                origins.iter().any(|allowed| allowed.eq_ignore_ascii_case(origin))
            }
        }
    }
}
