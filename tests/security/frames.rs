//! Frames that break the WebSocket protocol: each ends its socket, and nothing else.

use petrel_test_client::client::PATIENCE;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use super::raw;
use crate::server::Server;

const SYNC: &[u8] = br#"{"action":"sync"}"#;

/// A frame with this first byte and payload, masked with zeros as a client's must be.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match payload.len() {
        length @ 0..=125 => frame.push(0x80 | length as u8),
        length => {
            frame.push(0x80 | 126);
            frame.extend((length as u16).to_be_bytes());
        }
    }
    frame.extend([0; 4]);
    frame.extend(payload);
    frame
}

/// The head of a frame that says that it is so long.
fn head(first: u8, length: u64) -> Vec<u8> {
    let mut head = vec![first, 0x80 | 127];
    head.extend(length.to_be_bytes());
    head.extend([0; 4]);
    head
}

#[tokio::test]
async fn a_frame_that_breaks_the_protocol_ends_its_socket_and_no_other() {
    let server = Server::start().await;
    let mut bo = server.connect("bo").await;
    let unmasked = [&[0x81, SYNC.len() as u8][..], SYNC].concat();
    for (why, bytes) in [
        ("not masked", unmasked),
        ("a reserved bit: compressed", frame(0xc1, SYNC)),
        ("another reserved bit", frame(0x91, SYNC)),
        ("an unknown kind", frame(0x83, SYNC)),
        ("an unknown kind of control", frame(0x8b, b"")),
        ("a continuation of nothing", frame(0x80, SYNC)),
        ("a message within a message", [frame(0x01, b"{"), frame(0x81, SYNC)].concat()),
        ("half a letter", frame(0x81, b"{\"action\":\"\xff\"}")),
        ("a surrogate", frame(0x81, b"{\"action\":\"\xed\xa0\x80\"}")),
        ("letters that are too long", frame(0x81, b"{\"action\":\"\xc0\xaf\"}")),
        ("a ping in pieces", frame(0x09, b"")),
        ("a ping that is too long", frame(0x89, &[0; 126])),
        ("a close that says half a code", frame(0x88, &[3])),
        ("a close with a code that is none", frame(0x88, &[0, 1])),
        ("a close without letters", frame(0x88, &[3, 0xe8, 0xff])),
        ("binary", frame(0x82, SYNC)),
        ("64 KiB, it says", head(0x81, 64 * 1024)),
        ("all there is, it says", head(0x81, u64::MAX)),
        ("half of that", head(0x81, 1 << 62)),
        ("a request", b"GET / HTTP/1.1\r\nhost: x\r\n\r\n".to_vec()),
    ] {
        let mut stream = raw::socket(&server, "eve").await;
        stream.write_all(&bytes).await.unwrap();
        let mut said = vec![];
        let ended = timeout(PATIENCE, stream.read_to_end(&mut said)).await;
        assert!(ended.is_ok(), "{why}: the socket lives");
        let said = String::from_utf8_lossy(&said).into_owned();
        assert!(!said.contains("synced"), "{why}: {said}");
    }
    server.wait_until("only bo is left", |state| state["connections"] == 1).await;
    bo.sync(&json!({})).await;
}

/// A socket answers a ping, and answers of one who only pings do not pile up.
#[tokio::test]
async fn pings_are_answered_one_by_one() {
    let server = Server::start().await;
    let mut stream = raw::socket(&server, "eve").await;
    for n in 0..1_000_u16 {
        stream.write_all(&frame(0x89, &n.to_be_bytes())).await.unwrap();
        let mut pong = [0; 4];
        timeout(PATIENCE, stream.read_exact(&mut pong)).await.unwrap().unwrap();
        assert_eq!(pong[..2], [0x8a, 2]);
        assert_eq!(pong[2..], n.to_be_bytes());
    }
}
