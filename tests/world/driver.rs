//! The event loop of the tests: the supervisor, its jobs and the hub on one virtual clock.
//!
//! The clock is tokio's paused one: when nothing can run, it jumps to the next deadline.

use super::hub::{Hub, membership};
use super::power::Power;
use super::registry::Registry;
use core::time::Duration;
use qcloud_agent::clock::{Boot, Clock, Now, Wall};
use qcloud_agent::daemon::dial::{Dial, HandParts};
use qcloud_agent::daemon::feature::{Answer, Asker, Event, HubAddress, Row};
use qcloud_agent::daemon::handover::Handover;
use qcloud_agent::daemon::household::Household;
use qcloud_agent::daemon::jobs::{Happening, Jobs};
use qcloud_agent::daemon::records::Records;
use qcloud_agent::daemon::status::Status;
use qcloud_agent::daemon::supervisor::{Command, Sections, Supervisor};
use qcloud_agent::egress::gate::Gate;
use qcloud_agent::egress::ledger::{Ledger, Line};
use qcloud_agent::egress::outside::Outside;
use qcloud_agent::features::ALL;
use qcloud_agent::identity::Identity;
use qcloud_agent::platform::exec::Exec;
use qcloud_agent::platform::netlink::Addresses;
use qcloud_agent::platform::root::Root;
use qcloud_agent::state::StateDir;
use qcloud_agent::wire::registration::Membership;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

/// 2026-11-22T10:00:00Z, when every world begins.
const BEGUN: u64 = 1_795_341_600;
/// What the boot clock says then.
const BOOTED: Duration = Duration::from_secs(100);

pub const MINUTE: Duration = Duration::from_secs(60);
pub const HOUR: Duration = Duration::from_secs(3600);
pub const DAY: Duration = Duration::from_secs(86_400);

/// The time of one world: tokio's, and what was slept through in suspend.
pub struct Time {
    begun: Instant,
    suspended: Mutex<Duration>,
    dice: AtomicU64,
    /// What the wall clock shows more than it should, or less.
    pub wrong: Mutex<(Duration, Duration)>,
}

impl Time {
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            begun: Instant::now(),
            suspended: Mutex::default(),
            dice: AtomicU64::new(42),
            wrong: Mutex::default(),
        })
    }

    pub fn clock(self: &Arc<Self>) -> Clock {
        let times = Arc::clone(self);
        Clock::from_fn(move || times.now())
    }

    fn now(&self) -> Now {
        let since = self.begun.elapsed() + *self.suspended.lock().unwrap();
        // Knuth's MMIX multiplier: the same lives on every machine.
        let mut dice = self.dice.load(Ordering::Relaxed);
        dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.dice.store(dice, Ordering::Relaxed);
        let (ahead, behind) = *self.wrong.lock().unwrap();
        let wall = Wall((Duration::from_secs(BEGUN) + since + ahead).saturating_sub(behind));
        Now { boot: Boot(BOOTED + since), wall, dice }
    }

    fn instant(&self, at: Boot) -> Instant {
        let since = at.0.saturating_sub(BOOTED + *self.suspended.lock().unwrap());
        self.begun + since
    }
}

/// A device in its world.
pub struct World {
    pub supervisor: Supervisor,
    pub hub: Hub,
    pub gate: Gate,
    /// What a person was told, by asker.
    pub answers: BTreeMap<u64, Vec<Answer>>,
    /// What is on disk.
    pub disk: Household,
    pub saves: u64,
    pub wakes: u64,
    rows: &'static [Row],
    sections: Sections,
    pub time: Arc<Time>,
    clock: Clock,
    pub identity: Arc<Identity>,
    /// Where it really writes, in the tests that take its power away.
    records: Option<Records>,
    handover: Handover,
    power: Option<Power>,
    /// The box's own files.
    pub root: Root,
    jobs: Jobs,
    happenings: mpsc::Receiver<Happening>,
    asked: u64,
}

impl World {
    /// A device that was just unpacked.
    pub fn new() -> Self {
        Self::of(ALL, Household::default(), Sections::default())
    }

    /// A device with a place at the hub and these features switched on.
    pub fn member(on: &[&str]) -> Self {
        Self::of(ALL, member(on), Sections::default())
    }

    /// A device with these features and this on its disk, just started.
    pub fn of(rows: &'static [Row], disk: Household, sections: Sections) -> Self {
        let time = Time::new();
        let state = Arc::new(StateDir::memory());
        let identity = Arc::new(Identity::open(state, time.clock(), nowhere()).unwrap());
        let hub = Hub::new(identity.key().id());
        Self::start(rows, disk, sections, time, identity, hub, false)
    }

    /// A member whose hub knows its keys, with a certificate that was given just now.
    pub fn certified(on: &[&str]) -> Self {
        let time = Time::new();
        let state = Arc::new(StateDir::memory());
        let identity = Arc::new(Identity::open(state, time.clock(), nowhere()).unwrap());
        let hub = Hub::new(identity.key().id());
        let mut registry = Registry::new(time.clock());
        let mut disk = member(on);
        if let Some((membership, _)) = &mut disk.membership {
            *membership = registry.enrol(identity.key().spki());
        }
        hub.lock().registry = Some(registry);
        Self::start(ALL, disk, Sections::default(), time, identity, hub, false)
    }

    /// A device on a real disk that may lose its power at any moment; as `Agent::with_state` opens it.
    pub fn powered(
        state: StateDir,
        power: &Power,
        hub: Hub,
        time: Arc<Time>,
    ) -> Result<Self, String> {
        let text = |e: &dyn std::error::Error| e.to_string();
        let state = Arc::new(state);
        let (disk, _) = Records::load(&state).map_err(|e| text(&e))?;
        let identity =
            Identity::open(Arc::clone(&state), time.clock(), nowhere()).map_err(|e| text(&e))?;
        let identity = Arc::new(identity);
        let certificate = disk.membership.as_ref().map(|(place, _)| place.certificate.as_str());
        identity.settle(certificate).map_err(|e| text(&e))?;
        let records = Records::new(state, Arc::clone(&identity), false);
        let disk = Household { ledger: records.ledger_head(&disk).map_err(|e| text(&e))?, ..disk };
        hub.lock().power = Some(power.clone());
        let mut world = Self::start(ALL, disk, Sections::default(), time, identity, hub, false);
        (world.records, world.power) = (Some(records), Some(power.clone()));
        Ok(world)
    }

    /// The power goes and comes back: only what was on disk is known. The hub goes on.
    pub fn restart(self) -> Self {
        let Self { rows, disk, sections, time, identity, hub, root, .. } = self;
        let world = Self::start(rows, disk, sections, time, identity, hub, false);
        Self { root, ..world }
    }

    /// The disk is started in another box.
    pub fn moved(self) -> Self {
        let Self { rows, disk, sections, time, identity, hub, .. } = self;
        Self::start(rows, disk, sections, time, identity, hub, true)
    }

    #[allow(clippy::too_many_arguments, reason = "the parts that outlive a start")]
    fn start(
        rows: &'static [Row],
        disk: Household,
        sections: Sections,
        time: Arc<Time>,
        identity: Arc<Identity>,
        hub: Hub,
        suspected: bool,
    ) -> Self {
        let clock = time.clock();
        let ledger = Ledger::new(disk.ledger.clone(), identity.ledger_key());
        let gate = Gate::new(clock.clone(), ledger);
        // As it is read at every start, so that nothing survives that the file cannot hold.
        let text = serde_json::to_string(&disk).unwrap();
        let household = serde_json::from_str(&text).unwrap();
        let key = identity.key();
        let mut supervisor =
            Supervisor::new(rows, gate.clone(), sections.clone(), household, key.id());
        if suspected {
            supervisor.suspect(&["serial number", "machine id"]);
        }
        supervisor.start(clock.now());
        let (events, happenings) = mpsc::channel(256);
        let mut world = Self {
            supervisor,
            hub,
            gate,
            answers: BTreeMap::new(),
            disk,
            saves: 0,
            wakes: 0,
            rows,
            sections,
            time,
            clock,
            identity,
            records: None,
            handover: Handover::default(),
            power: None,
            root: Root::new("/nowhere"),
            jobs: Jobs::new(events),
            happenings,
            asked: 0,
        };
        world.obey();
        world
    }

    /// Lets this much time pass.
    pub async fn run_for(&mut self, time: Duration) {
        let end = Instant::now() + time;
        loop {
            self.obey();
            if self.is_dead() {
                return;
            }
            let next = self.supervisor.next_wake().map(|(at, ..)| self.time.instant(at));
            let sleep = sleep_until(next.unwrap_or(end).min(end));
            tokio::select! {
                biased;
                Some(happening) = self.happenings.recv() => self.happened(happening),
                Some((feature, ticket, how)) = self.jobs.ended() => {
                    self.supervisor.done(feature, ticket, Err(how), self.clock.now());
                }
                () = sleep => {
                    if next.is_none_or(|next| next > Instant::now()) {
                        return self.obey();
                    }
                    self.wakes += 1;
                    self.supervisor.wake(self.clock.now());
                }
            }
        }
    }

    /// What the wall clock would show if it were right.
    pub fn right_time(&self) -> Wall {
        Wall(Duration::from_secs(BEGUN) + (self.clock.now().boot - Boot(BOOTED)))
    }

    /// Whether its power is gone.
    pub fn is_dead(&self) -> bool {
        self.power.as_ref().is_some_and(Power::is_gone)
    }

    /// The box sleeps: its boot clock goes on, its own timers do not.
    pub fn suspend(&mut self, time: Duration) {
        *self.time.suspended.lock().unwrap() += time;
        self.event(Event::Resumed);
    }

    pub fn event(&mut self, event: Event) {
        self.supervisor.event(event, self.clock.now());
        self.obey();
    }

    /// The box's own addresses changed.
    pub fn addresses(&mut self, v4: &[&str], v6: &[&str]) {
        let addresses = Addresses {
            v4: v4.iter().map(|text| text.parse().unwrap()).collect(),
            v6: v6.iter().map(|text| text.parse().unwrap()).collect(),
            default_route: true,
            interface: Some(2),
        };
        self.event(Event::Addresses(Arc::new(addresses)));
    }

    /// The box has no address and no route.
    pub fn offline(&mut self) {
        self.event(Event::Addresses(Arc::default()));
    }

    /// A person asks; see [`World::answers`].
    pub fn ask(&mut self, noun: &str, verb: &str, args: Value) -> u64 {
        self.asked += 1;
        self.supervisor.ask(Asker(self.asked), noun, verb, args, self.clock.now());
        self.obey();
        self.asked
    }

    /// A person asks, and waits for half a minute at most.
    pub async fn say(&mut self, noun: &str, verb: &str) -> Answer {
        let args = serde_json::json!({ "hub": "https://hub.example.test", "name": "box" });
        let asked = self.ask(noun, verb, args);
        for _ in 0..300 {
            let last = self.answers.get(&asked).and_then(|answers| answers.last());
            if let Some(answer) = last.filter(|answer| answer.exit.is_some()) {
                return answer.clone();
            }
            self.run_for(Duration::from_millis(100)).await;
        }
        panic!("nobody answered `{noun} {verb}`");
    }

    /// The owner lets something leave no more.
    pub fn deny(&mut self, part: &str) -> Answer {
        let answer = self.supervisor.deny(part, self.clock.now());
        self.obey();
        answer
    }

    /// And again.
    pub fn allow(&mut self, part: &str) -> Answer {
        let answer = self.supervisor.allow(part, self.clock.now());
        self.obey();
        answer
    }

    /// The configuration file was changed and read again.
    pub fn reload(&mut self, sections: Sections) {
        self.sections = sections.clone();
        self.supervisor.reload(sections, self.clock.now());
        self.obey();
    }

    pub fn status(&self) -> Status {
        self.supervisor.status(self.clock.now())
    }

    /// The codes of the warnings that are up.
    pub fn warnings(&self) -> Vec<&'static str> {
        self.status().warnings.iter().map(|warning| warning.code).collect()
    }

    /// `on`, `off`, `broken` …
    pub fn state(&self, feature: &str) -> &'static str {
        let status = self.status();
        status.features.iter().find(|f| f.name == feature).unwrap().state
    }

    /// The ledger.
    pub fn lines(&self) -> Vec<Line> {
        self.gate.with_ledger(|ledger| {
            ledger.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
        })
    }

    /// The way out of one feature, as its jobs have it.
    pub fn dial(&self, feature: &'static str) -> Dial {
        Dial::new(feature, self.gate.clone(), self.outside())
    }

    fn outside(&self) -> Arc<dyn Outside> {
        Arc::new(self.hub.clone())
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
            Happening::Event(event) => self.supervisor.event(event, now),
        }
    }

    fn obey(&mut self) {
        let mut save = false;
        for command in self.supervisor.commands() {
            match command {
                Command::Carry(origin, permit) => self.jobs.carry(origin, *permit, &self.outside()),
                Command::Run(feature, ticket, launch) => {
                    let parts = HandParts {
                        dial: self.dial(feature),
                        identity: Arc::clone(&self.identity),
                        root: self.root.clone(),
                        exec: Exec,
                    };
                    self.jobs.run(feature, ticket, launch, parts);
                }
                Command::Cancel(feature, ticket) => self.jobs.cancel(feature, ticket),
                Command::CancelAll(feature) => self.jobs.cancel_all(feature),
                Command::Save => save = true,
                Command::Answer(asker, answer) => {
                    self.answers.entry(asker.0).or_default().push(answer);
                }
                Command::Hub(hub, membership) => {
                    match self.handover.offer(&self.identity, (hub, membership)) {
                        Some((_, membership)) => self.show(membership.as_deref()),
                        None => save = true,
                    }
                }
            }
        }
        let saved = !save || self.save();
        if saved && let Some((_, membership)) = self.handover.saved() {
            self.show(membership.as_deref());
        }
    }

    fn save(&mut self) -> bool {
        self.saves += 1;
        if let Some(records) = &self.records {
            let household = self.supervisor.household_mut();
            return records.save(household, &self.gate, self.clock.now().wall).is_ok();
        }
        let head = self.gate.with_ledger(|ledger| ledger.head().clone());
        self.supervisor.household_mut().ledger = head;
        self.disk = self.supervisor.household().clone();
        true
    }

    fn show(&mut self, membership: Option<&Membership>) {
        let certificate = membership.map(|membership| membership.certificate.as_str());
        // A disk that fails here is one whose power is gone.
        let _ = self.identity.settle(certificate);
        self.supervisor.set_key(self.identity.key().id());
        if let Some(registry) = &mut self.hub.lock().registry {
            registry.show(certificate);
        }
    }
}

/// What a registered device has on its disk.
pub fn member(on: &[&str]) -> Household {
    let hub = HubAddress { host: "hub.example.test".into(), port: 443, pin: None };
    Household {
        switches: on.iter().map(|name| ((*name).to_owned(), true)).collect(),
        membership: Some((membership(), hub)),
        ..Household::default()
    }
}

/// A tree without a box.
fn nowhere() -> Root {
    Root::new("/nowhere")
}
