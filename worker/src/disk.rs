//! Space under the worker's folder. Where it gets short the worker takes nothing more, before what it runs finds no place for
//! its result.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ar_net::{Cache, size};
use nix::sys::statvfs::statvfs;

use crate::cache;
use crate::capacity::{Capacity, Limit, Need};
use crate::session::{BLOBS, SPOOL, STUDIES};

/// How often is looked.
const LOOK: Duration = Duration::from_secs(5);
/// What must be free where nothing else is said: so much, or this part of a disk that is smaller.
const USUAL_BYTES: u64 = 1 << 30;
const USUAL_FILES: u64 = 10_000;
const USUAL_PART: u64 = 50;

/// What a disk can run out of. Copies of folders with many small files take its last file (inode) long before its last byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Room {
    Bytes,
    Files,
}

impl Room {
    fn words(self, number: u64) -> String {
        match self {
            Self::Bytes => size::words(number),
            Self::Files => format!("{number} files (inodes)"),
        }
    }
}

/// A file system, as far as it matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Space {
    /// What may be written.
    free: u64,
    /// What must stay free.
    floor: u64,
}

impl Space {
    /// Of the disk under a folder; what the system does not tell stops nothing. `floor` is in bytes.
    fn under(folder: &Path, room: Room, floor: Option<u64>) -> Option<Self> {
        let disk = statvfs(folder).ok()?;
        let bytes = |blocks: u64| blocks.saturating_mul(disk.fragment_size());
        let (all, free, usual, floor) = match room {
            Room::Bytes => (bytes(disk.blocks()), bytes(disk.blocks_available()), USUAL_BYTES, floor),
            // Some systems make them as they are needed, and say that they have none.
            Room::Files => (disk.files(), disk.files_available(), USUAL_FILES, None),
        };
        let usual = usual.min(all / USUAL_PART);
        (all > 0).then(|| Self { free, floor: floor.unwrap_or(usual) })
    }

    /// From where on it is clearly enough: what stops and begins at one figure would do so again and again.
    fn plenty(self) -> u64 {
        self.floor.saturating_add(self.floor / 4)
    }

    /// Whether it is short, after it was so or not at the last look.
    fn is_short(self, was_short: bool) -> bool {
        self.free < if was_short { self.plenty() } else { self.floor }
    }
}

/// A folder that may lie on a disk of its own, and what of that is watched.
#[derive(Debug)]
struct Place {
    folder: PathBuf,
    room: Room,
    is_short: bool,
}

/// The disks under a worker's folder.
#[derive(Debug)]
pub(crate) struct Disk {
    /// The folder itself is the first.
    places: Vec<Place>,
    floor: Option<u64>,
    cache: Cache,
    capacity: Arc<Capacity>,
    /// Why nothing is taken, as it was told last.
    short: Option<String>,
}

impl Disk {
    /// Looks at once, so that a worker that comes says it, and then again and again, on a thread that may block.
    pub(crate) fn watch(folder: &Path, floor: Option<u64>, cache: &Cache, capacity: &Arc<Capacity>) {
        if floor == Some(0) {
            return;
        }
        let mut disk = Self::new(folder, floor, cache.clone(), Arc::clone(capacity));
        disk.look();
        tokio::spawn(async move {
            while !disk.capacity.is_over() {
                tokio::time::sleep(LOOK).await;
                let looked = tokio::task::spawn_blocking(move || {
                    disk.look();
                    disk
                });
                let Ok(back) = looked.await else { return };
                disk = back;
            }
        });
    }

    fn new(folder: &Path, floor: Option<u64>, cache: Cache, capacity: Arc<Capacity>) -> Self {
        let inner = [SPOOL, BLOBS, STUDIES].map(|name| folder.join(name));
        let folders = std::iter::once(folder.to_owned()).chain(inner);
        let both = |folder: PathBuf| {
            [Room::Bytes, Room::Files].map(|room| Place { folder: folder.clone(), room, is_short: false })
        };
        let places = folders.flat_map(both).collect();
        Self { places, floor, cache, capacity, short: None }
    }

    fn look(&mut self) {
        let mut spaces = self.spaces();
        if self.make_room(&spaces) {
            spaces = self.spaces();
        }
        self.judge(&spaces);
    }

    fn spaces(&self) -> Vec<Option<Space>> {
        self.places.iter().map(|place| Space::under(&place.folder, place.room, self.floor)).collect()
    }

    /// Removes what can be had again, where the disk that it lies on is short.
    fn make_room(&self, spaces: &[Option<Space>]) -> bool {
        let mut bytes = self.places.iter().zip(spaces).filter(|(place, _)| place.room == Room::Bytes);
        let blobs = bytes.find(|(place, _)| place.folder.ends_with(BLOBS));
        let short = blobs.and_then(|(place, space)| space.filter(|space| space.is_short(place.is_short)));
        if let Some(space) = short {
            cache::make_room(&self.cache, space.plenty().saturating_sub(space.free));
        }
        short.is_some()
    }

    /// What follows from how the disks stand, each under its place.
    fn judge(&mut self, spaces: &[Option<Space>]) {
        let was = self.places.iter().position(|place| place.is_short);
        for (place, space) in self.places.iter_mut().zip(spaces) {
            place.is_short = space.is_some_and(|space| space.is_short(place.is_short));
        }
        let known = self.places.iter().zip(spaces).filter_map(|(place, space)| Some((place, (*space)?)));
        let why = known.clone().find(|(place, _)| place.is_short).map(|(place, space)| why(place, space));
        if why == self.short {
            return;
        }
        // Only the first of several reasons is news; figures in it change with every look.
        let happened = match (&self.short, &why) {
            (None, Some(why)) => Some(why.clone()),
            (Some(_), None) => {
                was.and_then(|index| self.places.get(index).zip(*spaces.get(index)?)).map(|(place, space)| {
                    let (folder, free) = (place.folder.display(), place.room.words(space.free));
                    format!("the disk under {folder} has {free} free again")
                })
            }
            _ => None,
        };
        let limit = why.clone().map(|why| Limit { slots: 0, why });
        self.capacity.set(Need::Disk, || limit, happened.as_deref());
        self.short = why;
    }
}

/// Why nothing is taken, and what to do.
fn why(place: &Place, space: Space) -> String {
    let [free, floor, plenty] =
        [space.free, space.floor, space.plenty()].map(|number| place.room.words(number));
    let flag = if place.room == Room::Bytes { " (--min-free)" } else { "" };
    format!(
        "the disk under {} has {free} free and must keep {floor}{flag}; remove what is not needed there: from {plenty} on experiments \
         begin again",
        place.folder.display()
    )
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use ar_net::BlobStore;
    use ar_worker_core::Input;
    use tokio::sync::mpsc;

    use super::*;

    const GIB: u64 = 1 << 30;

    fn space(free: u64) -> Option<Space> {
        Some(Space { free, floor: 4 * GIB })
    }

    #[test]
    fn a_disk_is_short_below_the_floor_and_until_it_has_clearly_more() {
        let short = |free, was_short| Space { free, floor: 4 * GIB }.is_short(was_short);
        assert_eq!([4 * GIB - 1, 4 * GIB].map(|free| short(free, false)), [true, false]);
        assert_eq!([4 * GIB, 5 * GIB - 1, 5 * GIB].map(|free| short(free, true)), [true, true, false]);
        let none = Space { free: 0, floor: 0 };
        assert!(!none.is_short(false) && !none.is_short(true), "no floor is never reached");
        assert!(Space { free: u64::MAX - 1, floor: u64::MAX }.is_short(true), "whatever was asked for");
    }

    #[test]
    fn the_usual_floor_is_a_gibibyte_or_less_on_a_small_disk_and_a_disk_that_is_not_there_is_not_short() {
        let folder = tempfile::tempdir().unwrap();
        let disk = statvfs(folder.path()).unwrap();
        let all = disk.blocks() * disk.fragment_size();
        let floor = |asked| Space::under(folder.path(), Room::Bytes, asked).unwrap().floor;
        assert_eq!((floor(None), floor(Some(7))), (GIB.min(all / 50), 7));
        for room in [Room::Bytes, Room::Files] {
            assert_eq!(Space::under(&folder.path().join("none"), room, None), None);
        }
        let files = Space::under(folder.path(), Room::Files, Some(7)).map(|space| space.floor);
        assert_eq!(files, (disk.files() > 0).then(|| 10_000.min(disk.files() / 50)));
    }

    /// One that hears what it says.
    fn disk(folder: &Path) -> (Disk, mpsc::UnboundedReceiver<Input>) {
        let (inputs, heard) = mpsc::unbounded_channel();
        let cache = Cache::new(BlobStore::open(&folder.join(BLOBS)).unwrap(), u64::MAX);
        (Disk::new(folder, Some(4 * GIB), cache, Capacity::new(2, inputs)), heard)
    }

    #[test]
    fn any_disk_that_is_short_stops_all_and_each_change_is_said_once() {
        let folder = tempfile::tempdir().unwrap();
        let (mut disk, mut heard) = disk(folder.path());
        let mut judge = |root, spool, files| {
            let files = Some(Space { free: files, floor: 10_000 });
            disk.judge(&[space(root), files, space(spool), None, space(9 * GIB), None, None, None]);
            heard.try_recv().ok().map(|input| match input {
                Input::Capacity { slots, what, why_fewer } => (slots, what, why_fewer),
                other => panic!("{other:?}"),
            })
        };
        let mut judged = |root, spool| judge(root, spool, 10_000);
        assert_eq!(judged(4 * GIB, 8 * GIB), None);
        let (slots, what, why) = judged(8 * GIB, 3 * GIB).unwrap();
        let root = folder.path().display();
        let expected =
            format!("the disk under {root}/spool has 3 GiB free and must keep 4 GiB (--min-free); ");
        assert!(slots == 0 && what == why && why.starts_with(&expected), "{why}");
        assert!(why.ends_with(": from 5 GiB on experiments begin again"), "{why}");
        assert_eq!(judged(8 * GIB, 3 * GIB), None, "nothing has changed");
        let (slots, what, why) = judged(8 * GIB, GIB + GIB / 2).unwrap();
        assert_eq!((slots, what.as_str()), (0, ""), "only the figures have");
        assert!(why.contains("has 1.5 GiB free"), "{why}");
        let (.., why) = judged(4 * GIB + 1, 5 * GIB - 1).unwrap();
        assert!(
            why.contains("/spool has 5 GiB free"),
            "what was not short need not have clearly more: {why}"
        );
        assert_eq!(
            judged(4 * GIB + 1, 5 * GIB),
            Some((
                2,
                format!(
                    "the disk under {root}/spool has 5 GiB free again; 2 experiments at once from now on"
                ),
                String::new()
            ))
        );
        let (.., why) = judge(8 * GIB, 8 * GIB, 9_999).unwrap();
        let expected = format!("the disk under {root} has 9999 files (inodes) free and must keep 10000 ");
        assert!(why.starts_with(&expected) && !why.contains("--min-free"), "{why}");
        let (slots, what, _) = judge(8 * GIB, 8 * GIB, 12_500).unwrap();
        assert!(slots == 2 && what.contains("has 12500 files (inodes) free again"), "{what}");
    }

    #[test]
    fn what_can_be_had_again_goes_before_anything_stops() {
        let folder = tempfile::tempdir().unwrap();
        let (disk, _heard) = disk(folder.path());
        let old = [1, 2].map(|byte| disk.cache.store().put(&[byte; 100]).unwrap());
        for digest in &old {
            let file = std::fs::File::open(disk.cache.store().path(digest)).unwrap();
            file.set_modified(SystemTime::now() - Duration::from_secs(3600)).unwrap();
        }
        let _needed = disk.cache.pin([old[0]]);
        let here = || old.map(|digest| disk.cache.store().contains(&digest));
        let spaces = |blobs| [space(0), space(0), space(0), space(0), space(blobs), space(0), None, None];
        assert!(!disk.make_room(&spaces(4 * GIB)), "the files lie on another disk than that which is short");
        assert_eq!(here(), [true, true]);
        assert!(disk.make_room(&spaces(4 * GIB - 1)));
        assert_eq!(here(), [true, false]);
    }
}
