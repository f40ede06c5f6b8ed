//! GPUs for attempts: one takes a set, runs, and gives it back whole; what is not whole is quarantined.

use std::collections::BTreeMap;
use std::sync::Arc;

use ar_common::{Device as DeviceUsed, Outcome};
use tokio::sync::watch;

use super::pool::{Held, Pool};
use super::reading::Device;
use super::recovery;
use super::sampling::Sampling;
use crate::capacity::{Capacity, Limit, Need};

/// What is needed to lend GPUs.
#[derive(Debug)]
pub(crate) struct Setup {
    pub(crate) devices: Vec<Device>,
    /// GPUs of one attempt; 0 pins none.
    pub(crate) each: usize,
    /// What attempts run on that hold no GPU, where that is known.
    pub(crate) class: Option<String>,
    /// What is told of GPUs that fail and recover.
    pub(crate) capacity: Arc<Capacity>,
    /// Turns true when the worker leaves: then nobody waits for a GPU to recover.
    pub(crate) leave: watch::Receiver<bool>,
}

/// The GPUs of a worker.
#[derive(Debug)]
pub(crate) struct Gpus {
    setup: Setup,
    pool: Pool,
}

/// What an attempt runs on.
#[derive(Debug)]
pub(crate) struct InUse {
    gpus: Arc<Gpus>,
    held: Held,
    /// Each GPU with the bytes that were in use before the run.
    before: Vec<(Device, Option<u64>)>,
    sampling: Option<Sampling>,
    lost: watch::Receiver<Option<String>>,
}

impl Gpus {
    pub(crate) fn new(setup: Setup) -> Arc<Self> {
        let pool = Pool::new(setup.devices.iter().map(|device| device.gpu.uuid.clone()));
        Arc::new(Self { setup, pool })
    }

    /// Takes GPUs for an attempt, those that it wants if they are free, and begins to watch them. Waits where there are
    /// more attempts than GPUs.
    pub(crate) async fn begin(self: &Arc<Self>, wanted: &[String]) -> InUse {
        let held = self.pool.take(self.setup.each, wanted).await;
        let mut before = Vec::new();
        for uuid in held.uuids() {
            if let Some(device) = self.setup.devices.iter().find(|device| device.gpu.uuid == *uuid) {
                let memory = device.ask().await.ok().and_then(|reading| reading.memory);
                before.push((device.clone(), memory));
            }
        }
        let devices: Vec<Device> = before.iter().map(|(device, _)| device.clone()).collect();
        let sampling = (!devices.is_empty()).then(|| Sampling::start(devices));
        let lost = sampling.as_ref().map_or_else(|| watch::channel(None).1, Sampling::lost);
        InUse { gpus: Arc::clone(self), held, before, sampling, lost }
    }

    /// How many attempts can run at once by now, if that is fewer than usual. A worker that has more slots than GPUs runs other
    /// things in them.
    fn limit(&self) -> Option<Limit> {
        let sets = |gpus: usize| u32::try_from(gpus / self.setup.each.max(1)).unwrap_or(u32::MAX);
        let (usual, all, usable) =
            (self.setup.capacity.usual(), self.setup.devices.len(), self.pool.usable());
        if usual > sets(all) || usual <= sets(usable) {
            return None;
        }
        let aside = all.saturating_sub(usable);
        let why = format!("of {all} GPUs {aside} cannot be used until they have recovered");
        Some(Limit { slots: sets(usable), why })
    }

    fn tell(&self, happened: &str) {
        self.setup.capacity.set(Need::Gpus, || self.limit(), Some(happened));
    }

    /// Looks after a quarantined GPU until it can be used again.
    fn readmit_later(self: &Arc<Self>, device: Device, before: Option<u64>) {
        let (gpus, mut leave) = (Arc::clone(self), self.setup.leave.clone());
        tokio::spawn(async move {
            tokio::select! {
                () = recovery::recovered(&device, before) => {
                    gpus.pool.readmit(&device.gpu.uuid);
                    gpus.tell(&format!("GPU {} has recovered and is used again", device.gpu.uuid));
                }
                _ = leave.wait_for(|leave| *leave) => {}
            }
        });
    }
}

impl InUse {
    /// The value of `CUDA_VISIBLE_DEVICES`; none where nothing is pinned.
    pub(crate) fn visible(&self) -> Option<String> {
        (!self.held.uuids().is_empty()).then(|| self.held.uuids().join(","))
    }

    /// Why a GPU is lost. Waits until one is.
    pub(crate) async fn lost(&self) -> String {
        let mut lost = self.lost.clone();
        let why = lost.wait_for(Option::is_some).await.ok().and_then(|why| why.clone());
        match why {
            Some(why) => why,
            None => std::future::pending().await,
        }
    }

    /// Gives the GPUs back once they are whole, and adds to an outcome what was seen of them.
    pub(crate) async fn end(mut self, outcome: Outcome) -> Outcome {
        let figures = match self.sampling.take() {
            Some(sampling) => sampling.finish().await,
            None => BTreeMap::new(),
        };
        let lost = self.lost.borrow().clone();
        let outcome = match (lost, outcome) {
            (Some(reason), _) => Outcome::Crashed { reason },
            (None, Outcome::Done(mut measures)) => {
                if !figures.is_empty() {
                    measures.figures.get_or_insert_default().extend(figures);
                }
                measures.device = self.device().map(Box::new);
                Outcome::Done(measures)
            }
            (None, failed) => failed,
        };
        if !matches!(outcome, Outcome::Done(_)) {
            self.recover().await;
        }
        outcome
    }

    fn device(&self) -> Option<DeviceUsed> {
        if self.before.is_empty() {
            return Some(DeviceUsed { class: self.gpus.setup.class.clone()?, ids: Vec::new() });
        }
        let class = DeviceUsed::class_of(self.before.iter().map(|(device, _)| device.gpu.name.as_str()));
        Some(DeviceUsed { class, ids: self.held.uuids().to_vec() })
    }

    /// Waits until the memory of what was killed is free; quarantines what does not come back.
    async fn recover(&mut self) {
        let mut leave = self.gpus.setup.leave.clone();
        // One for all of them.
        let until = recovery::deadline();
        for (device, before) in std::mem::take(&mut self.before) {
            let recovered = tokio::select! {
                recovered = recovery::wait(&device, before, until) => recovered,
                _ = leave.wait_for(|leave| *leave) => return,
            };
            if let Err(broken) = recovered {
                self.held.quarantine(&device.gpu.uuid);
                self.gpus.tell(&format!("quarantined: {broken}"));
                self.gpus.readmit_later(device, before);
            }
        }
    }
}
