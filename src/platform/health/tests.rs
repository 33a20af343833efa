use super::*;

/// A page of SMART data whose checksum is right, with these attributes: number, flags, value, worst, raw.
fn smart(attributes: &[(u8, u8, u8, u8, u64)]) -> [u8; 512] {
    let mut page = [0; 512];
    page[0] = 16;
    for (at, (id, flags, value, worst, raw)) in attributes.iter().enumerate() {
        let entry = &mut page[2 + at * 12..][..12];
        entry[..5].copy_from_slice(&[*id, *flags, 0, *value, *worst]);
        entry[5..11].copy_from_slice(&raw.to_le_bytes()[..6]);
    }
    sealed(page)
}

fn limits(limits: &[(u8, u8)]) -> [u8; 512] {
    let mut page = [0; 512];
    page[0] = 16;
    for (at, (id, limit)) in limits.iter().enumerate() {
        page[2 + at * 12..][..2].copy_from_slice(&[*id, *limit]);
    }
    sealed(page)
}

fn sealed(mut page: [u8; 512]) -> [u8; 512] {
    let sum = page.iter().take(511).fold(0_u8, |sum, byte| sum.wrapping_add(*byte));
    page[511] = 0_u8.wrapping_sub(sum);
    page
}

fn identify() -> [u8; 512] {
    let mut page = [0; 512];
    let mut put = |word: usize, text: &str, length: usize| {
        let text = format!("{text:<length$}");
        for (at, pair) in text.as_bytes().chunks(2).enumerate() {
            page[(word + at) * 2..][..2].copy_from_slice(&[pair[1], pair[0]]);
        }
    };
    put(10, "WD-WCC7K0000001", 20);
    put(23, "82.00A82", 8);
    put(27, "WDC WD40EFRX-68N32N0", 40);
    page[82 * 2] = 1;
    page[85 * 2] = 1;
    page[217 * 2..][..2].copy_from_slice(&5400_u16.to_le_bytes());
    page
}

/// What the disk leaves in its registers: count, middle and high byte.
fn sense(count: u8, middle: u8, high: u8) -> [u8; 32] {
    let mut sense = [0; 32];
    (sense[0], sense[7], sense[8], sense[9]) = (0x72, 14, 9, 12);
    (sense[13], sense[17], sense[19]) = (count, middle, high);
    sense
}

struct Fake {
    asleep: bool,
    fails: bool,
    asked: Vec<u8>,
}

impl Disk for Fake {
    fn ata(&mut self, command: &[u8; 16], data: &mut [u8]) -> io::Result<[u8; 32]> {
        assert_eq!((command[0], command[10], command[12]), (0x85, 0x4f, 0xc2));
        self.asked.push(command[14]);
        let page = match (command[14], command[4]) {
            (0xe5, 0) => return Ok(sense(if self.asleep { 0 } else { 0xff }, 0, 0)),
            (0xec, 0) => identify(),
            (0xb0, 0xd0) => smart(&[(5, 3, 100, 99, 8), (194, 2, 111, 90, 0x0000_0027_0014_0023)]),
            (0xb0, 0xd1) => limits(&[(5, 10), (194, 0)]),
            (0xb0, 0xda) if self.fails => return Ok(sense(0, 0xf4, 0x2c)),
            (0xb0, 0xda) => return Ok(sense(0, 0x4f, 0xc2)),
            other => panic!("no such command: {other:?}"),
        };
        data.copy_from_slice(&page);
        Ok([0; 32])
    }

    fn nvme(&mut self, opcode: u8, word_10: u32, data: &mut [u8]) -> io::Result<()> {
        match (opcode, word_10) {
            (2, 0x007f_0002) => {
                data[0] = 1;
                data[1..3].copy_from_slice(&(273_u16 + 41).to_le_bytes());
                (data[3], data[4], data[5]) = (100, 10, 3);
                data[48..64].copy_from_slice(&2_000_u128.to_le_bytes());
                data[128..144].copy_from_slice(&8_760_u128.to_le_bytes());
                data[160..176].copy_from_slice(&2_u128.to_le_bytes());
            }
            (6, 1) => {
                data[4..24].copy_from_slice(b"S4EWNX0M000000A     ");
                data[24..64].fill(b' ');
                data[24..38].copy_from_slice(b"Samsung SSD 97");
                data[64..72].copy_from_slice(b"2B2QEXM7");
            }
            other => panic!("no such command: {other:?}"),
        }
        Ok(())
    }
}

#[test]
fn an_ata_disk_tells_what_it_is_and_how_it_is() {
    let mut disk = Fake { asleep: false, fails: false, asked: vec![] };
    let Told::Ata(identity, verdict, attributes) = ask_ata(&mut disk).unwrap() else { panic!() };
    assert_eq!((&*identity.model, &*identity.serial), ("WDC WD40EFRX-68N32N0", "WD-WCC7K0000001"));
    assert_eq!((&*identity.firmware, identity.rotation), ("82.00A82", Some(5400)));
    assert_eq!(verdict, Some(true));
    let [five, heat] = &*attributes else { panic!("{attributes:?}") };
    assert_eq!((five.name(), five.raw, five.threshold), ("Reallocated_Sector_Ct", 8, 10));
    assert_eq!((heat.id, heat.raw & 0xff), (194, 35));
    assert!(!five.is_failing() && !heat.is_failing());
    disk.fails = true;
    assert!(matches!(ask_ata(&mut disk).unwrap(), Told::Ata(_, Some(false), _)));
}

#[test]
fn a_disk_that_sleeps_is_not_woken() {
    let mut disk = Fake { asleep: true, fails: false, asked: vec![] };
    assert_eq!(ask_ata(&mut disk).unwrap(), Told::Sleeps);
    assert_eq!(disk.asked, [0xe5]);
}

#[test]
fn an_nvme_disk_tells_its_health() {
    let mut disk = Fake { asleep: false, fails: false, asked: vec![] };
    let Told::Nvme(who, health) = ask_nvme(&mut disk).unwrap() else { panic!() };
    assert_eq!(who, ["S4EWNX0M000000A", "Samsung SSD 97", "2B2QEXM7"]);
    assert_eq!((health.temperature, health.used_percent, health.hours), (Some(41), 3, 8_760));
    assert_eq!((health.media_errors, health.written_bytes), (2, 1_024_000_000));
    assert!(health.is_failing());
    assert!(!nvme::Health { warnings: 2, ..health }.is_failing(), "heat passes");
}

#[test]
fn a_page_that_is_damaged_or_empty_says_nothing() {
    let good = smart(&[(5, 1, 5, 5, 1)]);
    let limit = limits(&[(5, 10)]);
    assert!(ata::attributes(&good, &limit)[0].is_failing());
    let mut bad = good;
    bad[100] ^= 1;
    assert_eq!(ata::attributes(&bad, &limit), []);
    assert_eq!(ata::attributes(&[0; 512], &limit), []);
    let mut bad = limit;
    bad[3] ^= 1;
    assert_eq!(ata::attributes(&good, &bad)[0].threshold, 0);
    assert_eq!(ata::identity(&[0; 512]), None);
    assert_eq!(ata::identity(&[0xff; 512]), None);
    assert_eq!(nvme::health(&[0; 512]), None);
    assert_eq!(nvme::health(&[0xff; 512]), None);
    assert_eq!(ata::registers(&[0; 32]), None);
}

#[test]
fn what_is_no_disk_is_refused_by_the_kernel() {
    let mut none = File::open("/dev/null").unwrap();
    assert!(ask_ata(&mut none).is_err());
    assert!(ask_nvme(&mut none).is_err());
}
