//! The faults, and which of them a service can have.

/// What happens to one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It is done and answered, after a while.
    Slow,
    /// Nothing is done and nothing answered.
    Silent,
    /// It is done and not answered.
    SilentAfter,
    /// It is done when the client has long given this attempt up.
    Late,
    /// The connection is cut before anything is done …
    CutBefore,
    /// … or after …
    CutAfter,
    /// … or in the middle of the answer.
    CutWithin,
    /// It is done; the answer stops in the middle, and the connection stays.
    Stalled,
    /// This status without a body, and nothing is done …
    Status(u16),
    /// … or it is done all the same.
    StatusAfter(u16),
    /// Refused with this code, 400; nothing is done.
    Refused(&'static str),
    /// S3 refuses it with this status and code; nothing is done.
    S3(u16, &'static str),
    /// Another write of the item is under way; of a transaction, this is the reason of its first action.
    Cancelled(&'static str),
    /// It is done, and this is what its answer says, under the status that it has.
    Garbage(&'static str),
    /// It is done; of its answer the second half is missing, and nothing says so.
    Truncated,
    /// It is done and answered, as text/html.
    WrongType,
    /// One bit of the answer is another.
    Flipped,
    /// The answer is what another object holds.
    Other,
    /// Only the first half of a batch is looked at, or taken; of a query, only a part comes at once …
    Partial,
    /// … and that takes a while.
    SlowPartial,
    /// After a while it turns out that another write of the item is under way.
    SlowConflict,
}

/// Faults after which the client of AWS asks again by itself, and which did nothing.
pub const HARMLESS: &[Fault] = &[
    Fault::Slow,
    Fault::Silent,
    Fault::CutBefore,
    Fault::Status(500),
    Fault::Status(502),
    Fault::Status(503),
    Fault::Status(504),
    Fault::Refused("ProvisionedThroughputExceededException"),
    Fault::Refused("ThrottlingException"),
    Fault::Refused("RequestLimitExceeded"),
    Fault::S3(500, "InternalError"),
    Fault::S3(503, "ServiceUnavailable"),
    Fault::S3(503, "SlowDown"),
    Fault::Partial,
];

/// All others.
pub const HARMFUL: &[Fault] = &[
    Fault::SilentAfter,
    Fault::Late,
    Fault::CutAfter,
    Fault::CutWithin,
    Fault::Stalled,
    Fault::Status(301),
    Fault::Status(404),
    Fault::StatusAfter(500),
    Fault::Refused("AccessDeniedException"),
    Fault::Refused("ResourceNotFoundException"),
    Fault::Refused("ValidationException"),
    Fault::Refused("AnErrorOfTomorrow"),
    Fault::S3(403, "AccessDenied"),
    Fault::S3(404, "NoSuchBucket"),
    Fault::S3(404, "NoSuchKey"),
    Fault::S3(409, "ConditionalRequestConflict"),
    Fault::S3(412, "PreconditionFailed"),
    Fault::SlowPartial,
    Fault::SlowConflict,
    Fault::Cancelled("TransactionConflict"),
    Fault::Cancelled("ThrottlingError"),
    Fault::Cancelled("ProvisionedThroughputExceeded"),
    Fault::Cancelled("ValidationError"),
    Fault::Garbage(""),
    Fault::Garbage("{}"),
    Fault::Garbage("[]"),
    Fault::Garbage("null"),
    Fault::Garbage("<html>busy</html>"),
    Fault::Garbage("{\"Items\":7,\"Item\":7,\"Responses\":7,\"Attributes\":7}"),
    Fault::Garbage(
        "{\"Items\":[{\"seq\":{\"N\":7}}],\"Item\":{\"sk\":7},\"Responses\":{\"t\":[7]}}",
    ),
    Fault::Garbage("\u{0}\u{1}"),
    Fault::Truncated,
    Fault::WrongType,
    Fault::Flipped,
    Fault::Other,
];

/// Whom a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    DynamoDb,
    Sqs,
    Gateway,
    Sns,
    S3,
    /// The operator's receiver of webhooks.
    Receiver,
}

/// The service of an operation.
pub fn service(operation: &str) -> Service {
    match operation {
        "SendMessageBatch" => Service::Sqs,
        "PostToConnection" | "DeleteConnection" => Service::Gateway,
        "Publish" | "CreatePlatformEndpoint" | "SetEndpointAttributes" | "DeleteEndpoint" => {
            Service::Sns
        }
        "PutObject" | "GetObject" | "HeadObject" | "DeleteObject" | "ListObjectsV2" => Service::S3,
        "Deliver" => Service::Receiver,
        _ => Service::DynamoDb,
    }
}

/// Whether the service can do that to the operation.
pub fn applies(fault: Fault, operation: &str) -> bool {
    let writes = ["PutItem", "UpdateItem", "DeleteItem", "TransactWriteItems"];
    match fault {
        Fault::Partial | Fault::SlowPartial => {
            matches!(operation, "BatchGetItem" | "BatchWriteItem" | "Query" | "SendMessageBatch")
        }
        Fault::SlowConflict | Fault::Cancelled("TransactionConflict") => {
            writes.contains(&operation)
        }
        Fault::Cancelled(_) => operation == "TransactWriteItems",
        // This is how DynamoDB says that there is no such item; TLS and the length keep an answer from becoming it.
        Fault::Garbage("" | "{}") => operation != "GetItem",
        // And this is how S3 says it of an object, in an answer without a body to look at.
        Fault::Status(404) | Fault::S3(404, "NoSuchBucket") if operation == "HeadObject" => false,
        // Nor has a refusal one that could say why.
        Fault::Refused(_) => operation != "HeadObject",
        // Only a put has something to meet.
        Fault::S3(404, "NoSuchKey") | Fault::S3(409 | 412, _) => operation == "PutObject",
        Fault::S3(..) => service(operation) == Service::S3,
        // What is no object is guarded by TLS alone.
        Fault::Flipped | Fault::Other => operation == "GetObject",
        _ => true,
    }
}
