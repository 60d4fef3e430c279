//! What is told to the outside of a server on one machine: reports are kept to be looked at, and events go nowhere unless
//! a receiver is named.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use petrel_core::Result;
use petrel_core::events::Report;
use petrel_core::ports::{Delivery, Hooked, Moderation, Webhook};
use petrel_core::wire::webhook::ReportFrame;

/// Reports kept to be looked at.
const KEPT: usize = 1_000;

/// The last reports, newest last.
#[derive(Debug, Default)]
pub struct Reports(Mutex<VecDeque<ReportFrame>>);

impl Reports {
    /// What was reported.
    pub fn records(&self) -> Vec<ReportFrame> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }
}

#[async_trait]
impl Moderation for Reports {
    async fn report(&self, report: &Report) -> Result<()> {
        let mut records = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if records.len() == KEPT {
            records.pop_front();
        }
        records.push_back(report.into());
        Ok(())
    }
}

/// Nobody is told.
#[derive(Debug)]
pub struct NoReceiver;

#[async_trait]
impl Webhook for NoReceiver {
    async fn deliver(&self, _: &Delivery) -> Hooked {
        Hooked::Refused { retry_after_s: None }
    }
}
