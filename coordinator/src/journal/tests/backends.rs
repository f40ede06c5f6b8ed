//! Disks that misbehave on request.

use std::fs::OpenOptions;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use redb::backends::FileBackend;
use redb::{Builder, Database, StorageBackend};

fn file(path: &Path) -> FileBackend {
    FileBackend::new(OpenOptions::new().read(true).write(true).open(path).unwrap()).unwrap()
}

/// A disk that can be full.
#[derive(Debug)]
pub(super) struct Full {
    inner: FileBackend,
    full: Arc<AtomicBool>,
}

/// Says whether a [`Full`] disk is full.
pub(super) struct Switch(Arc<AtomicBool>);

impl Switch {
    pub(super) fn set(&self, full: bool) {
        self.0.store(full, Ordering::SeqCst);
    }
}

impl Full {
    pub(super) fn over(path: &Path) -> (Database, Switch) {
        let full = Arc::new(AtomicBool::new(false));
        let backend = Self { inner: file(path), full: Arc::clone(&full) };
        (Builder::new().create_with_backend(backend).unwrap(), Switch(full))
    }

    fn check(&self) -> io::Result<()> {
        if self.full.load(Ordering::SeqCst) { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }
}

impl StorageBackend for Full {
    fn len(&self) -> io::Result<u64> {
        self.inner.len()
    }
    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.inner.read(offset, out)
    }
    fn set_len(&self, len: u64) -> io::Result<()> {
        self.check()?;
        self.inner.set_len(len)
    }
    fn sync_data(&self) -> io::Result<()> {
        self.inner.sync_data()
    }
    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.check()?;
        self.inner.write(offset, data)
    }
}

/// A disk whose syncs can be held up.
#[derive(Debug)]
pub(super) struct Slow {
    inner: FileBackend,
    gate: Arc<Mutex<()>>,
}

/// Holds up a [`Slow`] disk.
pub(super) struct Gate(Arc<Mutex<()>>);

impl Gate {
    pub(super) fn hold(&self) -> MutexGuard<'_, ()> {
        self.0.lock().unwrap()
    }
}

impl Slow {
    pub(super) fn over(path: &Path) -> (Database, Gate) {
        let gate = Arc::new(Mutex::new(()));
        let backend = Self { inner: file(path), gate: Arc::clone(&gate) };
        (Builder::new().create_with_backend(backend).unwrap(), Gate(gate))
    }
}

impl StorageBackend for Slow {
    fn len(&self) -> io::Result<u64> {
        self.inner.len()
    }
    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.inner.read(offset, out)
    }
    fn set_len(&self, len: u64) -> io::Result<()> {
        self.inner.set_len(len)
    }
    fn sync_data(&self) -> io::Result<()> {
        let _held = self.gate.lock().unwrap();
        self.inner.sync_data()
    }
    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.inner.write(offset, data)
    }
}

/// A disk that remembers what a power cut right before each sync could have left: every sector
/// written since the last sync may or may not be there. The length of the file is never behind.
#[derive(Debug, Clone)]
pub(super) struct Fragile(Arc<Mutex<Disk>>);

#[derive(Debug)]
struct Disk {
    current: Vec<u8>,
    durable: Vec<u8>,
    written: Vec<(usize, Vec<u8>)>,
    cuts: Vec<Vec<u8>>,
    rng: ChaCha8Rng,
}

const SECTOR: usize = 512;

impl Fragile {
    pub(super) fn with(content: Vec<u8>, seed: u64) -> Self {
        let durable = content.clone();
        let rng = ChaCha8Rng::seed_from_u64(seed);
        Self(Arc::new(Mutex::new(Disk { current: content, durable, written: vec![], cuts: vec![], rng })))
    }

    /// What the power cuts since the last call would have left.
    pub(super) fn cuts(&self) -> Vec<Vec<u8>> {
        std::mem::take(&mut self.0.lock().unwrap().cuts)
    }
}

impl Disk {
    fn cut(&mut self) {
        let mut image = self.durable.clone();
        let share = self.rng.random_range(0.0..=1.0);
        for (offset, data) in &self.written {
            // Writes come in any order; within one, each sector is whole or untouched.
            for (index, sector) in data.chunks(SECTOR).enumerate() {
                let start = offset + index * SECTOR;
                if self.rng.random_bool(share) {
                    image[start..start + sector.len()].copy_from_slice(sector);
                }
            }
        }
        self.cuts.push(image);
    }
}

impl StorageBackend for Fragile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.lock().unwrap().current.len() as u64)
    }
    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let start = offset as usize;
        out.copy_from_slice(&self.0.lock().unwrap().current[start..start + out.len()]);
        Ok(())
    }
    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut disk = self.0.lock().unwrap();
        disk.written.retain(|(offset, data)| offset + data.len() <= len as usize);
        disk.current.resize(len as usize, 0);
        disk.durable.resize(len as usize, 0);
        Ok(())
    }
    fn sync_data(&self) -> io::Result<()> {
        let mut disk = self.0.lock().unwrap();
        disk.cut();
        disk.cut();
        disk.written.clear();
        disk.durable = disk.current.clone();
        Ok(())
    }
    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut disk = self.0.lock().unwrap();
        let start = offset as usize;
        disk.current[start..start + data.len()].copy_from_slice(data);
        disk.written.push((start, data.to_vec()));
        Ok(())
    }
}
