//! The stream: one for all topics of a prefix.

use async_nats::jetstream::{
    ErrorCode,
    context::{CreateStreamErrorKind, GetStreamErrorKind},
    stream::{Config, Stream},
};
use due_core::{Error, Result};

use super::JetStream;
use crate::nats::settings::Storage;

impl JetStream {
    /// The stream with its present state; makes it if it is missing and `create` is on.
    pub(super) async fn stream(&self) -> Result<Stream> {
        if let Some(stream) = self.known_stream().await? {
            return Ok(stream);
        }
        let (name, url) = (self.stream_name(), self.url());
        if !self.settings.create {
            return Err(Error::config(format!("{url} has no stream {name}: create it there, or say create=on")));
        }
        match self.context.create_stream(self.config()).await {
            Ok(stream) => Ok(stream),
            Err(e) if matches!(e.kind(), CreateStreamErrorKind::JetStreamUnavailable) => Err(self.switched_off()),
            // Another process was quicker.
            Err(e) => self.known_stream().await?.ok_or_else(|| self.unavailable(e)),
        }
    }

    async fn known_stream(&self) -> Result<Option<Stream>> {
        match self.context.get_stream(self.stream_name()).await {
            Ok(stream) => Ok(Some(stream)),
            Err(e) => match e.kind() {
                GetStreamErrorKind::JetStream(e) if e.error_code() == ErrorCode::STREAM_NOT_FOUND => Ok(None),
                GetStreamErrorKind::JetStream(e) if e.error_code() == ErrorCode::JETSTREAM_NOT_ENABLED => {
                    Err(self.switched_off())
                }
                GetStreamErrorKind::Request if format!("{e:?}").contains("NoResponders") => Err(self.switched_off()),
                _ => Err(self.unavailable(e)),
            },
        }
    }

    fn switched_off(&self) -> Error {
        let url = self.url();
        Error::config(format!("nats at {url} has no JetStream: start nats-server with -js, or say mode=core"))
    }

    fn config(&self) -> Config {
        let s = &self.settings;
        Config {
            name: self.stream_name(),
            subjects: vec![format!("{}.>", self.root())],
            description: Some("events of due".to_owned()),
            max_age: s.max_age,
            max_bytes: i64::try_from(s.max_bytes).unwrap_or(i64::MAX),
            num_replicas: s.replicas,
            storage: match s.storage {
                Storage::File => async_nats::jetstream::stream::StorageType::File,
                Storage::Memory => async_nats::jetstream::stream::StorageType::Memory,
            },
            duplicate_window: s.max_age.min(std::time::Duration::from_secs(120)),
            ..Config::default()
        }
    }
}
