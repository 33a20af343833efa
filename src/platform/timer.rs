//! Timers that std and tokio do not have: one that goes on in suspend, and one that notices a set clock.
//!
//! Both are file descriptors that the kernel makes readable at the right moment. While nothing is due,
//! nothing runs.

use super::kernel::Readable;
use crate::clock::Boot;
use core::time::Duration;
use nix::errno::Errno;
use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use std::io;
use std::os::fd::{AsFd, OwnedFd};

/// Wakes at a moment of `CLOCK_BOOTTIME`: time spent in suspend counts.
pub struct WakeTimer(Timer);

impl WakeTimer {
    /// Makes one that is not armed.
    ///
    /// # Errors
    /// The system's own, for want of a file descriptor. Must be called inside a tokio runtime.
    pub fn open() -> io::Result<Self> {
        Timer::open(ClockId::CLOCK_BOOTTIME).map(Self)
    }

    /// Sets the moment, or disarms with `None`. A moment that has passed is due at once.
    ///
    /// # Errors
    /// The system's own.
    pub fn arm(&self, at: Option<Boot>) -> io::Result<()> {
        let timer = &self.0.timer;
        let Some(at) = at else { return Ok(timer.unset()?) };
        // Zero would disarm (timerfd_settime(2)).
        let at = TimeSpec::from_duration(at.0.max(Duration::from_nanos(1)));
        Ok(timer.set(Expiration::OneShot(at), TimerSetTimeFlags::TFD_TIMER_ABSTIME)?)
    }

    /// Waits for the armed moment, for ever when there is none. Cancel-safe.
    ///
    /// # Errors
    /// The system's own.
    pub async fn fired(&self) -> io::Result<()> {
        self.0.wait().await
    }
}

/// Notices that the wall clock was set, by a person, by NTP's step or by a resume.
pub struct ClockJump(Timer);

impl ClockJump {
    /// Begins to watch.
    ///
    /// # Errors
    /// The system's own. Must be called inside a tokio runtime.
    pub fn open() -> io::Result<Self> {
        let this = Self(Timer::open(ClockId::CLOCK_REALTIME)?);
        this.rearm()?;
        Ok(this)
    }

    /// Waits until the wall clock is set; slewing does not count. Cancel-safe.
    ///
    /// # Errors
    /// The system's own.
    pub async fn jumped(&self) -> io::Result<()> {
        self.0.wait().await?;
        self.rearm()
    }

    fn rearm(&self) -> io::Result<()> {
        let never = Expiration::OneShot(TimeSpec::new(largest(), 0));
        let flags =
            TimerSetTimeFlags::TFD_TIMER_ABSTIME | TimerSetTimeFlags::TFD_TIMER_CANCEL_ON_SET;
        Ok(self.0.timer.set(never, flags)?)
    }
}

/// The last second that the kernel's type can name: 64 bits wide, 32 on some older targets.
fn largest<T: TryFrom<i64> + From<i32>>() -> T {
    T::try_from(i64::MAX).unwrap_or_else(|_| i32::MAX.into())
}

/// A timer to set, and the same timer to wait for.
struct Timer {
    timer: TimerFd,
    ticks: Readable,
}

impl Timer {
    fn open(clock: ClockId) -> io::Result<Self> {
        let timer = TimerFd::new(clock, TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC)?;
        let ticks = Readable::new(timer.as_fd().try_clone_to_owned()?)?;
        Ok(Self { timer, ticks })
    }

    async fn wait(&self) -> io::Result<()> {
        let read = |fd: &OwnedFd| match nix::unistd::read(fd, &mut [0; 8]) {
            // A set clock reads as ECANCELED (timerfd_create(2)).
            Ok(_) | Err(Errno::ECANCELED) => Ok(()),
            Err(errno) => Err(errno.into()),
        };
        self.ticks.read(read).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Clock, Wall};
    use tokio::time::timeout;

    const A_WHILE: Duration = Duration::from_millis(30);

    #[tokio::test]
    async fn the_timer_fires_when_it_is_due_and_not_without_being_armed() {
        let clock = Clock::system(Wall::default());
        let timer = WakeTimer::open().unwrap();
        assert!(timeout(A_WHILE, timer.fired()).await.is_err());
        let due = clock.now().boot + A_WHILE;
        timer.arm(Some(due)).unwrap();
        timer.fired().await.unwrap();
        assert!(clock.now().boot >= due);
        assert!(timeout(A_WHILE, timer.fired()).await.is_err(), "it fires once");
        timer.arm(Some(Boot::default())).unwrap();
        timeout(Duration::from_secs(5), timer.fired()).await.unwrap().unwrap();
        timer.arm(Some(clock.now().boot)).unwrap();
        timer.arm(None).unwrap();
        assert!(timeout(A_WHILE, timer.fired()).await.is_err(), "it was disarmed");
    }

    #[tokio::test]
    async fn a_clock_that_nobody_sets_does_not_jump() {
        let jump = ClockJump::open().unwrap();
        assert!(timeout(A_WHILE, jump.jumped()).await.is_err());
    }
}
