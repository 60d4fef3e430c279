//! The ways out: sockets, queues, phones, the operator's receiver, and those who look at reports.

use futures::FutureExt;
use petrel_core::events::Event;
use petrel_core::ids::{EndpointId, Seq};
use petrel_core::ports::{Delivery, Job, Platform};

use super::{Op, said};
use crate::answers::ENDPOINT;
use crate::stage::{group, notification, report, socket, user};

/// Jobs for every queue, and two batches for one.
fn jobs() -> Vec<Job> {
    let push = |seq| Job::Push {
        to: vec![user("bo")],
        conversation: group(),
        seq: Seq::new(seq),
        attempt: 0,
    };
    let entry = crate::stage::said(&group(), 1);
    let hook = Job::Webhook { event: Event::Stored(entry.clone()), attempt: 0 };
    let fan_out = Job::FanOut { entry, to: vec![user("bo")], except: None, attempt: 0 };
    (1..=12).map(push).chain([fan_out, hook]).collect()
}

fn phone() -> EndpointId {
    EndpointId::parse(ENDPOINT).unwrap()
}

fn delivery() -> Delivery {
    Delivery { id: "msg_1".into(), timestamp_s: 1_614_265_330, body: "{\"test\": 1}".into() }
}

pub const OPS: &[Op] = &[
    Op::write("Gateway::post", |app| {
        async move { said(Ok(app.gateway.post(&socket("bo").id, "{}").await)) }.boxed()
    })
    .short()
    .fails_as("Later"),
    Op::write("Gateway::close", |app| {
        async move { said(Ok(app.gateway.close(&socket("bo").id).await)) }.boxed()
    })
    .short()
    .stood(&["Gone"])
    .fails_as("Later"),
    Op::write("Jobs::enqueue", |app| {
        async move { said(app.jobs.enqueue(jobs(), 1).await) }.boxed()
    })
    .short()
    .rounds(3)
    .in_steps()
    .within_ms(3 * 2_200 + 150),
    Op::write("Notifier::endpoint", |app| {
        async move { said(app.notifier.endpoint(Platform::Apns, "c0ffee", &user("bo")).await) }
            .boxed()
    })
    .short()
    .within_ms(2 * 2_200),
    Op::write("Notifier::push", |app| {
        async move { said(Ok(app.notifier.push(&phone(), &notification()).await)) }.boxed()
    })
    .short()
    .fails_as("Later"),
    Op::write("Notifier::remove", |app| {
        async move { said(app.notifier.remove(&phone()).await) }.boxed()
    })
    .short(),
    // The queue asks again.
    Op::write("Webhook::deliver", |app| {
        async move { said(Ok(app.webhook.deliver(&delivery()).await)) }.boxed()
    })
    .once()
    .within_ms(10_000)
    .fails_as("Refused { retry_after_s: None }"),
    Op::write("Moderation::report", |app| {
        async move { said(app.moderation.report(&report()).await) }.boxed()
    }),
];
