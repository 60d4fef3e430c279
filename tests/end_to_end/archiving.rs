//! History that has left the database: read through with the same requests, over a kill and a restart, until its time is over.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use petrel_test_client::{Client, frames};
use serde_json::{Value, json};
use tokio::time::interval;

use crate::look::until;
use crate::server::{Server, endpoint};

const CHAT: &str = "d:ana:bo";

/// Files of the archive below this folder, objects only.
fn objects(data: &Path) -> Vec<PathBuf> {
    let folder = data.join("archive").join(CHAT);
    let files = fs::read_dir(folder).into_iter().flatten().map(|f| f.unwrap().path());
    files.filter(|f| f.extension().is_some_and(|e| e == "zst")).collect()
}

/// A chat of so many messages.
async fn said(server: &Server, count: u64) -> Client {
    let mut ana = server.connect("ana").await;
    for seen in 0..count {
        ana.say(CHAT, seen, &format!("thing {}", seen + 1)).await;
    }
    ana
}

/// Takes the first object away, waits until the rows that it holds are gone, and returns it.
async fn taken_away(server: &Server) -> (PathBuf, Vec<u8>) {
    let object = objects(server.data()).into_iter().min().unwrap();
    let whole = fs::read(&object).unwrap();
    fs::remove_file(&object).unwrap();
    let path = format!("/api/conversations/{CHAT}/messages?after=5");
    let gone = async || server.get("bo", &path).await.status == 503;
    until("its rows are gone", gone).await;
    (object, whole)
}

async fn all(client: &mut Client) -> Vec<u64> {
    let (mut all, mut after) = (vec![], 0);
    loop {
        let ask =
            json!({"action": "history", "conversation_id": CHAT, "after": after, "limit": 100});
        client.send(&ask).await;
        let batch = client.wait_for_type("batch").await;
        all.extend(
            batch["messages"].as_array().unwrap().iter().map(|m| m["seq"].as_u64().unwrap()),
        );
        if batch["more"] == false {
            return all;
        }
        after = *all.last().unwrap();
    }
}

#[tokio::test]
async fn old_history_is_read_through_after_a_kill_and_a_restart_too() {
    if endpoint().is_some() {
        return; // Nothing is archived there.
    }
    let mut server = Server::with(&["--hot", "1"]).await;
    let data = server.data().to_owned();
    let ana = said(&server, 260).await;
    until("something is archived", async || !objects(&data).is_empty()).await;
    // A run that is killed before keeps its lease for a quarter of an hour.
    let (object, whole) = taken_away(&server).await;
    fs::write(&object, &whole).unwrap();
    server.kill().await;
    drop(ana);
    server.start_again().await;
    let mut bo = server.connect("bo").await;
    assert_eq!(all(&mut bo).await, (1..=260).collect::<Vec<_>>());

    let path = format!("/api/conversations/{CHAT}/messages?around=50&limit=4");
    let around = server.get("bo", &path).await.expect(200);
    let seqs: Vec<u64> =
        around["messages"].as_array().unwrap().iter().map(|m| m["seq"].as_u64().unwrap()).collect();
    assert_eq!(seqs, [49, 50, 51, 52]);
    assert_eq!((&around["more"], &around["more_before"]), (&json!(true), &json!(true)));
    for bad in ["around=5&before=5", "around=5&after=5", "around=x", "around=5&limit=0"] {
        let path = format!("/api/conversations/{CHAT}/messages?{bad}");
        server.get("bo", &path).await.expect(400);
    }

    // A message from the time before cannot be proved; a reply to one stands.
    let mut ana = server.connect("ana").await;
    let old = frames::send(CHAT, 3, &frames::new_id(), frames::text("late"));
    ana.send(&old).await;
    assert_eq!(ana.wait_for_type("error").await["code"], "sync_required");
    let reply = json!({"type": "reply", "target": 3, "text": "to that"});
    ana.send(&frames::send(CHAT, 260, &frames::new_id(), reply)).await;
    assert_eq!(ana.wait_for_type("sent").await["seq"], 261);
    bo.send(&frames::ack(CHAT, None, Some(10))).await;
    assert_eq!(ana.wait_for_type("receipt").await["read"], 10);

    // The export is all of it.
    let (mut lines, mut after) = (vec![], 0);
    loop {
        let path = format!("/api/conversations/{CHAT}/export?after={after}");
        match server.get("bo", &path).await.expect(200) {
            Value::Null => break,
            Value::String(text) => {
                lines.extend(text.lines().map(|l| serde_json::from_str::<Value>(l).unwrap()));
            }
            line => lines.push(line),
        }
        after = lines.last().unwrap()["seq"].as_u64().unwrap();
    }
    let seqs: Vec<u64> = lines.iter().map(|l| l["seq"].as_u64().unwrap()).collect();
    assert_eq!(seqs, (1..=261).collect::<Vec<_>>());
    server.get("eve", &format!("/api/conversations/{CHAT}/export")).await.expect(403);
    server.get("bo", &format!("/api/conversations/{CHAT}/export?after=-1")).await.expect(400);

    // A damaged object is an error, and nothing of it is told; the rest works.
    let object = objects(&data).into_iter().min().unwrap();
    let whole = fs::read(&object).unwrap();
    for damaged in [&whole[..whole.len() / 2], b"garbage".as_slice(), b"".as_slice()] {
        fs::write(&object, damaged).unwrap();
        let path = format!("/api/conversations/{CHAT}/messages?after=5");
        // Rows that the kill had left are swept by the next run.
        let gone = async || server.get("bo", &path).await.status == 503;
        until("its rows are gone", gone).await;
        server
            .get("bo", &format!("/api/conversations/{CHAT}/messages?after=255"))
            .await
            .expect(200);
    }
    fs::write(&object, &whole).unwrap();
    assert_eq!(all(&mut bo).await, (1..=261).collect::<Vec<_>>());
}

#[tokio::test]
async fn after_its_time_nothing_can_be_read_and_numbers_go_on() {
    if endpoint().is_some() {
        return;
    }
    let server = Server::with(&["--hot", "1", "--retention", "2"]).await;
    let mut ana = said(&server, 230).await;
    let mut looks = interval(Duration::from_millis(100));
    loop {
        looks.tick().await;
        if all(&mut ana).await.is_empty() {
            break;
        }
    }
    let (batches, synced) = ana.sync(&json!({CHAT: 5})).await;
    assert!(batches.is_empty(), "{batches:?}");
    let state = &synced["conversations"][0];
    assert_eq!((&state["head"], &state["sent_through"]), (&json!(230), &json!(230)));
    assert_eq!(ana.say(CHAT, 230, "again").await["seq"], 231);
}

#[tokio::test]
async fn what_is_deleted_from_the_archive_is_nowhere_any_more() {
    if endpoint().is_some() {
        return;
    }
    let server = Server::with(&["--hot", "1"]).await;
    let data = server.data().to_owned();
    let mut ana = said(&server, 260).await;
    until("something is archived", async || !objects(&data).is_empty()).await;
    let (object, whole) = taken_away(&server).await;
    fs::write(&object, &whole).unwrap();
    let delete = |target: u64| {
        let content = json!({"type": "delete", "target": target});
        frames::send(CHAT, 260, &frames::new_id(), content)
    };
    let mut bo = server.connect("bo").await;
    assert_eq!(bo.ask(&delete(7)).await["code"], "forbidden");
    assert_eq!(ana.ask(&delete(7)).await["seq"], 261);
    // At once for readers, however they ask.
    let gone = |entry: &Value| {
        let held = json!({"type": "gone", "why": "deleted"});
        assert_eq!((&entry["seq"], &entry["content"]), (&json!(7), &held));
    };
    for query in ["after=6&limit=1", "before=8&limit=1", "around=7&limit=1"] {
        let path = format!("/api/conversations/{CHAT}/messages?{query}");
        gone(&server.get("bo", &path).await.expect(200)["messages"][0]);
    }
    let (batches, _) = bo.sync(&json!({CHAT: 6})).await;
    gone(&batches[0]["messages"][0]);
    let path = format!("/api/conversations/{CHAT}/export?after=6");
    let lines = server.get("bo", &path).await.expect(200);
    let first = lines.as_str().unwrap().lines().next().unwrap();
    gone(&serde_json::from_str(first).unwrap());
    // And then the object is written anew.
    let anew = async || fs::read(&object).ok() != Some(whole.clone());
    until("the object is written anew", anew).await;
    assert_eq!(all(&mut bo).await, (1..=261).collect::<Vec<_>>());
}

#[tokio::test]
async fn an_archive_that_is_out_stops_nobody_from_writing_and_hides_no_other_conversation() {
    if endpoint().is_some() {
        return;
    }
    let server = Server::with(&["--hot", "1"]).await;
    let data = server.data().to_owned();
    let mut ana = said(&server, 260).await;
    server.connect("cy").await.say("d:bo:cy", 0, "here").await;
    until("something is archived", async || !objects(&data).is_empty()).await;
    let (object, whole) = taken_away(&server).await;
    let mut bo = server.connect("bo").await;
    let told = |synced: &Value| -> Vec<(u64, bool)> {
        let of = |c: &Value| (c["sent_through"].as_u64().unwrap(), c["unavailable"] == true);
        synced["conversations"].as_array().unwrap().iter().map(of).collect()
    };
    let (batches, synced) = bo.sync(&json!({CHAT: 5, "d:bo:cy": 0})).await;
    assert_eq!(told(&synced), [(5, true), (1, false)]);
    assert_eq!(batches.len(), 1, "{batches:?}");
    assert_eq!(ana.say(CHAT, 260, "sending needs no archive").await["seq"], 261);
    fs::write(&object, &whole).unwrap();
    assert_eq!(all(&mut bo).await, (1..=261).collect::<Vec<_>>());
    let (_, synced) = bo.sync(&json!({CHAT: 200, "d:bo:cy": 1})).await;
    assert_eq!(told(&synced), [(261, false), (1, false)]);
}

/// The shortest time of a conversation's own is a day; so it is one that is longer than the operator's.
#[tokio::test]
async fn a_conversations_own_retention_holds_in_the_place_of_the_operators() {
    if endpoint().is_some() {
        return;
    }
    let server = Server::with(&["--hot", "1", "--retention", "2"]).await;
    let mut ana = server.connect("ana").await;
    let others = ["bo".to_owned()];
    let (plain, kept) = (server.found("ana", &others).await, server.found("ana", &others).await);
    ana.say(CHAT, 0, "hi").await;
    for own in [CHAT, &kept] {
        let path = format!("/api/conversations/{own}");
        let day = json!({"retention_days": 1});
        let done = server.request_as("ana", "PATCH", &path).json(&day).send().await.expect(200);
        assert_eq!(done["seq"], 2);
    }
    for (of, first) in [(&*plain, 1), (&*kept, 2), (CHAT, 2)] {
        for seen in (first..first + 260).step_by(10) {
            let message = |n: u64| (frames::new_id(), frames::text(&format!("thing {n}")));
            let ten: Vec<_> = (seen..seen + 10).map(message).collect();
            let sent = ana.ask(&frames::send_several(of, seen, &ten)).await;
            assert_eq!(sent["results"][9]["seq"], seen + 10, "{sent}");
        }
    }
    let reads = async |of: &str, after: u64| {
        let path = format!("/api/conversations/{of}/messages?after={after}&limit=100");
        server.get("bo", &path).await.expect(200)["messages"].as_array().unwrap().len()
    };
    until("one has nothing left", async || reads(&plain, 0).await == 0).await;
    for own in [CHAT, &kept] {
        let folder = server.data().join("archive").join(own);
        until("some of the others is archived", async || folder.is_dir()).await;
        assert_eq!((reads(own, 0).await, reads(own, 200).await), (100, 62), "{own}");
    }
}
