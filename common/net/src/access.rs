//! Who may do what: the tokens that a coordinator accepts, in files that can be added and taken away while it runs.
//!
//! ```text
//! tokens/worker/NAME    a token with which workers join
//! tokens/submit/NAME    a token with which people submit and steer studies
//! ```
//!
//! A file holds the token, and on a second line, if it is to end, `until 2027-01-31T00:00:00Z`. Only its owner may read it.
//! A worker's token submits nothing and a submitter's joins nothing, so that a stolen one does the least harm.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use crate::durable;
use crate::token::{Token, TokenError};

/// How old what was read of the folder may be.
const FRESH: Duration = Duration::from_secs(1);
/// Name of the tokens that are made with the folder.
const FIRST: &str = "default";

/// What a token is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// Joining as a worker.
    Worker,
    /// Submitting and steering studies.
    Submit,
}

impl Role {
    const ALL: [Self; 2] = [Self::Worker, Self::Submit];

    /// Who has such a token.
    pub fn who(self) -> &'static str {
        match self {
            Self::Worker => "worker",
            Self::Submit => "submitter",
        }
    }

    /// Its folder.
    pub fn name(self) -> &'static str {
        match self {
            Self::Worker => "worker",
            Self::Submit => "submit",
        }
    }
}

/// Why somebody is not let in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// Nothing was shown.
    #[error("no token; show a {0}'s (--token-file)")]
    None(&'static str),
    /// It is not known.
    #[error("a wrong token; show a {0}'s (--token-file)")]
    Wrong(&'static str),
    /// It was good once.
    #[error("the token `{0}` has expired; ask for a new one")]
    Expired(String),
    /// It is for something else.
    #[error("a {is}'s token, where a {wanted}'s is needed")]
    Other {
        /// What it is for.
        is: &'static str,
        /// What was wanted.
        wanted: &'static str,
    },
}

/// The tokens of a coordinator.
#[derive(Debug, Clone)]
pub struct Access {
    folder: Arc<Path>,
    known: Arc<Mutex<Known>>,
}

#[derive(Debug)]
struct Known {
    read: Instant,
    /// By the hash of the header that shows it, so that a comparison tells nothing by its time.
    tokens: HashMap<[u8; 32], Entry>,
}

#[derive(Debug, Clone)]
struct Entry {
    name: String,
    roles: Vec<Role>,
    until: Option<SystemTime>,
}

impl Access {
    /// Opens the folder, and makes it with one token for each role if it is not there.
    ///
    /// # Errors
    /// When a file cannot be read or made, others may read it, or it holds no token.
    pub fn open(folder: &Path) -> Result<Self, TokenError> {
        if !folder.exists() {
            make(folder)?;
        }
        let known = Known { read: Instant::now(), tokens: read(folder)? };
        Ok(Self { folder: folder.into(), known: Arc::new(Mutex::new(known)) })
    }

    /// The file of the token that was made with the folder.
    pub fn file(&self, role: Role) -> PathBuf {
        self.folder.join(role.name()).join(FIRST)
    }

    /// Whether what is shown in the `authorization` header is good for this at `now`.
    ///
    /// # Errors
    /// When it is not.
    pub fn check(&self, role: Role, header: Option<&str>, now: SystemTime) -> Result<(), Denied> {
        let header = header.ok_or(Denied::None(role.who()))?;
        let entry = self.find(header).ok_or(Denied::Wrong(role.who()))?;
        if !entry.roles.contains(&role) {
            let is = entry.roles.first().map_or("", |role| role.who());
            return Err(Denied::Other { is, wanted: role.who() });
        }
        match entry.until {
            Some(until) if until <= now => Err(Denied::Expired(entry.name)),
            _ => Ok(()),
        }
    }

    /// Whether it is good for anything at `now`.
    ///
    /// # Errors
    /// When it is not.
    pub fn check_any(&self, header: Option<&str>, now: SystemTime) -> Result<(), Denied> {
        self.check(Role::Submit, header, now).or_else(|denied| match denied {
            Denied::Other { .. } => self.check(Role::Worker, header, now),
            denied => Err(denied),
        })
    }

    fn find(&self, header: &str) -> Option<Entry> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.read.elapsed() > FRESH {
            // What cannot be read now was good a second ago; an administrator is writing it.
            match read(&self.folder) {
                Ok(tokens) => known.tokens = tokens,
                Err(error) => tracing::warn!(%error, "the tokens are as they were"),
            }
            known.read = Instant::now();
        }
        known.tokens.get(blake3::hash(header.as_bytes()).as_bytes()).cloned()
    }
}

/// Makes the folder with its first tokens, at once: of several coordinators that share it and come together one makes it, and
/// what somebody has read of it stays true.
fn make(folder: &Path) -> Result<(), TokenError> {
    let io = |source| TokenError::Io { path: folder.to_owned(), source };
    let parent = folder.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(parent).map_err(io)?;
    // Only this user may enter it.
    let made = tempfile::Builder::new().prefix(".tokens-").tempdir_in(parent).map_err(io)?;
    for role in Role::ALL {
        let of_role = made.path().join(role.name());
        durable::private_folder(&of_role).map_err(io)?;
        Token::create(&of_role.join(FIRST))?;
    }
    match fs::rename(made.path(), folder) {
        Ok(()) => durable::sync_folder(parent).map_err(io),
        Err(_) if folder.exists() => Ok(()),
        Err(source) => Err(io(source)),
    }
}

fn read(folder: &Path) -> Result<HashMap<[u8; 32], Entry>, TokenError> {
    let mut tokens: HashMap<[u8; 32], Entry> = HashMap::new();
    for role in Role::ALL {
        let of_role = folder.join(role.name());
        let io = |source| TokenError::Io { path: of_role.clone(), source };
        let files = match fs::read_dir(&of_role) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            files => files.map_err(io)?,
        };
        for file in files {
            let path = file.map_err(io)?.path();
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            // A temporary file of somebody who is writing one.
            if name.starts_with('.') {
                continue;
            }
            let (token, until) = Token::load_until(&path)?;
            let entry = tokens.entry(*blake3::hash(token.header().as_bytes()).as_bytes());
            entry.or_insert_with(|| Entry { name, roles: Vec::new(), until }).roles.push(role);
        }
    }
    Ok(tokens)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(access: &Access, role: Role) -> String {
        Token::load(&access.file(role)).unwrap().header()
    }

    #[test]
    fn each_token_is_good_for_its_role_alone() {
        let folder = tempfile::tempdir().unwrap();
        let access = Access::open(&folder.path().join("tokens")).unwrap();
        let now = SystemTime::now();
        let (worker, submit) = (header(&access, Role::Worker), header(&access, Role::Submit));
        assert_eq!(access.check(Role::Worker, Some(&worker), now), Ok(()));
        assert_eq!(access.check(Role::Submit, Some(&submit), now), Ok(()));
        let other = access.check(Role::Submit, Some(&worker), now);
        assert_eq!(other, Err(Denied::Other { is: "worker", wanted: "submitter" }));
        assert!(access.check(Role::Worker, Some(&submit), now).is_err());
        assert_eq!(access.check(Role::Worker, Some("Bearer x"), now), Err(Denied::Wrong("worker")));
        assert_eq!(access.check(Role::Worker, None, now), Err(Denied::None("worker")));
        assert_eq!(access.check_any(Some(&worker), now), Ok(()));
        assert!(access.check_any(Some("Bearer x"), now).is_err());
    }

    #[test]
    fn of_many_that_make_the_folder_at_once_all_have_the_same_tokens() {
        for _ in 0..20 {
            let folder = tempfile::tempdir().unwrap();
            let begin = std::sync::Barrier::new(4);
            let open = || {
                begin.wait();
                let access = Access::open(&folder.path().join("tokens")).unwrap();
                (header(&access, Role::Worker), header(&access, Role::Submit))
            };
            let each: Vec<_> = std::thread::scope(|scope| {
                let all: Vec<_> = (0..4).map(|_| scope.spawn(open)).collect();
                all.into_iter().map(|one| one.join().unwrap()).collect()
            });
            assert!(each.iter().all(|tokens| *tokens == each[0]), "{each:?}");
            assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "no litter");
        }
    }

    #[test]
    fn a_token_ends_when_it_says_so_and_when_its_file_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let access = Access::open(&folder.path().join("tokens")).unwrap();
        let file = access.file(Role::Submit);
        let submit = header(&access, Role::Submit);
        let token = fs::read_to_string(&file).unwrap();
        durable::write(&file, format!("{token}\nuntil 2030-01-01T00:00:00Z\n").as_bytes()).unwrap();
        let access = Access::open(&folder.path().join("tokens")).unwrap();
        let at = |text: &str| humantime::parse_rfc3339(text).unwrap();
        assert_eq!(access.check(Role::Submit, Some(&submit), at("2029-12-31T00:00:00Z")), Ok(()));
        let expired = access.check(Role::Submit, Some(&submit), at("2030-01-01T00:00:00Z"));
        assert_eq!(expired, Err(Denied::Expired("default".into())));
        fs::remove_file(&file).unwrap();
        access.known.lock().unwrap().read = Instant::now().checked_sub(2 * FRESH).unwrap();
        let gone = access.check(Role::Submit, Some(&submit), at("2029-12-31T00:00:00Z"));
        assert_eq!(gone, Err(Denied::Wrong("submitter")));
    }

    #[test]
    fn a_line_that_is_no_time_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let tokens = folder.path().join("tokens");
        let file = Access::open(&tokens).unwrap().file(Role::Worker);
        let token = fs::read_to_string(&file).unwrap();
        durable::write(&file, format!("{token}\nuntil tomorrow\n").as_bytes()).unwrap();
        assert!(matches!(Access::open(&tokens), Err(TokenError::Malformed(_))));
    }
    /// Nothing but a token as it stands in its file opens a door, and whatever stands in a file stops nobody else.
    #[test]
    fn what_is_almost_a_token_opens_nothing() {
        use rand::{RngExt, SeedableRng};
        let folder = tempfile::tempdir().unwrap();
        let access = Access::open(&folder.path().join("tokens")).unwrap();
        let (now, good) = (SystemTime::now(), header(&access, Role::Worker));
        let mut draws = rand::rngs::StdRng::seed_from_u64(1);
        for _ in 0..2_000 {
            let mut shown: Vec<char> = good.chars().collect();
            for _ in 0..draws.random_range(1..4) {
                let at = draws.random_range(0..shown.len());
                match draws.random_range(0..3) {
                    0 => drop(shown.remove(at)),
                    1 => shown.insert(at, draws.random()),
                    _ => shown[at] = draws.random(),
                }
            }
            let shown: String = shown.into_iter().collect();
            let let_in = access.check(Role::Worker, Some(&shown), now).is_ok();
            assert!(shown == good || !let_in, "{shown:?}");
            assert!(access.check(Role::Submit, Some(&shown), now).is_err());
        }
        let file = access.file(Role::Worker).with_file_name("other");
        for _ in 0..500 {
            let mut bytes = vec![b'a'; 40];
            bytes.extend(b"\nuntil 2030-01-01T00:00:00Z\n");
            for _ in 0..draws.random_range(0..6) {
                let at = draws.random_range(0..bytes.len());
                bytes[at] = draws.random();
            }
            bytes.truncate(draws.random_range(0..=bytes.len()));
            durable::write(&file, &bytes).unwrap();
            if let Ok((token, _)) = Token::load_until(&file) {
                assert!(token.header().len() >= "Bearer ".len() + 32);
            }
            access.known.lock().unwrap().read = Instant::now().checked_sub(2 * FRESH).unwrap();
            assert_eq!(access.check(Role::Worker, Some(&good), now), Ok(()));
        }
    }
}
