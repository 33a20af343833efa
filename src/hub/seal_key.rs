//! Where the key lies that seals the store: not where the store lies (promise S6).
//!
//! Whoever carries the disk with the data away, or a copy of it, has nothing without the key. That needs the key on
//! another filesystem, which the kernel tells by its device number: a stick, a credentials directory in memory, a
//! mount of another machine. Two mounts of one disk pass this test and deserve the operator's own thought.

use super::config::{Config, STORE};
use super::keys::{KeyError, load_bytes, random, write_new};
use super::seal::Seal;
use super::store::StoreError;
use super::store::sqlite::SqliteStore;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The key's name when it lies in the hub's directory.
const FILE: &str = "seal.key";

/// Why there is no key to seal with.
#[derive(Debug, thiserror::Error)]
pub enum BadSealKey {
    /// It cannot be read or made.
    #[error("the key that seals the data is not usable")]
    Key(#[from] KeyError),
    /// It is gone.
    #[error("the key that seals the data is not there: {}", .0.display())]
    Missing(PathBuf),
    /// It lies where the data lies.
    #[error("the key that seals the data lies on the same filesystem as the data: {}", .0.display())]
    Beside(PathBuf),
    /// It is another one than what is kept was sealed with.
    #[error("{} is not the key that the data was sealed with", .0.display())]
    Other(PathBuf),
    /// What it shall open.
    #[error("the store is not usable")]
    Store(#[source] StoreError),
    /// It is somebody else's.
    #[error("{} belongs to user {owner}, not to the user of the hub", .path.display())]
    Owner {
        /// The file.
        path: PathBuf,
        /// Whose it is.
        owner: u32,
    },
}

impl BadSealKey {
    /// What to do about it.
    pub fn hint(&self) -> String {
        match self {
            Self::Missing(path) | Self::Other(path) => {
                format!("put {} back from its backup: nothing else opens the data", path.display())
            }
            Self::Beside(path) => format!(
                "mv {} to another filesystem and name it in hub.toml: seal_key = \"/PATH\" \
                 (or, giving that up: seal_key_beside_data = true)",
                path.display()
            ),
            Self::Owner { path, .. } => format!("chown USER-OF-THE-HUB {}", path.display()),
            Self::Key(KeyError::Loose { path, .. }) => format!("chmod 600 {}", path.display()),
            Self::Key(_) | Self::Store(_) => {
                "qcloud-hub serve --dir DIR, once that file can be used".into()
            }
        }
    }
}

/// Where the key of a hub lies.
pub fn path(dir: &Path, config: &Config) -> PathBuf {
    config.seal_key.clone().unwrap_or_else(|| dir.join(FILE))
}

/// Makes the key of a new hub, where the configuration says.
///
/// # Errors
/// [`BadSealKey`]; nothing that is there is overwritten.
pub fn make(dir: &Path, config: &Config) -> Result<(), BadSealKey> {
    let path = path(dir, config);
    // The directory it goes into stands for it.
    apart(dir, config, path.parent().unwrap_or(dir))?;
    Ok(write_new(&path, &random::<64>()?)?)
}

/// Reads the key.
///
/// # Errors
/// [`BadSealKey`] when it is missing, no key, or open to others than the hub's user.
pub fn load(dir: &Path, config: &Config) -> Result<Seal, BadSealKey> {
    let path = path(dir, config);
    let owner = match fs::metadata(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(BadSealKey::Missing(path));
        }
        Err(source) => return Err(KeyError::File { path, what: "read", source }.into()),
        Ok(found) => found.uid(),
    };
    if owner != nix::unistd::geteuid().as_raw() {
        return Err(BadSealKey::Owner { path, owner });
    }
    Ok(Seal::new(&load_bytes(&path)?)?)
}

/// Reads the key for serving: it must lie apart from the data, unless the operator gave that up by name.
///
/// # Errors
/// [`BadSealKey`], as [`load`], and [`BadSealKey::Beside`].
pub fn load_apart(dir: &Path, config: &Config) -> Result<Seal, BadSealKey> {
    let seal = load(dir, config)?;
    apart(dir, config, &path(dir, config))?;
    Ok(seal)
}

/// Opens the store of a hub with its key.
///
/// # Errors
/// [`BadSealKey::Other`] when another key sealed it, [`BadSealKey::Store`] for all else.
pub fn open_store(
    dir: &Path,
    config: &Config,
    seal: &Arc<Seal>,
) -> Result<SqliteStore, BadSealKey> {
    match SqliteStore::open(&dir.join(STORE), seal) {
        Err(StoreError::OtherKey) => Err(BadSealKey::Other(path(dir, config))),
        opened => opened.map_err(BadSealKey::Store),
    }
}

fn apart(dir: &Path, config: &Config, key: &Path) -> Result<(), BadSealKey> {
    if config.seal_key_beside_data || crate::sabotage::off("hub-seal-apart") {
        return Ok(());
    }
    let on = |path: &Path| match fs::metadata(path) {
        Ok(found) => Ok(found.dev()),
        Err(source) => Err(KeyError::File { path: path.into(), what: "looked at", source }),
    };
    if on(key)? == on(dir)? { Err(BadSealKey::Beside(path(dir, config))) } else { Ok(()) }
}
