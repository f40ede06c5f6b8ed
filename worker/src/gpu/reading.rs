//! What the driver says of a GPU at one moment.

use std::sync::Arc;
use std::time::Duration;

use ar_common::frames::Gpu;
use nvml_wrapper::enum_wrappers::device::TemperatureSensor;
use nvml_wrapper::error::NvmlError;

/// How long the driver may take to answer before what it would say is not known.
const ANSWER: Duration = Duration::from_secs(5);

/// A GPU that attempts can be pinned to.
#[derive(Debug, Clone)]
pub(crate) struct Device {
    pub(crate) gpu: Gpu,
    /// The library stays loaded for as long as this process lives.
    pub(super) handle: Arc<nvml_wrapper::Device<'static>>,
}

/// What is known of a GPU at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Reading {
    /// Bytes in use, by whomever.
    pub(crate) memory: Option<u64>,
    /// Percent of the last moments in which it computed.
    pub(crate) utilization: Option<u32>,
    /// Degrees Celsius.
    pub(crate) temperature: Option<u32>,
    /// Milliwatts.
    pub(crate) power: Option<u32>,
    /// Millijoules since the driver was loaded.
    pub(crate) energy: Option<u64>,
}

/// The driver does not reach a GPU any more.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("GPU {uuid} is lost: the driver does not reach it any more")]
pub(crate) struct Lost {
    /// Which.
    pub(crate) uuid: String,
}

/// Why a GPU gave no reading.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unread {
    #[error(transparent)]
    Lost(#[from] Lost),
    /// The driver hangs, or the thread that asked it ended.
    #[error("the driver does not answer for GPU {0}")]
    NoAnswer(String),
}

impl Device {
    /// Asks the driver, which may take a while. What it does not know, or what this version of it cannot tell, is `None`.
    pub(crate) fn read(&self) -> Result<Reading, Lost> {
        let handle = &self.handle;
        Ok(Reading {
            memory: self.known(handle.memory_info())?.map(|memory| memory.used),
            utilization: self.known(handle.utilization_rates())?.map(|rates| rates.gpu),
            temperature: self.known(handle.temperature(TemperatureSensor::Gpu))?,
            power: self.known(handle.power_usage())?,
            energy: self.known(handle.total_energy_consumption())?,
        })
    }

    /// As [`Device::read`], on another thread: a driver that hangs must not hold the session up.
    pub(crate) async fn ask(&self) -> Result<Reading, Unread> {
        let device = self.clone();
        let asked = tokio::task::spawn_blocking(move || device.read());
        match tokio::time::timeout(ANSWER, asked).await {
            Ok(Ok(read)) => Ok(read?),
            Ok(Err(_)) | Err(_) => Err(Unread::NoAnswer(self.gpu.uuid.clone())),
        }
    }

    fn known<T>(&self, answer: Result<T, NvmlError>) -> Result<Option<T>, Lost> {
        match answer {
            Ok(value) => Ok(Some(value)),
            Err(NvmlError::GpuLost | NvmlError::ResetRequired) => Err(Lost { uuid: self.gpu.uuid.clone() }),
            Err(_) => Ok(None),
        }
    }
}
