//! What the gateway stands on: tables, queues and the push service. Everything embedded, or those of an endpoint.

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use petrel_aws::archive::Folder;
use petrel_aws::embedded::s3::S3;
use petrel_aws::server::{self, Depth, Endpoint, OnEndpoint, Received, Source};
use petrel_aws::{
    Dynamo, HttpWebhook, MediaBucket, Settings, SystemWorld, Tables, embedded, process_env,
};
use petrel_core::metrics::NoMetrics;
use petrel_core::ports::{Archive, Gateway, Notifier, Platform};
use petrel_core::{App, Result};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use crate::cli::Failure;
use crate::consumer::Queue;
use crate::data;
use crate::pushes::{Recorder, Sink};
use crate::queues::Queues;
use crate::reports::{NoReceiver, Reports};

/// Which of them, and how it is reached.
#[derive(Clone, Debug)]
pub enum Options {
    /// Embedded, in this folder's database.
    OnDisk(PathBuf),
    /// Embedded, and nothing is kept.
    InMemory,
    /// An endpoint's, with these push applications.
    Endpoint(Endpoint, Vec<(Platform, String)>),
}

/// Everything below the gateway.
pub struct Backend {
    /// The product.
    pub app: App,
    /// Where its fan-out jobs come out again.
    pub fan_out: Arc<dyn Queue>,
    /// Where its push jobs come out again.
    pub push: Arc<dyn Queue>,
    /// Where its events come out again, if they are told to anyone.
    pub webhook: Option<Arc<dyn Queue>>,
    /// What was reported.
    pub reports: Arc<Reports>,
    /// What was pushed to phones.
    pub pushes: Arc<Recorder>,
    /// The tables whose timers this process looks after; an endpoint has its own TTL, or none.
    pub timers: Option<Arc<Dynamo>>,
    /// Where cold history lies that is not kept; goes with this.
    pub folder: Option<TempDir>,
    /// The embedded buckets.
    pub s3: Option<S3>,
    /// The tables whose uploads that ran out this process looks after; an endpoint has its own TTL, or none.
    pub uploads: Option<Arc<Dynamo>>,
}

/// The bucket of media, and of what is put into it by presigned URLs.
pub const MEDIA_BUCKET: &str = "media";

impl Backend {
    /// Opens it, and makes what is absent. Clients reach the server at this URL.
    pub async fn open(
        options: &Options,
        url: &str,
        gateway: Arc<dyn Gateway>,
        settings: petrel_core::services::Settings,
        receiver: Option<HttpWebhook>,
    ) -> Result<Self, Failure> {
        let mut opened = Self::open_on(options, url, gateway, settings).await?;
        if let Some(receiver) = receiver {
            opened.app.webhook = Arc::new(receiver);
        }
        Ok(opened)
    }

    async fn open_on(
        options: &Options,
        url: &str,
        gateway: Arc<dyn Gateway>,
        settings: petrel_core::services::Settings,
    ) -> Result<Self, Failure> {
        match options {
            Options::OnDisk(folder) => {
                data::check(folder)?;
                let client = embedded::client_on(&data::database(folder));
                let archive = Arc::new(Folder::new(&data::archive(folder)));
                let s3 = data::buckets(folder, &[MEDIA_BUCKET])?;
                let opened = Self::embedded(client, s3, archive, url, gateway, settings).await;
                let opened = opened.map_err(|reason| data::unusable(folder, reason))?;
                data::note_made(folder)?;
                Ok(opened)
            }
            Options::InMemory => {
                let kept = tempfile::tempdir()?;
                let archive = Arc::new(Folder::new(&kept.path().join("archive")));
                let s3 = S3::in_memory(&[MEDIA_BUCKET]);
                let client = embedded::client();
                let opened = Self::embedded(client, s3, archive, url, gateway, settings).await?;
                Ok(Self { folder: Some(kept), ..opened })
            }
            Options::Endpoint(endpoint, platforms) => {
                let mut all = Settings { core: settings, ..Settings::read(&process_env)? };
                // What the command line names goes before what the environment does.
                all.platforms.retain(|(platform, _)| platforms.iter().all(|(p, _)| p != platform));
                all.platforms.extend(platforms.iter().cloned());
                let mut endpoint = endpoint.clone();
                // Its own page too.
                endpoint.origins.push(url.to_owned());
                let made = server::set_up(&endpoint, all, &process_env).await?;
                Ok(Self::on(made, gateway))
            }
        }
    }

    async fn embedded(
        client: Result<embedded::Client>,
        s3: S3,
        archive: Arc<dyn Archive>,
        url: &str,
        gateway: Arc<dyn Gateway>,
        settings: petrel_core::services::Settings,
    ) -> Result<Self, String> {
        let tables = Tables {
            messages: "messages".to_owned(),
            conversations: "conversations".to_owned(),
            connections: "connections".to_owned(),
        };
        let explain = |e: petrel_core::Error| match e.source {
            Some(source) => source.to_string(),
            None => e.to_string(),
        };
        let client = client.map_err(explain)?;
        embedded::create_tables(&client, &tables).await.map_err(explain)?;
        let dynamo = Arc::new(Dynamo::new(client, tables));
        let queues = Arc::new(Queues::new());
        let pushes = Arc::new(Recorder::new(Arc::new(Sink)));
        let reports = Arc::new(Reports::default());
        let told = settings.webhook;
        let app = App {
            log: dynamo.clone(),
            cold: dynamo.clone(),
            archive,
            conversations: dynamo.clone(),
            connections: dynamo.clone(),
            uploads: dynamo.clone(),
            files: Arc::new(MediaBucket::new(s3.client(url), MEDIA_BUCKET.to_owned())),
            people: dynamo.clone(),
            gateway,
            jobs: queues.clone(),
            notifier: pushes.clone(),
            webhook: Arc::new(NoReceiver),
            moderation: reports.clone(),
            world: Arc::new(SystemWorld),
            metrics: Arc::new(NoMetrics),
            usage: Arc::default(),
            settings,
        };
        let (fan_out, push) = (queues.fan_out.clone(), queues.push.clone());
        let webhook = told.then(|| queues.webhook.clone() as Arc<dyn Queue>);
        let (s3, uploads, timers) = (Some(s3), Some(dynamo.clone()), Some(dynamo));
        let folder = None;
        Ok(Self { app, fan_out, push, webhook, pushes, reports, s3, uploads, timers, folder })
    }

    fn on(made: OnEndpoint, gateway: Arc<dyn Gateway>) -> Self {
        let pushes = Arc::new(Recorder::new(made.app.notifier.clone()));
        let notifier: Arc<dyn Notifier> = pushes.clone();
        let reports = Arc::new(Reports::default());
        let app = App {
            gateway,
            notifier,
            webhook: Arc::new(NoReceiver),
            moderation: reports.clone(),
            metrics: Arc::new(NoMetrics),
            ..made.app
        };
        let (fan_out, push) = (Arc::new(made.fan_out), Arc::new(made.push));
        let webhook = made.webhook.map(|queue| Arc::new(queue) as Arc<dyn Queue>);
        let (s3, uploads, timers, folder) = (None, None, None, None);
        Self { app, fan_out, push, webhook, pushes, reports, s3, uploads, timers, folder }
    }
}

#[async_trait]
impl Queue for Source {
    fn arn(&self) -> &str {
        self.arn()
    }

    async fn receive(&self, _: &CancellationToken) -> Result<Vec<Received>> {
        // Not given up at a stop: what SQS is about to hand out would stay hidden. It answers within a second.
        self.receive().await
    }

    async fn delete(&self, messages: &[&Received]) -> Result<()> {
        self.delete(messages).await
    }

    async fn depth(&self) -> Result<Depth> {
        self.depth().await
    }
}
