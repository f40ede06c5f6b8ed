//! The shared secret between a coordinator and those who may speak to it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::durable;

/// A bearer token. Never shown: its `Debug` form hides it.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The file system.
    #[error("cannot use the token file {path}: {source}")]
    Io {
        /// Which file.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
    /// Others may read it.
    #[error("the token file {0} may be read by other users; make it private with `chmod 600`")]
    NotPrivate(PathBuf),
    /// It holds something else.
    #[error(
        "the token file {0} does not hold a token (at least 32 letters or digits; below it, if it is to end, `until \
         2027-01-31T00:00:00Z`); remove it, and start the coordinator again"
    )]
    Malformed(PathBuf),
}

impl Token {
    /// Draws one, and writes it to a file that only this user may read.
    pub(crate) fn create(path: &Path) -> Result<Self, TokenError> {
        let bytes: [u8; 32] = rand::random();
        let token: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        // Temporary files are made with mode 0600, and the rename keeps it.
        durable::write(path, token.as_bytes())
            .map_err(|source| TokenError::Io { path: path.to_owned(), source })?;
        Ok(Self(token))
    }

    /// Reads the token file.
    ///
    /// # Errors
    /// When it cannot be read, others may read it, or it holds no token.
    pub fn load(path: &Path) -> Result<Self, TokenError> {
        Ok(Self::load_until(path)?.0)
    }

    /// Reads the token file, and until when the token is good if that is said on a second line.
    ///
    /// # Errors
    /// When it cannot be read, others may read it, or it holds no token.
    pub(crate) fn load_until(path: &Path) -> Result<(Self, Option<SystemTime>), TokenError> {
        let io = |source| TokenError::Io { path: path.to_owned(), source };
        let malformed = || TokenError::Malformed(path.to_owned());
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            if fs::metadata(path).map_err(io)?.permissions().mode() & 0o077 != 0 {
                return Err(TokenError::NotPrivate(path.to_owned()));
            }
        }
        let text = fs::read_to_string(path).map_err(io)?;
        let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let token = lines.next().unwrap_or_default();
        if token.len() < 32 || token.len() > 4096 || !token.chars().all(|c| c.is_ascii_alphanumeric()) {
            return Err(malformed());
        }
        let until = match lines.next().map(|line| line.strip_prefix("until ")) {
            None => None,
            Some(Some(time)) => Some(humantime::parse_rfc3339(time).map_err(|_| malformed())?),
            Some(None) => return Err(malformed()),
        };
        Ok((Self(token.to_owned()), until))
    }

    /// The value of the `authorization` header.
    pub fn header(&self) -> String {
        format!("Bearer {}", self.0)
    }

    /// Whether a header carries this token; takes the same time wherever they differ.
    pub fn matches(&self, header: &str) -> bool {
        let expected = blake3::hash(self.header().as_bytes());
        // Comparison of blake3 hashes is constant-time.
        expected == blake3::hash(header.as_bytes())
    }
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(hidden)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_private_and_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        let token = Token::create(&path).unwrap();
        assert_eq!(Token::load(&path).unwrap(), token);
        assert!(token.matches(&token.header()));
        assert!(!token.matches("Bearer wrong"));
        assert!(!format!("{token:?}").contains(&token.0));
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(matches!(Token::load(&path), Err(TokenError::NotPrivate(_))));
    }
}
