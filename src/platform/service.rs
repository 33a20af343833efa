//! What the service manager is told: the `sd_notify` protocol, and nothing where there is no manager.
//!
//! The state of the service goes to the datagram socket that `NOTIFY_SOCKET` names (`sd_notify(3)`). A manager that
//! set a watchdog by `WATCHDOG_USEC` hears twice in that time that the service lives (`sd_watchdog_enabled(3)`).
//! A failure is never the daemon's problem: the manager's own timeout is what notices it.

use crate::clock::{self, Boot, Now};
use core::time::Duration;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// The service manager, if there is one.
#[derive(Clone, Debug, Default)]
pub struct Service {
    socket: Option<OsString>,
    /// How often its watchdog wants to hear something.
    every: Option<Duration>,
    /// When it next wants to.
    due: Boot,
}

impl Service {
    /// The manager that started this process, by `NOTIFY_SOCKET`.
    pub fn from_environment() -> Self {
        let socket = std::env::var_os("NOTIFY_SOCKET").filter(|name| !name.is_empty());
        let number = |name| std::env::var(name).ok()?.parse::<u64>().ok();
        let pid = number("WATCHDOG_PID");
        let is_ours = pid.is_none_or(|pid| pid == u64::from(std::process::id()));
        let micros = number("WATCHDOG_USEC").filter(|micros| is_ours && *micros > 0);
        let every = micros.filter(|_| socket.is_some()).map(|us| Duration::from_micros(us) / 2);
        Self { socket, every, due: Boot::default() }
    }

    /// The manager that listens at a socket: a path, or `@NAME` for an abstract one.
    pub fn at(socket: impl Into<OsString>) -> Self {
        Self { socket: Some(socket.into()), ..Self::default() }
    }

    /// Sets a watchdog that wants to hear something this often.
    #[must_use]
    pub fn watched(self, every: Duration) -> Self {
        Self { every: Some(every), ..self }
    }

    /// Start-up or a reload is complete.
    pub fn ready(&self) {
        self.tell("READY=1");
    }

    /// The configuration is being read again; [`Service::ready`] ends it.
    pub fn reloading(&self, now: Now) {
        // The manager wants CLOCK_MONOTONIC, which stands still in suspend.
        let monotonic = now.boot.0.saturating_sub(clock::suspended());
        self.tell(&format!("RELOADING=1\nMONOTONIC_USEC={}", monotonic.as_micros()));
    }

    /// Shut-down has begun.
    pub fn stopping(&self) {
        self.tell("STOPPING=1");
    }

    /// Tells the watchdog that whoever calls this lives, when that is due. Gives back when it is due next: never where
    /// no watchdog was set, so that it costs nothing there.
    pub fn alive(&mut self, now: Now) -> Option<Boot> {
        let every = self.every?;
        if now.boot >= self.due {
            self.tell("WATCHDOG=1");
            self.due = now.boot + every;
        }
        Some(self.due)
    }

    /// One line for a person, shown by `systemctl status`.
    pub fn status(&self, line: &str) {
        self.tell(&format!("STATUS={}", line.replace(char::is_control, " ")));
    }

    fn tell(&self, message: &str) {
        let Some(socket) = &self.socket else { return };
        if let Err(error) = send(socket, message) {
            tracing::debug!(%error, "the service manager could not be told");
        }
    }
}

fn send(socket: &OsStr, message: &str) -> io::Result<()> {
    let address = match socket.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        [b'/', ..] => SocketAddr::from_pathname(socket)?,
        // `vsock:` is for virtual machines, which this is not.
        _ => return Err(io::ErrorKind::Unsupported.into()),
    };
    let sender = UnixDatagram::unbound()?;
    sender.set_nonblocking(true)?;
    sender.send_to_addr(message.as_bytes(), &address).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Clock, Wall};

    fn heard(socket: &UnixDatagram) -> String {
        let mut bytes = [0; 200];
        let length = socket.recv(&mut bytes).unwrap();
        String::from_utf8(bytes[..length].to_vec()).unwrap()
    }

    #[test]
    fn the_manager_hears_every_state() {
        let path = crate::platform::root::tests::scratch("notify").join("socket");
        let manager = UnixDatagram::bind(&path).unwrap();
        let service = Service::at(&path);
        service.ready();
        assert_eq!(heard(&manager), "READY=1");
        service.status("two\nlines");
        assert_eq!(heard(&manager), "STATUS=two lines");
        service.reloading(Clock::system(Wall::default()).now());
        let text = heard(&manager);
        let micros = text.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").unwrap();
        assert!(micros.parse::<u64>().unwrap() > 0);
        service.stopping();
        assert_eq!(heard(&manager), "STOPPING=1");
    }

    #[test]
    fn a_watchdog_hears_that_the_service_lives_when_that_is_due() {
        let path = crate::platform::root::tests::scratch("watchdog").join("socket");
        let manager = UnixDatagram::bind(&path).unwrap();
        manager.set_nonblocking(true).unwrap();
        let clock = Clock::system(Wall::default());
        let (begun, every) = (clock.now(), Duration::from_secs(30));
        let mut service = Service::at(&path).watched(every);
        assert_eq!(service.alive(begun), Some(begun.boot + every));
        assert_eq!(heard(&manager), "WATCHDOG=1");
        let later = |seconds| Now { boot: begun.boot + Duration::from_secs(seconds), ..begun };
        assert_eq!(service.alive(later(29)), Some(begun.boot + every));
        assert!(manager.recv(&mut [0; 9]).is_err(), "it was told before it was due");
        assert_eq!(service.alive(later(31)), Some(later(61).boot));
        assert_eq!(heard(&manager), "WATCHDOG=1");
        assert_eq!(Service::at(&path).alive(begun), None, "nobody set this one");
    }

    #[test]
    fn abstract_sockets_work_and_no_manager_is_no_failure() {
        let name = format!("qcloud-notify-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let manager = UnixDatagram::bind_addr(&address).unwrap();
        Service::at(format!("@{name}")).ready();
        assert_eq!(heard(&manager), "READY=1");
        Service::default().ready();
        Service::at("/nowhere/at/all").ready();
        Service::at("vsock:2:1").ready();
    }
}
