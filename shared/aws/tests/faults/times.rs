//! That a call comes to its end before the function that makes it is ended: who may make a call, and for how long a function
//! runs, is what the template says.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::Value;

use crate::calls::meant;
use crate::fault::{Service, service};
use crate::injector::Request;
use crate::ops;
use crate::world::World;

/// The template as SAM expands it; `infra/template/check` keeps it fresh.
const EXPANDED: &str = include_str!("../../../../infra/template/snapshot.json");

/// An action, and the resource as the template calls it.
type Permission = (String, String);

struct Function {
    name: String,
    timeout: Duration,
    allowed: BTreeSet<Permission>,
}

fn functions() -> Vec<Function> {
    let template: Value = serde_json::from_str(EXPANDED).unwrap();
    let resources = template["Resources"].as_object().unwrap();
    let all = resources.iter().filter(|(_, r)| r["Type"] == "AWS::Lambda::Function");
    let function = |(name, function): (&String, &Value)| {
        let properties = &function["Properties"];
        let role = &resources[properties["Role"]["Fn::GetAtt"][0].as_str().unwrap()];
        let policies = role["Properties"]["Policies"].as_array().unwrap();
        let statements =
            policies.iter().flat_map(|p| p["PolicyDocument"]["Statement"].as_array().unwrap());
        let mut allowed: BTreeSet<_> = statements.map(permission).collect();
        // Whom it tells of events stands in its environment.
        let variables = &properties["Environment"]["Variables"];
        if variables.get("PETREL_WEBHOOK_URL").is_some() {
            allowed.insert(("Deliver".to_owned(), "the receiver".to_owned()));
        }
        let timeout = Duration::from_secs(properties["Timeout"].as_u64().unwrap());
        Function { name: name.clone(), timeout, allowed }
    };
    all.map(function).collect()
}

/// What a statement allows; one action on one resource, as the template's checks have it.
fn permission(statement: &Value) -> Permission {
    let statement = statement.get("Fn::If").map_or(statement, |choice| &choice[1]);
    let resource = statement["Resource"].to_string();
    let action = statement["Action"].as_str().unwrap().to_owned();
    let of = match action.split(':').next().unwrap() {
        "sns" => ["ModerationTopic", "ApnsArn", "ApnsSandboxArn", "FcmArn"].as_slice(),
        "execute-api" => &["/POST/@connections", "/DELETE/@connections"],
        "s3" => &["ArchiveBucket", "MediaBucket"],
        "sqs" => &["FanoutQueue", "PushQueue", "WebhookQueue"],
        "dynamodb" => &["MessagesTable", "ConversationsTable", "ConnectionsTable"],
        _ => &[],
    };
    let of = of.iter().find(|name| resource.contains(**name)).copied().unwrap_or_default();
    (action, of.to_owned())
}

/// What AWS asks a permission for at a request.
fn needs(request: &Request) -> Vec<Permission> {
    let Request { operation, words } = request;
    let one = |action: &str, of: &str| vec![(action.to_owned(), of.to_owned())];
    match service(operation) {
        Service::DynamoDb => on_tables(operation, &serde_json::from_str(words).unwrap()),
        Service::Sqs => {
            let queue = ["fan-out", "push", "webhook"].iter().position(|name| {
                let batch: Value = serde_json::from_str(words).unwrap();
                batch["QueueUrl"].as_str().unwrap().ends_with(name)
            });
            one("sqs:SendMessage", ["FanoutQueue", "PushQueue", "WebhookQueue"][queue.unwrap()])
        }
        Service::Gateway => {
            let method = if operation == "PostToConnection" { "POST" } else { "DELETE" };
            one("execute-api:ManageConnections", &format!("/{method}/@connections"))
        }
        Service::Sns if words.contains("TopicArn") => one("sns:Publish", "ModerationTopic"),
        Service::Sns => one(&format!("sns:{operation}"), "ApnsArn"),
        Service::S3 => {
            let archive = words.contains("/archive");
            let action = match operation.as_str() {
                "ListObjectsV2" => "ListBucket",
                "HeadObject" => "GetObject",
                other => other,
            };
            let of = if archive { "ArchiveBucket" } else { "MediaBucket" };
            one(&format!("s3:{action}"), of)
        }
        Service::Receiver => one("Deliver", "the receiver"),
    }
}

fn on_tables(operation: &str, asked: &Value) -> Vec<Permission> {
    let table = |name: &Value| match name.as_str().unwrap() {
        "messages" => "MessagesTable".to_owned(),
        "conversations" => "ConversationsTable".to_owned(),
        _ => "ConnectionsTable".to_owned(),
    };
    let action = |name: &str| format!("dynamodb:{name}");
    if let Some(batch) = asked["RequestItems"].as_object() {
        return batch.keys().map(|name| (action(operation), table(&name.clone().into()))).collect();
    }
    let Some(actions) = asked["TransactItems"].as_array() else {
        return vec![(action(operation), table(&asked["TableName"]))];
    };
    let of_part = |part: &Value| {
        let (name, what) = part.as_object().unwrap().iter().next().unwrap();
        (action(&format!("{name}Item")), table(&what["TableName"]))
    };
    actions.iter().map(of_part).collect()
}

#[tokio::test(start_paused = true)]
async fn every_call_ends_before_its_function_is_ended() {
    let world = World::staged().await;
    let functions = functions();
    let mut late = vec![];
    for op in ops::all() {
        let asked = meant(op, &world).await.asked;
        let needed: BTreeSet<_> = asked.iter().flat_map(needs).collect();
        // All that may make it, of whom not all do.
        let callers: Vec<_> = functions.iter().filter(|f| needed.is_subset(&f.allowed)).collect();
        assert!(!callers.is_empty(), "no function may make {op:?}: {needed:?}");
        for Function { name, timeout, .. } in callers {
            if op.limit >= *timeout {
                late.push(format!("{op:?} takes up to {:?}, {name} {timeout:?}", op.limit));
            }
        }
    }
    assert!(late.is_empty(), "{}", late.join("\n"));
}
