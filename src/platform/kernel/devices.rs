//! Questions to disks and displays, by `ioctl(2)`.

use nix::libc;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// `struct sg_io_hdr` of `scsi/sg.h`.
#[repr(C)]
struct ScsiRequest {
    interface_id: libc::c_int,
    direction: libc::c_int,
    command_length: u8,
    most_sense: u8,
    parts: u16,
    length: libc::c_uint,
    data: *mut u8,
    command: *const u8,
    sense: *mut u8,
    timeout_ms: libc::c_uint,
    flags: libc::c_uint,
    pack_id: libc::c_int,
    user: *mut libc::c_void,
    status: u8,
    masked_status: u8,
    message_status: u8,
    sense_written: u8,
    host_status: u16,
    driver_status: u16,
    left: libc::c_int,
    duration: libc::c_uint,
    info: libc::c_uint,
}

/// `struct nvme_admin_cmd` of `linux/nvme_ioctl.h`.
#[repr(C)]
#[derive(Default)]
struct NvmeRequest {
    opcode: u8,
    flags: u8,
    reserved: u16,
    namespace: u32,
    words_2_3: [u32; 2],
    metadata: u64,
    data: u64,
    metadata_length: u32,
    data_length: u32,
    words_10_15: [u32; 6],
    timeout_ms: u32,
    result: u32,
}

nix::ioctl_readwrite_bad!(scsi_request, 0x2285, ScsiRequest);
nix::ioctl_readwrite!(nvme_request, b'N', 0x41, NvmeRequest);

/// How long a disk may take for one answer: `smartctl` gives it 6 s and more, a report has less.
const DISK_TIMEOUT_MS: u32 = 3000;
/// `SG_DXFER_FROM_DEV` and `SG_DXFER_NONE`.
const FROM_DEVICE: libc::c_int = -3;
const NO_DATA: libc::c_int = -1;

/// Sends a SCSI command of 16 bytes that reads, or moves no data, and gives its sense bytes.
///
/// # Errors
/// The kernel's own: `ENOTTY` for what is no such device, `EACCES` without the right to it.
pub(in crate::platform) fn scsi_read(
    fd: &impl AsRawFd,
    command: &[u8; 16],
    data: &mut [u8],
) -> io::Result<[u8; 32]> {
    let mut sense = [0; 32];
    let mut request = ScsiRequest {
        interface_id: libc::c_int::from(b'S'),
        direction: if data.is_empty() { NO_DATA } else { FROM_DEVICE },
        command_length: 16,
        most_sense: 32,
        parts: 0,
        length: u32::try_from(data.len()).map_err(|_| io::ErrorKind::InvalidInput)?,
        data: data.as_mut_ptr(),
        command: command.as_ptr(),
        sense: sense.as_mut_ptr(),
        timeout_ms: DISK_TIMEOUT_MS,
        flags: 0,
        pack_id: 0,
        user: core::ptr::null_mut(),
        status: 0,
        masked_status: 0,
        message_status: 0,
        sense_written: 0,
        host_status: 0,
        driver_status: 0,
        left: 0,
        duration: 0,
        info: 0,
    };
    // SAFETY: the request has the layout of `sg_io_hdr`; its three addresses are of 16 bytes to read, `length` bytes
    // to write and 32 bytes to write, which live until the call returns. SG_IO returns when the command is done.
    unsafe { scsi_request(fd.as_raw_fd(), &raw mut request)? };
    if request.host_status != 0 {
        return Err(io::Error::other("the disk did not answer"));
    }
    Ok(sense)
}

/// Sends an NVMe admin command that reads: get log page (2) or identify (6).
///
/// # Errors
/// The kernel's own; `Other` with the controller's status.
pub(in crate::platform) fn nvme_read(
    fd: &impl AsRawFd,
    opcode: u8,
    word_10: u32,
    data: &mut [u8],
) -> io::Result<()> {
    if !matches!(opcode, 2 | 6) {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let mut request = NvmeRequest {
        opcode,
        namespace: if opcode == 2 { u32::MAX } else { 0 },
        data: u64::try_from(data.as_mut_ptr().expose_provenance()).unwrap_or_default(),
        data_length: u32::try_from(data.len()).map_err(|_| io::ErrorKind::InvalidInput)?,
        words_10_15: [word_10, 0, 0, 0, 0, 0],
        timeout_ms: DISK_TIMEOUT_MS,
        ..NvmeRequest::default()
    };
    // SAFETY: the request has the layout of `nvme_admin_cmd`; both commands only write `data_length` bytes at `data`,
    // which lives until the call returns, when the command is done.
    let status = unsafe { nvme_request(fd.as_raw_fd(), &raw mut request)? };
    if status == 0 { Ok(()) } else { Err(io::Error::other(format!("status {status:#x}"))) }
}

/// `struct fb_fix_screeninfo` of `linux/fb.h`.
#[repr(C)]
#[derive(Default)]
struct FrameFixed {
    id: [u8; 16],
    memory: libc::c_ulong,
    memory_length: u32,
    kind: u32,
    kind_aux: u32,
    visual: u32,
    steps: [u16; 3],
    line_length: u32,
    registers: libc::c_ulong,
    registers_length: u32,
    accelerator: u32,
    capabilities: u16,
    reserved: [u16; 2],
}

nix::ioctl_read_bad!(frame_variable, 0x4600, [u32; 40]);
nix::ioctl_read_bad!(frame_fixed, 0x4602, FrameFixed);

/// What a frame buffer says of itself: `struct fb_var_screeninfo` as its words, and the bytes of a line.
///
/// # Errors
/// The kernel's own.
pub(in crate::platform) fn frame_buffer(fd: &impl AsRawFd) -> io::Result<([u32; 40], u32)> {
    let (mut variable, mut fixed) = ([0; 40], FrameFixed::default());
    // SAFETY: the kernel writes 160 bytes, which is `struct fb_var_screeninfo`, and the struct above.
    unsafe {
        frame_variable(fd.as_raw_fd(), &raw mut variable)?;
        frame_fixed(fd.as_raw_fd(), &raw mut fixed)?;
    }
    Ok((variable, fixed.line_length))
}

/// `struct drm_mode_card_res` of `drm/drm_mode.h`.
#[repr(C)]
#[derive(Default)]
struct CardResources {
    frame_buffers: u64,
    crtcs: u64,
    connectors: u64,
    encoders: u64,
    count_frame_buffers: u32,
    count_crtcs: u32,
    count_connectors: u32,
    count_encoders: u32,
    sizes: [u32; 4],
}

/// `struct drm_mode_crtc`.
#[repr(C)]
struct Crtc {
    connectors: u64,
    count_connectors: u32,
    id: u32,
    frame_buffer: u32,
    place: [u32; 2],
    gamma_size: u32,
    mode_valid: u32,
    mode: [u8; 68],
}

/// `struct drm_mode_fb_cmd`.
#[repr(C)]
#[derive(Default)]
struct FrameOne {
    id: u32,
    width: u32,
    height: u32,
    pitch: u32,
    bits: u32,
    depth: u32,
    handle: u32,
}

/// `struct drm_mode_fb_cmd2`.
#[repr(C)]
#[derive(Default)]
struct FrameTwo {
    id: u32,
    width: u32,
    height: u32,
    format: u32,
    flags: u32,
    handles: [u32; 4],
    pitches: [u32; 4],
    offsets: [u32; 4],
    modifiers: [u64; 4],
}

/// `struct drm_mode_map_dumb`, and `struct drm_prime_handle` beside it.
#[repr(C)]
#[derive(Default)]
struct MapDumb {
    handle: u32,
    pad: u32,
    offset: u64,
}

#[repr(C)]
#[derive(Default)]
struct Prime {
    handle: u32,
    flags: u32,
    fd: i32,
}

nix::ioctl_none!(drm_drop_master, b'd', 0x1f);
nix::ioctl_readwrite!(drm_prime, b'd', 0x2d, Prime);
nix::ioctl_readwrite!(drm_resources, b'd', 0xa0, CardResources);
nix::ioctl_readwrite!(drm_crtc, b'd', 0xa1, Crtc);
nix::ioctl_readwrite!(drm_frame_one, b'd', 0xad, FrameOne);
nix::ioctl_readwrite!(drm_map_dumb, b'd', 0xb3, MapDumb);
nix::ioctl_readwrite!(drm_frame_two, b'd', 0xce, FrameTwo);

/// The most CRTCs of one card; none has more than eight or so.
const MOST_CRTCS: usize = 32;

/// What is shown by a graphics card.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::platform) struct CardFrame {
    /// Pixels in a line.
    pub(in crate::platform) width: u32,
    /// Lines.
    pub(in crate::platform) height: u32,
    /// Bytes of a line.
    pub(in crate::platform) pitch: u32,
    /// Where the first pixel is.
    pub(in crate::platform) offset: u32,
    /// The format's four letters (`drm_fourcc.h`); 0 where the kernel does not say.
    pub(in crate::platform) format: u32,
    /// Bits of a pixel, where the kernel does not say the format.
    pub(in crate::platform) bits: u32,
    /// How the memory is laid out; 0 line by line.
    pub(in crate::platform) modifier: u64,
    /// The buffer; 0 without the right to it.
    pub(in crate::platform) handle: u32,
}

/// The frame buffers that the CRTCs of a card show now.
///
/// # Errors
/// The kernel's own.
pub(in crate::platform) fn card_frames(fd: &impl AsRawFd) -> io::Result<Vec<CardFrame>> {
    let fd = fd.as_raw_fd();
    // SAFETY: no argument. Who opens a card that nobody has gets to rule it: that is given back. Else it fails.
    let _ = unsafe { drm_drop_master(fd) };
    let mut crtcs = [0_u32; MOST_CRTCS];
    let mut all = CardResources {
        crtcs: u64::try_from(crtcs.as_mut_ptr().expose_provenance()).unwrap_or_default(),
        count_crtcs: u32::try_from(MOST_CRTCS).unwrap_or_default(),
        ..CardResources::default()
    };
    // SAFETY: of the four lists only that of CRTCs has room, for as many numbers as it says; the kernel writes a list
    // only when all of it has room, and the number of what there is.
    unsafe { drm_resources(fd, &raw mut all)? };
    let count = usize::try_from(all.count_crtcs).unwrap_or_default();
    let mut frames = Vec::new();
    for id in crtcs.iter().take(count).copied().filter(|id| *id != 0) {
        let mut crtc = Crtc {
            connectors: 0,
            count_connectors: 0,
            id,
            frame_buffer: 0,
            place: [0; 2],
            gamma_size: 0,
            mode_valid: 0,
            mode: [0; 68],
        };
        // SAFETY: the struct has the kernel's layout, and its only address is for no connectors.
        unsafe { drm_crtc(fd, &raw mut crtc)? };
        if crtc.frame_buffer != 0 {
            frames.push(card_frame(fd, crtc.frame_buffer)?);
        }
    }
    Ok(frames)
}

fn card_frame(fd: i32, id: u32) -> io::Result<CardFrame> {
    let mut two = FrameTwo { id, ..FrameTwo::default() };
    // SAFETY: the struct has the kernel's layout and no address in it.
    if unsafe { drm_frame_two(fd, &raw mut two) }.is_ok() {
        let [pitch, offset] = [two.pitches[0], two.offsets[0]];
        // DRM_MODE_FB_MODIFIERS
        let modifier = if two.flags & 2 != 0 { two.modifiers[0] } else { 0 };
        let (width, height, format) = (two.width, two.height, two.format);
        let handle = two.handles[0];
        return Ok(CardFrame { width, height, pitch, offset, format, bits: 0, modifier, handle });
    }
    let mut one = FrameOne { id, ..FrameOne::default() };
    // SAFETY: as above.
    unsafe { drm_frame_one(fd, &raw mut one)? };
    let FrameOne { width, height, pitch, bits, handle, .. } = one;
    Ok(CardFrame { width, height, pitch, bits, handle, ..CardFrame::default() })
}

/// Memory of a device, mapped to be read. Others write to it at any time: only copies of it are given.
pub(in crate::platform) struct Mapped {
    address: core::ptr::NonNull<libc::c_void>,
    length: usize,
}

impl Mapped {
    /// Maps a card's buffer: as plain memory where it is such, else by the descriptor it can be shared by.
    ///
    /// # Errors
    /// The kernel's own: many cards let nobody map what they show.
    pub(in crate::platform) fn card(
        fd: &impl AsRawFd,
        handle: u32,
        length: usize,
    ) -> io::Result<Self> {
        let mut dumb = MapDumb { handle, ..MapDumb::default() };
        // SAFETY: the struct has the kernel's layout and no address in it.
        if unsafe { drm_map_dumb(fd.as_raw_fd(), &raw mut dumb) }.is_ok()
            && let Ok(mapped) = Self::new(fd.as_raw_fd(), dumb.offset, length)
        {
            return Ok(mapped);
        }
        let mut prime = Prime { handle, flags: 0, fd: -1 };
        // SAFETY: as above.
        unsafe { drm_prime(fd.as_raw_fd(), &raw mut prime)? };
        // SAFETY: the kernel has just made this descriptor for this caller.
        let shared = unsafe { OwnedFd::from_raw_fd(prime.fd) };
        Self::new(shared.as_raw_fd(), 0, length)
    }

    fn new(fd: i32, offset: u64, length: usize) -> io::Result<Self> {
        let offset = libc::off_t::try_from(offset).map_err(|_| io::ErrorKind::InvalidData)?;
        let nowhere = core::ptr::null_mut();
        let (read, shared) = (libc::PROT_READ, libc::MAP_SHARED);
        // SAFETY: the kernel chooses the address, so nothing that is mapped already is touched.
        let address = unsafe { libc::mmap(nowhere, length, read, shared, fd, offset) };
        if address == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let address = core::ptr::NonNull::new(address).ok_or(io::ErrorKind::InvalidData)?;
        Ok(Self { address, length })
    }

    /// Copies bytes from there. Gives whether all of them lie in it.
    pub(in crate::platform) fn copy(&self, at: usize, into: &mut [u8]) -> bool {
        let fits = at.checked_add(into.len()).is_some_and(|end| end <= self.length);
        if fits {
            // SAFETY: that part is mapped until drop, as was just seen, and `into` is memory of this program alone.
            unsafe {
                let from = self.address.as_ptr().cast::<u8>().add(at);
                core::ptr::copy_nonoverlapping(from, into.as_mut_ptr(), into.len());
            }
        }
        fits
    }
}

impl Drop for Mapped {
    fn drop(&mut self) {
        // SAFETY: mapped by `new` at this address with this length, and lent to nobody.
        unsafe { libc::munmap(self.address.as_ptr(), self.length) };
    }
}
