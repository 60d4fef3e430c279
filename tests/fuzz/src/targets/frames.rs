//! A frame a line; the first letter of a line says whose it is, the rest is the frame.

use serde_json::Value;

use crate::scene::{self, caller, check_error, wait};

/// Most frames of one input.
const MAX_FRAMES: usize = 12;

pub fn run(input: &[u8], planted: bool) {
    let (_, app) = scene::set();
    for line in input.split(|b| *b == b'\n').take(MAX_FRAMES) {
        let Some((letter, frame)) = line.split_first() else { continue };
        let Some(user) = scene::user(*letter) else { continue };
        // A socket carries text; the gateway refuses what is none.
        let Ok(frame) = std::str::from_utf8(frame) else { continue };
        for answer in wait(app.handle(&caller(user), frame)) {
            let answer: Value = serde_json::from_str(&answer.to_json()).expect("JSON");
            if answer["type"] == "error" {
                check_error(&answer);
                assert!(!planted || answer["code"] != "unknown_action", "the planted panic");
            }
            for result in answer["results"].as_array().into_iter().flatten() {
                if result.get("error").is_some() {
                    check_error(&result["error"]);
                }
            }
        }
    }
    scene::check(&app);
}
