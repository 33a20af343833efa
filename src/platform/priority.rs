//! Standing back behind what else runs on the box.

use super::kernel;
use super::root::Root;

/// The lowest priority there is, for the processor.
const NICEST: i32 = 19;
/// How much more willingly the kernel ends this process than another one of its size when memory is short, of 1000.
const EXPENDABLE: &str = "500";

/// Makes this thread, and what it starts from now on, run only when nothing else wants the processor or the disks,
/// and be ended first when memory is short. What the system does not allow stays as it is.
pub fn stand_back() {
    let _ = kernel::be_nice(NICEST);
    let _ = kernel::be_idle_at_disks();
    let path = Root::system().path("/proc/self/oom_score_adj");
    let _ = std::fs::write(path, EXPENDABLE);
}

/// Ends the standing back of this process's first thread. On a box that is always busy it would never have its turn:
/// four busy programs on two processors leave it less than a hundredth (2026-11-22). What the system does not allow
/// stays as it is.
pub fn step_forward() {
    let _ = kernel::be_as_others();
}
