//! A power supply that fails where it is told to: before any change of the disk, before a request reaches the hub, or
//! after the hub has answered. And a disk that keeps of unsynced changes what it likes.

use qcloud_agent::state::{Change, Watch};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};

/// What is left of changes that were not synced before the power went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    /// All of them.
    Everything,
    /// None: neither names nor bytes.
    Nothing,
    /// The names, but not the bytes: what file systems with delayed allocation are known for.
    Names,
    /// The bytes, but not the names.
    Bytes,
}

pub const LEFT: [Left; 4] = [Left::Everything, Left::Nothing, Left::Names, Left::Bytes];

/// One power supply of a device with one disk.
#[derive(Clone, Default)]
pub struct Power(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    steps: u64,
    cut: Option<u64>,
    gone: bool,
    what: String,
    names: BTreeMap<OsString, usize>,
    synced_names: BTreeMap<OsString, usize>,
    files: Vec<File>,
}

#[derive(Clone, Default)]
struct File {
    bytes: Vec<u8>,
    synced: Vec<u8>,
}

impl Power {
    /// Goes away before the step of this number, counted from 0.
    pub fn cut_at(&self, step: u64) {
        self.lock().cut = Some(step);
    }

    pub fn is_gone(&self) -> bool {
        self.lock().gone
    }

    /// The steps so far.
    pub fn steps(&self) -> u64 {
        self.lock().steps
    }

    /// Before what it went.
    pub fn what(&self) -> String {
        self.lock().what.clone()
    }

    /// For [`qcloud_agent::state::StateDir::open_watched`].
    pub fn watch(&self) -> Watch {
        let power = self.clone();
        Arc::new(move |change| {
            let mut inner = power.lock();
            if !inner.passes(|| format!("{change:?}").chars().take(160).collect()) {
                return Err(io::Error::other("the power is gone"));
            }
            inner.apply(change);
            Ok(())
        })
    }

    /// One step outside the disk. Without power it never ends.
    pub async fn step(power: Option<&Self>, what: &str) {
        let passes = power.is_none_or(|power| power.lock().passes(|| what.into()));
        if !passes {
            core::future::pending::<()>().await;
        }
    }

    /// Puts what is left on a fresh disk.
    pub fn restore(&self, left: Left, dir: &Path) {
        let inner = self.lock();
        let names = match left {
            Left::Everything | Left::Names => &inner.names,
            Left::Nothing | Left::Bytes => &inner.synced_names,
        };
        std::fs::DirBuilder::new().mode(0o700).create(dir).unwrap();
        for (name, file) in names {
            let File { bytes, synced } = &inner.files[*file];
            let bytes = match left {
                Left::Everything | Left::Bytes => bytes,
                Left::Nothing | Left::Names => synced,
            };
            let mut options = std::fs::OpenOptions::new();
            let mut file =
                options.write(true).create_new(true).mode(0o600).open(dir.join(name)).unwrap();
            io::Write::write_all(&mut file, bytes).unwrap();
        }
    }

    /// A supply for a disk that holds what a directory holds.
    pub fn of(dir: &Path) -> Self {
        let power = Self::default();
        {
            let mut inner = power.lock();
            for entry in std::fs::read_dir(dir).unwrap().map(Result::unwrap) {
                let bytes = std::fs::read(entry.path()).unwrap();
                let number = inner.files.len();
                inner.files.push(File { synced: bytes.clone(), bytes });
                inner.names.insert(entry.file_name(), number);
            }
            inner.synced_names = inner.names.clone();
        }
        power
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap()
    }
}

impl Inner {
    fn passes(&mut self, what: impl FnOnce() -> String) -> bool {
        if !self.gone && self.cut == Some(self.steps) {
            self.gone = true;
            self.what = what();
        }
        self.steps += 1;
        !self.gone
    }

    fn apply(&mut self, change: Change<'_>) {
        let name = |path: &Path| path.file_name().unwrap().to_owned();
        match change {
            Change::Remove(path) => {
                self.names.remove(&name(path));
            }
            Change::Create(path) => {
                let fresh = self.files.len();
                if *self.names.entry(name(path)).or_insert(fresh) == fresh {
                    self.files.push(File::default());
                }
            }
            Change::Write(path, bytes) => self.file(path).bytes.extend_from_slice(bytes),
            Change::SyncFile(path) => {
                let file = self.file(path);
                file.synced = file.bytes.clone();
            }
            Change::Rename(from, to) => {
                let file = self.names.remove(&name(from)).unwrap();
                self.names.insert(name(to), file);
            }
            Change::SyncDirectory(_) => self.synced_names = self.names.clone(),
            Change::Cut(path, to) => {
                self.file(path).bytes.truncate(usize::try_from(to).unwrap());
            }
            Change::Wipe => {}
        }
    }

    fn file(&mut self, path: &Path) -> &mut File {
        let number = self.names[path.file_name().unwrap()];
        &mut self.files[number]
    }
}
