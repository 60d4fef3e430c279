//! That the meter can be trusted: the units of items whose sizes are counted by hand.

use aws_sdk_dynamodb::types::{
    AttributeValue, ConditionCheck, KeysAndAttributes, Put, TransactWriteItem,
};
use petrel_aws::{Tables, embedded};

use crate::wire::Meter;

/// The rules that AWS publishes, on items whose sizes are counted by hand: a write counts each begun KiB, a strong read
/// each begun 4 KiB, a query all of its items together and a batch each for itself, a weak read half, a transaction
/// double, and nothing is free.
#[tokio::test]
async fn the_meter_reckons_by_the_rules_of_aws() {
    let client = embedded::client().unwrap();
    let tables = Tables {
        messages: "messages".into(),
        conversations: "conversations".into(),
        connections: "connections".into(),
    };
    embedded::create_tables(&client, &tables).await.unwrap();
    let meter = Meter::over(&client);
    let client = aws_sdk_dynamodb::Client::new(&meter.config());
    let id = || AttributeValue::S("g".into());
    let seq = |n: u32| AttributeValue::N(n.to_string());
    // Names and values: 15 + 1 bytes of the partition key, 3 + 2 of the sort key, 1 + the rest of the text.
    let text = |bytes: usize| AttributeValue::S("x".repeat(bytes - 22));
    let put = async |n: u32, bytes: usize| {
        let put = client.put_item().table_name("messages").item("conversation_id", id());
        put.item("seq", seq(n)).item("c", text(bytes)).send().await.unwrap();
        meter.read().writes
    };
    for n in 1..=4 {
        assert_eq!(put(n, 1_024).await, 1.0);
    }
    assert_eq!(put(9, 1_025).await, 2.0);
    // Replacing counts the larger of the two.
    assert_eq!(put(9, 100).await, 2.0);

    let query = async |first: u32, last: u32, strong: bool| {
        let query = client
            .query()
            .table_name("messages")
            .key_condition_expression("conversation_id = :c AND seq BETWEEN :f AND :l")
            .expression_attribute_values(":c", id())
            .expression_attribute_values(":f", seq(first))
            .expression_attribute_values(":l", seq(last))
            .consistent_read(strong);
        query.send().await.unwrap();
        meter.read().reads
    };
    assert_eq!(query(1, 4, true).await, 1.0);
    assert_eq!(query(1, 9, true).await, 2.0);
    assert_eq!(query(1, 4, false).await, 0.5);
    assert_eq!(query(5, 8, true).await, 1.0);

    let batch = async |last: u32, strong: bool| {
        let mut keys = KeysAndAttributes::builder().consistent_read(strong);
        for n in 1..=last {
            keys = keys.keys([("conversation_id".into(), id()), ("seq".into(), seq(n))].into());
        }
        let keys = keys.build().unwrap();
        client.batch_get_item().request_items("messages", keys).send().await.unwrap();
        meter.read().reads
    };
    // Four that are there and two that are not.
    assert_eq!(batch(6, true).await, 6.0);
    assert_eq!(batch(6, false).await, 3.0);

    let free = "attribute_not_exists(seq)";
    let refused = client.put_item().table_name("messages").item("conversation_id", id());
    let refused = refused.item("seq", seq(1)).condition_expression(free).send().await;
    assert!(refused.is_err());
    assert_eq!(meter.read().writes, 1.0);

    let check = ConditionCheck::builder().table_name("messages").key("conversation_id", id());
    let check = check.key("seq", seq(5)).condition_expression(free).build().unwrap();
    let put =
        Put::builder().table_name("messages").item("conversation_id", id()).item("seq", seq(6));
    let put = put.item("c", text(1_025)).build().unwrap();
    let transaction = client
        .transact_write_items()
        .transact_items(TransactWriteItem::builder().condition_check(check).build())
        .transact_items(TransactWriteItem::builder().put(put).build());
    transaction.send().await.unwrap();
    assert_eq!(meter.read().writes, 2.0 + 4.0);
}
