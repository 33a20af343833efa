//! The one event loop: gives the supervisor its time, its events and its world, and does what it asks.
//!
//! There is no timer without a reason: the only one is armed to the supervisor's next deadline. With
//! everything off the loop sleeps in the kernel until something happens to the box.

use super::config::{self, Config};
use super::control::{Asked, DAEMON};
use super::dial::{Dial, HandParts};
use super::feature::{Answer, Asker, Event, Row};
use super::handover::{self, Handover};
use super::household::Household;
use super::jobs::{Happening, Jobs};
use super::moving::{self, Appeared, Place};
use super::opening::{gate_of, settle};
use super::records::Records;
use super::reset;
use super::saving::{Saving, Unsaved};
use super::start::{self, KEPT_ROOT, Standing};
pub use super::start::{DEFAULT_STATE, Options, RunError};
use super::supervisor::{Command, Supervisor};
use super::warnings::{DAMAGED, NOT_RELOADED, UNSAVED};
use super::watch::{self, Signals, Told};
use super::world::{CLOCK, World};
use crate::clock::{self, Clock};
use crate::egress::gate::Gate;
use crate::egress::reconcile::Baseline;
use crate::identity::Identity;
use crate::platform::exec::Exec;
use crate::platform::mounts::Mounts;
use crate::platform::root::Root;
use crate::platform::service::Service;
use crate::platform::timer::{ClockJump, WakeTimer};
use crate::platform::traffic;
use crate::state::StateDir;
use core::time::Duration;
use std::collections::HashMap;
use std::sync::Arc;
use tokio::sync::mpsc;

/// A suspend shorter than this leaves connections as they are.
const SUSPEND_NOTICED: Duration = Duration::from_secs(2);
/// The longest an orderly stop waits for connections to say goodbye (SIGTERM: exit within 5 s).
const GOODBYE: Duration = Duration::from_secs(2);

/// Why an agent ran no longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It was told to stop, or everything it was asked is answered.
    Stopped,
    /// A disk appeared that its state belongs to.
    DiskAppeared,
    /// Key and state are to go, and no hub holds anything of this device any more.
    Reset,
}

/// The agent, ready to run.
pub struct Agent {
    pub(super) rows: &'static [Row],
    pub(super) options: Options,
    pub(super) clock: Clock,
    pub(super) supervisor: Supervisor,
    pub(super) gate: Gate,
    pub(super) records: Records,
    pub(super) world: World,
    pub(super) parts: HandParts,
    pub(super) jobs: Jobs,
    pub(super) happenings: mpsc::Receiver<Happening>,
    pub(super) events: mpsc::Sender<Happening>,
    pub(super) askers: HashMap<Asker, mpsc::Sender<Answer>>,
    pub(super) asked_so_far: u64,
    pub(super) suspended: Duration,
    pub(super) saving: Saving,
    pub(super) handover: Handover,
    /// What the kernel had counted when this began to run.
    pub(super) baseline: Option<Baseline>,
    pub(super) standing: Standing,
}

impl Agent {
    /// Opens state, identity and configuration. Nothing is sent before [`Agent::run`].
    ///
    /// # Errors
    /// See [`RunError`].
    pub fn open(rows: &'static [Row], options: Options) -> Result<Self, RunError> {
        let state = StateDir::open(&options.state_dir)?;
        let root = Root::new(&options.root);
        let config = config::load(options.config_path.as_deref(), &root, rows)?;
        Self::with_state(rows, options, Arc::new(state), config)
    }

    /// As [`Agent::open`], with state that is open already or lives in RAM, and a configuration that was read.
    ///
    /// # Errors
    /// See [`RunError`].
    pub fn with_state(
        rows: &'static [Row],
        options: Options,
        state: Arc<StateDir>,
        config: Config,
    ) -> Result<Self, RunError> {
        moving::settle(&state)?;
        let (mut household, damaged) = Records::load(&state)?;
        if let Some(damaged) = &damaged {
            tracing::warn!(damaged, "the newest state could not be read; the one before it serves");
        }
        let clock = Clock::system(household.last_good);
        let root = Root::new(&options.root);
        let identity = Identity::open(Arc::clone(&state), clock.clone(), root.clone())?;
        let identity = Arc::new(identity);
        settle(&identity, household.membership.as_ref().map(|(membership, _)| membership));
        super::clone::settle_owner(&mut household, &identity);
        let volatile = config.agent.volatile_ledger;
        let records = Records::new(state, Arc::clone(&identity), volatile);
        let gate = gate_of(&household, &identity, &clock, &records)?;
        let world = World::new(&config.agent, &root, &clock, Arc::clone(&identity));
        let dial = Dial::new("", gate.clone(), world.outside());
        let parts = HandParts { dial, identity: Arc::clone(&identity), root, exec: Exec };
        let key = identity.key();
        let sections = config.sections;
        let mut supervisor = Supervisor::new(rows, gate.clone(), sections, household, key.id());
        supervisor.warn(&DAMAGED, damaged);
        let differing = identity.differing();
        if !differing.is_empty() {
            supervisor.suspect(&differing);
        }
        let (events, happenings) = mpsc::channel(256);
        let jobs = Jobs::new(events.clone());
        Ok(Self {
            rows,
            options,
            clock,
            supervisor,
            gate,
            records,
            world,
            parts,
            jobs,
            happenings,
            events,
            askers: HashMap::new(),
            asked_so_far: 0,
            suspended: clock::suspended(),
            saving: Saving::new(),
            handover: Handover::default(),
            baseline: None,
            standing: Standing::default(),
        })
    }

    /// Says how the process stands that this runs in.
    pub fn set_standing(&mut self, standing: Standing) {
        self.supervisor.warn(&KEPT_ROOT, standing.is_root().then(|| "as [agent] user says".into()));
        let why = match standing.place {
            Place::Disk => None,
            Place::Volatile => Some("the state directory is in RAM"),
            Place::Memory => Some("the state directory cannot be made"),
        };
        self.supervisor.warn(&moving::VOLATILE, why.map(String::from));
        if let Some(serial) = &standing.serial {
            self.parts.identity.tell_serial(serial);
        }
        self.standing = standing;
    }

    /// Runs until SIGTERM or SIGINT, until every question of `asked` is answered and no more can come, or until
    /// its state has to go elsewhere. Gives back how the process stands.
    ///
    /// # Errors
    /// [`RunError::System`] when signals or timers cannot be had.
    pub async fn run(
        mut self,
        asked: &mut mpsc::Receiver<Asked>,
    ) -> Result<(Ended, Standing), RunError> {
        let system = |what| move |source| RunError::System { what, source };
        let mut signals = Signals::open().map_err(system("listen to signals"))?;
        let timer = WakeTimer::open().map_err(system("make a timer"))?;
        let jump = ClockJump::open().map_err(system("watch the wall clock"))?;
        let watcher = tokio::spawn(watch::addresses(self.events.clone()));
        let mut service = Service::from_environment();
        self.baseline = self.counted();
        let mut mounts = self.mounts();
        self.supervisor.start(self.clock.now());
        self.heed_marker();
        self.obey();
        service.ready();
        let (mut more, mut ended) = (true, Ended::Stopped);
        while more || !self.askers.is_empty() {
            if self.supervisor.is_reset_due() {
                ended = Ended::Reset;
                break;
            }
            let is_free = self.supervisor.household().membership.is_none();
            if self.standing.conflict && is_free && self.disk_appeared().await {
                ended = Ended::DiskAppeared;
                break;
            }
            let wake = self.supervisor.next_wake().map(|(at, ..)| at);
            let wake = wake.into_iter().chain(self.saving.next_wake());
            let wake = wake.chain(service.alive(self.clock.now())).min();
            timer.arm(wake).map_err(system("arm a timer"))?;
            tokio::select! {
                happening = self.happenings.recv() => {
                    if let Some(happening) = happening { self.happened(happening); }
                }
                Some((feature, ticket, end)) = self.jobs.ended() => {
                    self.supervisor.done(feature, ticket, Err(end), self.clock.now());
                }
                question = asked.recv(), if more => match question {
                    Some(question) => self.question(question),
                    None => more = false,
                },
                _ = timer.fired() => self.supervisor.wake(self.clock.now()),
                _ = jump.jumped() => self.supervisor.event(Event::WallClockSet, self.clock.now()),
                () = watch::volumes(&mut mounts) => if self.disk_appeared().await {
                    ended = Ended::DiskAppeared;
                    break;
                },
                signal = signals.next() => match signal {
                    Told::Stop => break,
                    Told::Reload => self.reload(&service),
                },
            }
            self.notice_suspend();
            self.obey();
        }
        service.stopping();
        watcher.abort();
        Ok((ended, self.stop().await))
    }

    /// What tells of volumes, for one that waits for a disk.
    fn mounts(&self) -> Option<Mounts> {
        if self.standing.place == Place::Disk {
            return None;
        }
        let opened = Mounts::open();
        opened.inspect_err(|error| tracing::warn!(%error, "volumes cannot be watched")).ok()
    }

    /// Whether there is a disk now that the state goes to.
    async fn disk_appeared(&mut self) -> bool {
        let is_registered = self.supervisor.household().membership.is_some();
        self.standing.conflict = false;
        self.supervisor.warn(&moving::CONFLICT, None);
        match moving::appeared(&self.options.state_dir, is_registered) {
            Appeared::Nothing => false,
            Appeared::Conflict => {
                let dir = self.options.state_dir.display().to_string();
                tracing::warn!(dir, "the disk that appeared holds another state");
                self.supervisor.warn(&moving::CONFLICT, Some(dir));
                self.standing.conflict = true;
                false
            }
            Appeared::Disk => match start::prepare_state(&mut self.standing).await {
                Ok(()) => true,
                Err(error) => {
                    tracing::warn!(%error, "the state directory cannot be made");
                    false
                }
            },
        }
    }

    /// The firmware asked for a reset with its marker.
    fn heed_marker(&mut self) {
        let dir = self.records.dir().map(std::path::Path::to_path_buf);
        if reset::is_marked(dir.as_deref()) {
            self.supervisor.begin_reset(None, self.clock.now());
            self.save(false);
            if !self.saving.has_failed() {
                reset::unmark(dir.as_deref());
            }
        }
    }

    fn happened(&mut self, happening: Happening) {
        let now = self.clock.now();
        match happening {
            Happening::Replied(origin, result) => self.supervisor.replied(&origin, result, now),
            Happening::Noted(feature, ticket, note) => {
                self.supervisor.noted(feature, ticket, note, now);
            }
            Happening::Done(feature, ticket, result) => {
                self.supervisor.done(feature, ticket, result, now);
            }
            Happening::Event(event) => {
                if let Event::Addresses(addresses) = &event {
                    self.world.set_addresses(addresses);
                }
                self.supervisor.event(event, now);
            }
        }
    }

    fn question(&mut self, Asked { request, uid, answers }: Asked) {
        self.asked_so_far += 1;
        let asker = Asker(self.asked_so_far);
        self.askers.insert(asker, answers);
        let now = self.clock.now();
        if request.noun == DAEMON && request.verb == "reset" {
            return reset::ask(self, asker, &request.args, now);
        }
        if request.noun == DAEMON {
            let answer = super::house::answer(self, &request.verb, &request.args, uid, now);
            return self.answer(asker, answer);
        }
        self.supervisor.ask(asker, &request.noun, &request.verb, request.args, now);
    }

    fn answer(&mut self, asker: Asker, answer: Answer) {
        let last = answer.exit.is_some();
        let gone = self.askers.get(&asker).is_none_or(|way| way.try_send(answer).is_err());
        if last || gone {
            self.askers.remove(&asker);
        }
    }

    /// Does what the supervisor asked for, until it asks for nothing more.
    fn obey(&mut self) {
        self.supervisor.warn(&CLOCK, self.world.clock_trouble());
        let mut answers = Vec::new();
        for command in self.supervisor.commands() {
            match command {
                Command::Carry(origin, permit) => {
                    self.jobs.carry(origin, *permit, &self.world.outside());
                }
                Command::Run(feature, ticket, launch) => {
                    let dial = Dial::new(feature, self.gate.clone(), self.world.outside());
                    let parts = HandParts { dial, ..self.parts.clone() };
                    self.jobs.run(feature, ticket, launch, parts);
                }
                Command::Cancel(feature, ticket) => self.jobs.cancel(feature, ticket),
                Command::CancelAll(feature) => self.jobs.cancel_all(feature),
                Command::Save => self.saving.change(),
                // After the save, so that what a person was told survives a power cut.
                Command::Answer(asker, answer) => answers.push((asker, answer)),
                Command::Hub(hub, membership) => {
                    let place = (hub, membership);
                    match self.handover.offer(&self.parts.identity, place) {
                        Some(place) => self.show(place),
                        None => self.saving.change(),
                    }
                }
            }
        }
        let due = self.saving.is_due(self.clock.now());
        let failed = self.saving.has_failed();
        if due || !failed && self.gate.with_ledger(|ledger| ledger.is_due()) {
            self.save(false);
        }
        if !self.saving.has_failed()
            && let Some(place) = self.handover.saved()
        {
            self.show(place);
        }
        for (asker, answer) in answers {
            self.answer(asker, answer);
        }
    }

    /// Shows ourselves to this hub from here on.
    fn show(&mut self, (hub, membership): handover::Place) {
        settle(&self.parts.identity, membership.as_deref());
        self.supervisor.set_key(self.parts.identity.key().id());
        self.world.set_hub(hub.as_ref(), membership.as_deref());
    }

    /// Puts everything on disk. A failure is told once, and the next save tries again.
    pub(super) fn save(&mut self, stopped: bool) {
        let household = self.supervisor.household_mut();
        household.stopped = stopped;
        household.last_good = self.clock.vouched();
        match self.records.save(household, &self.gate, self.clock.now().wall) {
            Ok(()) => {
                if self.saving.has_failed() {
                    tracing::info!("state is saved again");
                    self.supervisor.warn(&UNSAVED, None);
                }
                self.saving.succeed();
            }
            Err(error) => {
                let why = error_chain(&error);
                // An agent that only decides for a moment tells whoever asked.
                if self.supervisor.started && !self.saving.has_failed() {
                    tracing::error!(why, "state cannot be saved");
                }
                self.supervisor.warn(&UNSAVED, Some(why.clone()));
                self.saving.fail(Unsaved { exit: error.exit(), why }, self.clock.now());
            }
        }
    }

    fn notice_suspend(&mut self) {
        let suspended = clock::suspended();
        if suspended > self.suspended + SUSPEND_NOTICED {
            self.world.probe();
            self.supervisor.event(Event::Resumed, self.clock.now());
        }
        self.suspended = suspended;
    }

    fn reload(&mut self, service: &Service) {
        service.reloading(self.clock.now());
        let root = Root::new(&self.options.root);
        match config::load(self.options.config_path.as_deref(), &root, self.rows) {
            Ok(Config { agent, sections }) => {
                self.world.set_config(&agent);
                self.supervisor.warn(&NOT_RELOADED, None);
                self.supervisor.reload(sections, self.clock.now());
            }
            Err(error) => {
                let why = error_chain(&error);
                tracing::error!(why, "the configuration was not reloaded; the old one serves on");
                self.supervisor.warn(&NOT_RELOADED, Some(why));
            }
        }
        service.ready();
    }

    /// Ends everything in order, within [`GOODBYE`] and one save.
    async fn stop(self) -> Standing {
        let Self { jobs, world, mut supervisor, records, gate, clock, standing, .. } = self;
        drop(jobs);
        world.goodbye(GOODBYE).await;
        let lines = gate.with_ledger(|ledger| !ledger.unsaved().is_empty());
        let household = supervisor.household_mut();
        if lines || !household.stopped && *household != Household::default() {
            household.stopped = true;
            household.last_good = clock.vouched();
            if let Err(error) = records.save(household, &gate, clock.now().wall) {
                tracing::error!(%error, "state cannot be saved at the stop");
            }
        }
        standing
    }

    fn counted(&self) -> Option<Baseline> {
        let since = self.clock.now().wall;
        match traffic::read() {
            Ok(interfaces) => Some(Baseline { since, interfaces }),
            Err(error) => {
                tracing::warn!(%error, "the kernel's counters cannot be read");
                None
            }
        }
    }
}

/// An error and what caused it, in one line.
pub fn error_chain(error: &dyn std::error::Error) -> String {
    let source = error.source().map(|source| format!(": {source}"));
    format!("{error}{}", source.unwrap_or_default())
}
