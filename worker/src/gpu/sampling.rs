//! What a run takes of its GPUs.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;

use super::reading::{Device, Reading, Unread};

/// How often the GPUs of a run are looked at.
const SAMPLE: Duration = Duration::from_millis(500);
/// How long the last look may take.
const LAST: Duration = Duration::from_secs(6);
/// Bytes in a mebibyte.
const MIB: f64 = (1 << 20) as f64;

const ENERGY: &str = "gpu_energy_j";
const UTILIZATION: &str = "gpu_utilization_percent";
const PEAK_MEMORY: &str = "gpu_peak_memory_mb";
const TEMPERATURE: &str = "gpu_max_temperature_c";
/// The figures that are measured here. What a script prints under these names does not count.
pub(crate) const FIGURES: [&str; 4] = [ENERGY, UTILIZATION, PEAK_MEMORY, TEMPERATURE];

/// The looks at a run's GPUs, under way.
#[derive(Debug)]
pub(super) struct Sampling {
    stop: oneshot::Sender<()>,
    task: JoinHandle<Usage>,
    lost: watch::Receiver<Option<String>>,
}

impl Sampling {
    /// Looks at once, and then now and then. What is slow to answer is looked at less often.
    pub(super) fn start(devices: Vec<Device>) -> Self {
        let (stop, stopped) = oneshot::channel();
        let (tell, lost) = watch::channel(None);
        let task = tokio::spawn(sample(devices, stopped, tell));
        Self { stop, task, lost }
    }

    /// Turns to the reason when one of the GPUs is lost.
    pub(super) fn lost(&self) -> watch::Receiver<Option<String>> {
        self.lost.clone()
    }

    /// Looks a last time. Nothing is known if the driver hangs.
    pub(super) async fn finish(self) -> BTreeMap<String, f64> {
        // It has ended by itself where the driver does not answer.
        let _ = self.stop.send(());
        let ended = tokio::time::timeout(LAST, self.task).await;
        ended.ok().and_then(Result::ok).map(|usage| usage.figures()).unwrap_or_default()
    }
}

/// Ends when it is told to, or when nobody is left to tell it.
async fn sample(
    devices: Vec<Device>,
    mut stopped: oneshot::Receiver<()>,
    tell: watch::Sender<Option<String>>,
) -> Usage {
    let mut usage = Usage::new(devices.len());
    let mut tick = tokio::time::interval(SAMPLE);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let began = Instant::now();
    let mut last = false;
    while !last {
        tokio::select! {
            _ = &mut stopped => last = true,
            _ = tick.tick() => {}
        }
        let mut readings = Vec::with_capacity(devices.len());
        for device in &devices {
            match device.ask().await {
                Ok(reading) => readings.push(reading),
                Err(Unread::Lost(lost)) => {
                    tell.send_replace(Some(lost.to_string()));
                    return usage;
                }
                Err(error @ Unread::NoAnswer(_)) => {
                    tracing::warn!(%error, "what this run takes of its GPUs is not known any further");
                    return usage;
                }
            }
        }
        usage.take(began.elapsed().as_secs_f64(), &readings);
    }
    usage
}

/// What was seen so far.
#[derive(Debug, Default)]
struct Usage {
    devices: Vec<DeviceUsage>,
    /// Bytes of all GPUs together, at their highest.
    peak_memory: Option<u64>,
    utilization: (f64, u32),
    temperature: Option<u32>,
}

/// The energy of one GPU, in two ways.
#[derive(Debug, Default)]
struct DeviceUsage {
    /// Its counter in millijoules, first and last.
    counter: Option<(u64, u64)>,
    /// Joules, as the area under its power.
    area: Option<f64>,
    /// When its power was last seen, seconds, and what it was, watts.
    power: Option<(f64, f64)>,
}

impl Usage {
    fn new(devices: usize) -> Self {
        Self { devices: (0..devices).map(|_| DeviceUsage::default()).collect(), ..Self::default() }
    }

    /// One look, so many seconds after the first.
    fn take(&mut self, at: f64, readings: &[Reading]) {
        let memory: Option<u64> = readings.iter().map(|reading| reading.memory).sum();
        self.peak_memory = self.peak_memory.max(memory);
        for (usage, reading) in self.devices.iter_mut().zip(readings) {
            if let Some(percent) = reading.utilization {
                self.utilization.0 += f64::from(percent);
                self.utilization.1 += 1;
            }
            self.temperature = self.temperature.max(reading.temperature);
            usage.take(at, reading);
        }
    }

    fn figures(&self) -> BTreeMap<String, f64> {
        let energy: Option<f64> = self.devices.iter().map(DeviceUsage::joules).sum();
        let (sum, count) = self.utilization;
        let figures = [
            (ENERGY, energy.filter(|_| !self.devices.is_empty())),
            (UTILIZATION, (count > 0).then(|| sum / f64::from(count))),
            (PEAK_MEMORY, self.peak_memory.filter(|peak| *peak > 0).map(|peak| peak as f64 / MIB)),
            (TEMPERATURE, self.temperature.map(f64::from)),
        ];
        figures.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
    }
}

impl DeviceUsage {
    fn take(&mut self, at: f64, reading: &Reading) {
        if let Some(now) = reading.energy {
            self.counter = Some((self.counter.map_or(now, |(first, _)| first), now));
        }
        if let Some(watts) = reading.power.map(|milliwatts| f64::from(milliwatts) / 1e3) {
            if let Some((before, then)) = self.power {
                *self.area.get_or_insert(0.0) += (at - before) * (watts + then) / 2.0;
            }
            self.power = Some((at, watts));
        }
    }

    /// By its counter, if it has one that went forward.
    fn joules(&self) -> Option<f64> {
        let counted = self.counter.and_then(|(first, last)| last.checked_sub(first));
        counted.map(|millijoules| millijoules as f64 / 1e3).or(self.area)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(memory: u64, utilization: u32, temperature: u32) -> Reading {
        let (memory, utilization) = (Some(memory << 20), Some(utilization));
        Reading { memory, utilization, temperature: Some(temperature), power: None, energy: None }
    }

    #[test]
    fn peaks_and_means_are_over_all_gpus_and_looks() {
        let mut usage = Usage::new(2);
        usage.take(0.0, &[reading(100, 0, 40), reading(300, 50, 60)]);
        usage.take(0.5, &[reading(500, 100, 50), reading(0, 50, 55)]);
        let figures = usage.figures();
        assert_eq!(figures[PEAK_MEMORY], 500.0, "held at one moment");
        assert_eq!((figures[UTILIZATION], figures[TEMPERATURE]), (50.0, 60.0));
        assert_eq!(figures.get(ENERGY), None, "it is not known");
    }

    #[test]
    fn energy_is_counted_or_else_the_area_under_the_power() {
        let energy = |readings: &[Reading]| {
            let mut usage = Usage::new(1);
            for (second, reading) in (0_u32..).zip(readings) {
                usage.take(f64::from(second), &[*reading]);
            }
            usage.figures().get(ENERGY).copied()
        };
        let counter = |energy| Reading { energy: Some(energy), power: Some(9_000), ..Reading::default() };
        assert_eq!(energy(&[counter(5_000), counter(5_500), counter(7_500)]), Some(2.5));
        assert_eq!(energy(&[counter(5_000), counter(100)]), Some(9.0), "a counter that began anew");
        let power = |watts: u32| Reading { power: Some(watts * 1_000), ..Reading::default() };
        assert_eq!(energy(&[power(100), power(200), power(200)]), Some(350.0));
        assert_eq!(energy(&[power(100), Reading::default(), power(100)]), Some(200.0), "over a gap");
        assert_eq!(energy(&[power(100)]), None, "one look is no time");
        assert_eq!(energy(&[]), None);
    }

    #[test]
    fn what_one_of_two_gpus_does_not_tell_is_not_known_of_both() {
        let mut usage = Usage::new(2);
        let known = Reading { energy: Some(1), memory: Some(1 << 20), ..Reading::default() };
        usage.take(0.0, &[known, Reading::default()]);
        usage.take(1.0, &[known, Reading::default()]);
        assert!(usage.figures().is_empty(), "{:?}", usage.figures());
    }
}
