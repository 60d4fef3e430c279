//! What people were told and what their devices hold, against the log: no acknowledged message lost, none doubled, no
//! place empty, and every member's device has all of it.

use std::collections::{BTreeMap, HashMap};

use petrel_test_client::Person;
use petrel_test_client::person::{Acknowledged, Composed, Held};
use serde::Serialize;
use serde_json::Value;

/// A conversation's log, as the server has it in the end.
#[derive(Clone, Debug)]
pub struct Log {
    /// Which.
    pub conversation: String,
    /// Who must hold it.
    pub members: Vec<String>,
    /// Its entries, as they were read.
    pub entries: Vec<Value>,
}

/// What a person has written down.
#[derive(Clone, Debug)]
pub struct Books {
    /// Who.
    pub user: String,
    /// What he wrote.
    pub composed: Vec<Composed>,
    /// What he was told.
    pub acknowledged: Vec<Acknowledged>,
    /// What his device holds, by conversation, from its first place on.
    pub held: BTreeMap<String, Vec<Held>>,
    /// What he noticed himself.
    pub problems: Vec<String>,
}

impl From<Person> for Books {
    fn from(person: Person) -> Self {
        let held = person.logs().map(|(of, log)| (of.to_owned(), log.entries().to_vec()));
        let held = held.collect();
        let Person { user, composed, acknowledged, problems, .. } = person;
        Self { user, composed, acknowledged, held, problems }
    }
}

/// How much was compared.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Checked {
    /// Conversations.
    pub conversations: usize,
    /// Entries of their logs.
    pub entries: usize,
    /// Acknowledged messages.
    pub acknowledged: usize,
    /// Entries on devices.
    pub held: usize,
}

/// Compares, and returns every promise that was not kept. All that was written must stand: whoever wrote it has sent it
/// until it was acknowledged.
pub fn check(logs: &[Log], people: &[Books]) -> (Checked, Vec<String>) {
    let mut checked = Checked { conversations: logs.len(), ..Checked::default() };
    let mut problems: Vec<String> = people.iter().flat_map(|p| p.problems.clone()).collect();
    let books: HashMap<&str, &Books> = people.iter().map(|p| (p.user.as_str(), p)).collect();
    // Where each message stands, by its sender and id.
    let mut places: HashMap<(&str, &str, &str), &Value> = HashMap::new();
    for Log { conversation, members, entries } in logs {
        checked.entries += entries.len();
        for (n, entry) in entries.iter().enumerate() {
            if entry["seq"].as_u64() != Some(n as u64 + 1) {
                let seq = &entry["seq"];
                problems.push(format!("{conversation}: {seq} stands where {} should", n + 1));
            }
            let text = |field: &str| entry[field].as_str().unwrap_or_default();
            let key = (conversation.as_str(), text("sender_id"), text("message_id"));
            if let Some(other) = places.insert(key, entry) {
                let (first, second) = (&other["seq"], &entry["seq"]);
                problems.push(format!(
                    "{conversation}: {} stands twice, at {first} and {second}",
                    key.2
                ));
            }
        }
        let all: Vec<Held> = entries.iter().map(Held::of).collect();
        for member in members {
            let held = books.get(member.as_str()).and_then(|b| b.held.get(conversation));
            let held = held.map_or(&[][..], Vec::as_slice);
            checked.held += held.len();
            if held != all {
                let at = held.iter().zip(&all).take_while(|(a, b)| a == b).count();
                problems.push(format!(
                    "{conversation}: {member} holds {} entries of {}, the same up to {at}",
                    held.len(),
                    all.len()
                ));
            }
        }
    }
    for person in people {
        let user = person.user.as_str();
        checked.acknowledged += person.acknowledged.len();
        for Acknowledged { conversation, id, seq, sent_at } in &person.acknowledged {
            let stands = places.get(&(&**conversation, user, id.as_str()));
            let place = stands.map(|e| (e["seq"].as_u64(), e["sent_at"].as_u64()));
            if place != Some((Some(*seq), Some(*sent_at))) {
                problems.push(format!(
                    "{conversation}: {id} was acknowledged at {seq}; it stands at {place:?}"
                ));
            }
        }
        let mut last: HashMap<&str, u64> = HashMap::new();
        for Composed { conversation, id, text } in &person.composed {
            let Some(entry) = places.remove(&(&**conversation, user, id.as_str())) else {
                problems.push(format!("{conversation}: {id} of {user} is not there"));
                continue;
            };
            if entry["content"]["text"] != text.as_str() {
                problems.push(format!("{conversation}: {id} of {user} has another text"));
            }
            let seq = entry["seq"].as_u64().unwrap_or_default();
            let before = last.insert(conversation, seq).unwrap_or_default();
            if seq < before {
                problems.push(format!("{conversation}: {id} of {user} stands before {before}"));
            }
        }
    }
    // What is left nobody wrote; the server itself writes who joins.
    let strange = places.into_values().filter(|e| e["content"]["type"] != "system");
    problems.extend(strange.map(|e| format!("nobody wrote {e}")));
    (checked, problems)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const OF: &str = "d:ana:bo";

    fn entry(seq: u64, text: &str) -> Value {
        json!({"seq": seq, "message_id": format!("id of {text}"), "sender_id": "ana", "sent_at": 7,
            "content": {"type": "text", "text": text}})
    }

    /// A log of two, and people who were told of it and hold it.
    fn sound() -> (Vec<Log>, Vec<Books>) {
        let entries = vec![entry(1, "one"), entry(2, "two")];
        let held: Vec<Held> = entries.iter().map(Held::of).collect();
        let books = |user: &str| Books {
            user: user.to_owned(),
            composed: vec![],
            acknowledged: vec![],
            held: [(OF.to_owned(), held.clone())].into(),
            problems: vec![],
        };
        let mut people = vec![books("ana"), books("bo")];
        for (n, text) in ["one", "two"].into_iter().enumerate() {
            let (conversation, id) = (OF.into(), format!("id of {text}"));
            people[0].composed.push(Composed { conversation, id: id.clone(), text: text.into() });
            let (conversation, seq) = (OF.into(), n as u64 + 1);
            people[0].acknowledged.push(Acknowledged { conversation, id, seq, sent_at: 7 });
        }
        let members = vec!["ana".to_owned(), "bo".to_owned()];
        (vec![Log { conversation: OF.to_owned(), members, entries }], people)
    }

    type Spoil = fn(&mut Log, &mut Vec<Books>);

    #[test]
    fn what_is_sound_is_called_so() {
        let (logs, people) = sound();
        let (checked, problems) = check(&logs, &people);
        assert_eq!(problems, [""; 0]);
        assert_eq!((checked.entries, checked.acknowledged, checked.held), (2, 2, 4));
    }

    #[test]
    fn every_broken_promise_is_found() {
        let table: [(&str, Spoil); 9] = [
            ("was acknowledged at 2; it stands at None", |log, _| {
                log.entries.pop();
            }),
            ("is not there", |log, people| {
                log.entries.pop();
                people[0].acknowledged.pop();
            }),
            ("stands twice, at 1 and 3", |log, _| log.entries.push(entry(3, "one"))),
            ("3 stands where 2 should", |log, _| log.entries[1]["seq"] = 3.into()),
            ("was acknowledged at 1; it stands at Some((Some(2)", |log, _| {
                log.entries = vec![entry(1, "two"), entry(2, "one")];
            }),
            ("stands before 2", |log, _| log.entries = vec![entry(1, "two"), entry(2, "one")]),
            ("bo holds 1 entries of 2, the same up to 1", |_, people| {
                people[1].held.values_mut().for_each(|held| held.truncate(1));
            }),
            ("has another text", |log, _| log.entries[1]["content"]["text"] = "too".into()),
            ("nobody wrote", |log, _| log.entries.push(entry(3, "three"))),
        ];
        for (says, spoil) in table {
            let (mut logs, mut people) = sound();
            spoil(&mut logs[0], &mut people);
            let (_, problems) = check(&logs, &people);
            assert!(problems.iter().any(|p| p.contains(says)), "{says:?} is not in {problems:?}");
        }
        let (logs, mut people) = sound();
        people[1].problems.push("bo holds 9 of d:ana:bo, which ends at 2".to_owned());
        assert_eq!(check(&logs, &people).1, people[1].problems);
    }
}
