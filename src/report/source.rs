//! Reading a box for a report: bounded, without following what others than root may have laid, and never what is
//! secret as a whole.

use super::scrub::find;
use crate::clock::{Boot, Clock};
use crate::platform::exec::{Exec, ExecError, Limits};
use crate::platform::root::Root;
use core::time::Duration;
use flate2::read::MultiGzDecoder;
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// What is not read into a report, as patterns: private keys, hashes, files of passwords. Facts about them are
/// drawn by [`super::survey`], and what is in them is looked for everywhere else by [`super::secrets`].
pub const SECRET_FILES: &[&str] = &[
    "/etc/shadow",
    "/etc/shadow-",
    "/etc/gshadow",
    "/etc/gshadow-",
    "/etc/config/shadow",
    "/etc/config/smbpasswd",
    "/etc/samba/smbpasswd",
    "/etc/samba/private/*",
    "/var/lib/samba/private/*",
    "/etc/ssl/private/*",
    "/etc/ssh/ssh_host_*_key",
    "/etc/dropbear/*_key",
    "/etc/config/ssh/ssh_host_*_key",
    "/root/.ssh/*",
    "/home/*/.ssh/*",
    "/etc/ppp/chap-secrets",
    "/etc/ppp/pap-secrets",
    "/etc/rsyncd.secrets",
    "/etc/wireguard/*",
    "/etc/luks-keys/*",
    "/etc/keys/*",
    "/etc/krb5.keytab",
    "/etc/NetworkManager/system-connections/*",
    "/etc/wpa_supplicant/*",
    "/etc/wpa_supplicant.conf",
    "/root/.netrc",
    "/home/*/.netrc",
    "/root/.pgpass",
    "/home/*/.pgpass",
    "/root/.my.cnf",
    "/home/*/.my.cnf",
    "/root/.git-credentials",
    "/home/*/.git-credentials",
    "/root/.*history",
    "/home/*/.*history",
    "/root/.aws/credentials",
    "/home/*/.aws/credentials",
    "/etc/postfix/sasl_passwd",
    "/etc/exim4/passwd.client",
    "/etc/ipsec.secrets",
    "/etc/openvpn/*",
    "/etc/config/rsyncd.secrets",
    "/etc/config/stunnel/*",
    "/etc/stunnel/*",
    "/etc/nut/upsd.users",
    "/etc/rclone.conf",
    "/root/.config/rclone/rclone.conf",
    "/etc/iscsi/iscsid.conf",
    "/etc/cifs-credentials",
    "/root/.smbcredentials",
    "/home/*/.smbcredentials",
    "/etc/libvirt/secrets/*",
    "/etc/apache2/.htpasswd",
    "/etc/nginx/.htpasswd",
    "/root/.docker/config.json",
    "/home/*/.docker/config.json",
    "/root/.npmrc",
    "/home/*/.npmrc",
    "/root/.pypirc",
    "/root/.kube/config",
    "/home/*/.kube/config",
    "/root/.config/*/*",
    "/home/*/.config/rclone/rclone.conf",
    "/root/.msmtprc",
    "/root/.fetchmailrc",
    "/root/.s3cfg",
    "/root/.vault-token",
    "/root/.gnupg/private-keys-v1.d/*",
    "/etc/ldap.secret",
    "/etc/pam_ldap.secret",
    "/etc/libnss-ldap.secret",
    "/etc/inadyn.conf",
    "/etc/ddclient.conf",
    "/etc/hostapd/*",
    "/etc/hostapd.conf",
    "/etc/freeradius/*",
    "/etc/target/saveconfig.json",
    "/etc/ietd.conf",
    "/etc/iet/ietd.conf",
    "/etc/chrony/chrony.keys",
    "/etc/chrony.keys",
    "/etc/ntp.keys",
    "/etc/bind/rndc.key",
    "/etc/rndc.key",
    "/etc/mysql/debian.cnf",
    "/etc/swanctl/*",
    "/etc/ppp/peers/*",
    "/etc/openvpn/*/*",
    "/etc/config/rpcd",
    "/etc/config/ddns",
    "/var/lib/qcloud-agent/*",
    "/etc/config/qcloud-agent/state/*",
];

/// The most paths a pattern stands for.
const MOST_MATCHES: usize = 512;
/// The parts of a rotated log that are unpacked.
const MOST_UNPACKED: u64 = 4 << 20;

/// How long a packed log may take.
const UNPACKING: Duration = Duration::from_secs(5);

/// Which part of a file is kept when it is too large.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// Its beginning.
    Head,
    /// Its end.
    Tail,
}

/// How much of a file was copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Copied {
    /// Its size.
    pub original: u64,
    /// Whether something of it is missing.
    pub cut: bool,
}

/// The files of a box.
pub struct Source {
    root: Root,
    /// Device and inode of each secret file: another name for one is refused as well.
    secret: BTreeSet<(u64, u64)>,
    clock: Clock,
    until: Boot,
}

impl Source {
    /// The files below a root, until so long from now.
    pub fn new(root: &Root, clock: &Clock, time: Duration) -> Self {
        let until = clock.now().boot + time;
        let mut source =
            Self { root: root.clone(), secret: BTreeSet::new(), clock: clock.clone(), until };
        for pattern in SECRET_FILES {
            for path in source.matches(pattern) {
                let known = source.root.open_file(&path).and_then(|file| file.metadata());
                source.secret.extend(known.map(|known| (known.dev(), known.ino())));
            }
        }
        source
    }

    /// Whose files these are.
    pub fn root(&self) -> &Root {
        &self.root
    }

    /// The clock it goes by.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Whether its time is over.
    pub fn is_late(&self) -> bool {
        self.clock.now().boot > self.until
    }

    /// The paths a pattern stands for, in order: `*` is any part of a name.
    pub fn matches(&self, pattern: &str) -> Vec<String> {
        let mut found = vec![String::new()];
        for part in pattern.split('/').filter(|part| !part.is_empty()) {
            let mut next = Vec::new();
            for dir in &found {
                if !part.contains('*') {
                    next.push(format!("{dir}/{part}"));
                    continue;
                }
                let here = if dir.is_empty() { "/" } else { dir };
                let names = self.root.names(here).unwrap_or_default();
                let fits = names.iter().filter(|name| fits(part.as_bytes(), name.as_bytes()));
                next.extend(fits.take(MOST_MATCHES).map(|name| format!("{dir}/{name}")));
            }
            found = next;
            found.truncate(MOST_MATCHES);
        }
        if pattern.contains('*') {
            found.retain(|path| self.root.exists(path))
        }
        found
    }

    /// A system file: its links are the system's own.
    ///
    /// # Errors
    /// The system's; `PermissionDenied` for a secret file by any name; `TimedOut` when the time is over.
    pub fn open(&self, path: &str) -> io::Result<File> {
        self.allowed(self.root.open_file(path)?, path)
    }

    /// A file that others than root may have put there: no part of its path below `dir` is a link, and it has one
    /// name only.
    ///
    /// # Errors
    /// As [`Source::open`].
    pub fn open_log(&self, dir: &str, relative: &Path) -> io::Result<File> {
        let file = self.root.open_below(dir, relative)?;
        if file.metadata()?.nlink() > 1 && !crate::sabotage::off("report-links") {
            return Err(denied("it has several names, one of which may be a secret file's"));
        }
        self.allowed(file, "")
    }

    fn allowed(&self, file: File, path: &str) -> io::Result<File> {
        if self.is_late() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        let known = file.metadata()?;
        let is_secret = self.secret.contains(&(known.dev(), known.ino())) || is_secret_path(path);
        if is_secret && !crate::sabotage::off("report-secret-files") {
            return Err(denied("it holds secrets"));
        }
        Ok(file)
    }

    /// Copies at most `cap` bytes of a file; one that ends in `.gz` is unpacked.
    ///
    /// # Errors
    /// The system's own, and those of `to`.
    pub fn copy(
        &self,
        mut file: File,
        name: &Path,
        (cap, keep): (u64, Keep),
        to: &mut dyn Write,
    ) -> io::Result<Copied> {
        let original = file.metadata()?.len();
        if name.extension().is_some_and(|extension| extension == "gz") {
            let mut unpacked = MultiGzDecoder::new(file).take(MOST_UNPACKED.min(cap) + 1);
            let copied = self.pour(&mut unpacked, to)?;
            return Ok(Copied { original, cut: copied > cap });
        }
        if let Some(argv) = unpacker(name) {
            return unpacked(argv, file, cap, to).map(|cut| Copied { original, cut });
        }
        // Files of /proc and /sys say nothing of their size, or a page of it.
        let cut = original > cap;
        if cut && keep == Keep::Tail {
            file.seek(SeekFrom::Start(original - cap))?;
        }
        let copied = self.pour(&mut file.take(cap), to)?;
        Ok(Copied { original: original.max(copied), cut })
    }

    fn pour(&self, from: &mut dyn Read, to: &mut dyn Write) -> io::Result<u64> {
        let mut buffer = vec![0; 64 * 1024];
        let mut all = 0_u64;
        loop {
            let read = match from.read(&mut buffer) {
                Ok(0) => return Ok(all),
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            to.write_all(buffer.get(..read).unwrap_or_default())?;
            all += u64::try_from(read).unwrap_or_default();
            if self.is_late() {
                return Err(io::ErrorKind::TimedOut.into());
            }
        }
    }

    /// The regular files below a directory, that bear one of these beginnings.
    pub fn logs(&self, dir: &str, beginnings: &[&str]) -> Vec<PathBuf> {
        let mut found = Vec::new();
        for name in self.root.names_below(dir, Path::new("")).unwrap_or_default() {
            if beginnings.iter().any(|begin| name.as_bytes().starts_with(begin.as_bytes())) {
                found.push(PathBuf::from(&name));
            }
        }
        found
    }
}

/// The box's own program for a kind of packed log, with a bound for its memory. Nothing else here unpacks them: the
/// decoders would add 140 KB to a program that is on every box (lzma-rust2 0.25 57 KB, ruzstd 0.9 86 KB, 2026-11-22).
fn unpacker(name: &Path) -> Option<&'static [&'static str]> {
    match name.extension()?.to_str()? {
        "xz" => Some(&["xz", "-dc", "--memlimit-decompress=16MiB"]),
        "zst" => Some(&["zstd", "-dcq", "--memory=16MB"]),
        "bz2" => Some(&["bzip2", "-dcs"]),
        _ => None,
    }
}

/// Unpacks a file that is open already; gives whether something of it is missing.
fn unpacked(argv: &[&str], file: File, cap: u64, to: &mut dyn Write) -> io::Result<bool> {
    let limits = Limits { timeout: UNPACKING, output_bytes: cap };
    let output = Exec.run_blocking_on(argv, file.into(), limits);
    let program = argv.first().copied().unwrap_or_default();
    let output = output.map_err(|error| match error {
        ExecError::Start { .. } => {
            io::Error::other(format!("it is packed, and this box has no `{program}`"))
        }
        error @ (ExecError::Empty | ExecError::Read { .. } | ExecError::Timeout { .. }) => {
            io::Error::other(error.to_string())
        }
    })?;
    to.write_all(&output.stdout)?;
    if output.status.is_some() && !output.succeeded() {
        return Err(io::Error::other(format!("`{program}` could not unpack all of it")));
    }
    Ok(output.status.is_none())
}

fn denied(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::PermissionDenied, why)
}

/// Whether a path is one of the secret files' own.
pub fn is_secret_path(path: &str) -> bool {
    SECRET_FILES.iter().any(|pattern| {
        let (mut names, mut parts) = (path.split('/'), pattern.split('/'));
        loop {
            match (names.next(), parts.next()) {
                (None, None) => return true,
                (Some(name), Some(part)) if fits(part.as_bytes(), name.as_bytes()) => {}
                _ => return false,
            }
        }
    })
}

/// Whether a name fits a pattern with `*` in it; a hidden name only where the pattern begins with its dot.
pub fn fits(pattern: &[u8], name: &[u8]) -> bool {
    if name.starts_with(b".") && !pattern.starts_with(b".") {
        return false;
    }
    let mut pieces = pattern.split(|byte| *byte == b'*');
    let first = pieces.next().unwrap_or_default();
    let Some(mut rest) = name.strip_prefix(first) else { return false };
    let mut last = None;
    for piece in pieces {
        if let Some(before) = last.replace(piece) {
            let Some(at) = find(rest, before) else { return false };
            rest = rest.get(at + before.len()..).unwrap_or_default();
        }
    }
    match last {
        None => rest.is_empty(),
        Some(last) => rest.ends_with(last),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_stands_for_names_as_a_shell_takes_it() {
        for (pattern, name) in [
            ("*", "a"),
            ("a*", "a"),
            ("*_key", "ssh_key"),
            (".*history", ".bash_history"),
            ("a*b*c", "axbyc"),
        ] {
            assert!(fits(pattern.as_bytes(), name.as_bytes()), "{pattern} {name}");
        }
        for (pattern, name) in
            [("*", ".a"), ("a", "ab"), ("*_key", "key_"), ("a*b", "a"), ("ab*b", "ab")]
        {
            assert!(!fits(pattern.as_bytes(), name.as_bytes()), "{pattern} {name}");
        }
    }
}
