//! Tokens for the people of a load: signed here with the server's key, or made by a command that knows how.

use std::fs;
use std::path::Path;
use std::process::Stdio;

use petrel_test_client::Token;
use tokio::process::Command;

use crate::Result;

/// Stands for the user's id in a command.
pub const USER: &str = "{user}";

/// Where tokens come from.
#[derive(Debug)]
pub enum Tokens {
    /// Signed here with the key of a local server.
    Key(Vec<u8>),
    /// What this command prints, with [`USER`] replaced.
    Command(String),
}

impl Tokens {
    /// With the key in this file, as it lies in a local server's data folder.
    pub fn of_key_file(file: &Path) -> Result<Self> {
        let key =
            fs::read(file).map_err(|e| format!("cannot read the key {}: {e}", file.display()))?;
        Ok(Self::Key(key))
    }

    /// A token for this user.
    pub async fn of(&self, user: &str) -> Result<String> {
        match self {
            Self::Key(key) => Ok(Token::of(user).signed(key)),
            Self::Command(command) => {
                let command = command.replace(USER, user);
                let output = Command::new("sh")
                    .args(["-c", &command])
                    .stdin(Stdio::null())
                    .stderr(Stdio::inherit())
                    .output()
                    .await?;
                let token = String::from_utf8(output.stdout)?.trim().to_owned();
                if !output.status.success() || token.is_empty() {
                    return Err(format!("no token from `{command}` ({})", output.status).into());
                }
                Ok(token)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_command_is_asked_for_each_user_and_must_answer() {
        let echo = Tokens::Command("echo token-of-{user}".to_owned());
        assert_eq!(echo.of("ana").await.unwrap(), "token-of-ana");
        for bad in ["exit 1", "echo oh; exit 1", "true"] {
            assert!(Tokens::Command(bad.to_owned()).of("ana").await.is_err(), "{bad}");
        }
    }

    #[test]
    fn a_key_that_is_not_there_is_named() {
        let error = Tokens::of_key_file(Path::new("no/key")).unwrap_err();
        assert!(error.to_string().contains("no/key"), "{error}");
    }
}
