//! How studies share workers, and what they need of them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::frames::Hello;

/// How a study shares the workers with others. Not part of its identity.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Share {
    /// Of the slots that two studies of one priority want, each gets its part by this; above 0.
    pub weight: f64,
    /// A study of a higher one is served first.
    pub priority: i32,
    /// Experiments that it may have out at once; any number if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub most: Option<u32>,
}

impl Default for Share {
    fn default() -> Self {
        Self { weight: 1.0, priority: 0, most: None }
    }
}

impl Share {
    /// Whether nothing was asked for; then it is not written down.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// What a worker must have. Not part of a study's identity.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Needs {
    /// GPUs in the machine, at least.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gpus: Option<u32>,
    /// Part of the name of each of its GPUs, e.g. `4090`; upper and lower case are the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gpu: Option<String>,
    /// Bytes of memory in the machine, at least.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<u64>,
    /// Labels that it was started with.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
}

impl Needs {
    /// Whether any worker will do; then it is not written down.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// What a worker lacks, each in a few words; nothing if it will do.
    pub fn lacking(&self, worker: &Hello) -> Vec<String> {
        let hardware = &worker.hardware;
        let mut lacking = Vec::new();
        if let Some(gpus) = self.gpus.filter(|gpus| (hardware.gpus.len() as u64) < u64::from(*gpus)) {
            lacking.push(format!("{} GPUs of {gpus}", hardware.gpus.len()));
        }
        if let Some(name) = &self.gpu {
            let wanted = name.to_lowercase();
            let is_it = |gpu: &crate::frames::Gpu| gpu.name.to_lowercase().contains(&wanted);
            if hardware.gpus.is_empty() || !hardware.gpus.iter().all(is_it) {
                lacking.push(format!("no GPU `{name}`"));
            }
        }
        if let Some(memory) = self.memory.filter(|memory| hardware.memory < *memory) {
            lacking.push(format!("{} of {} MiB of memory", hardware.memory >> 20, memory >> 20));
        }
        for (name, value) in &self.labels {
            match worker.labels.get(name) {
                Some(has) if has == value => {}
                Some(has) => lacking.push(format!("{name}={has} instead of {value}")),
                None => lacking.push(format!("no label {name}={value}")),
            }
        }
        lacking
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frames::{Gpu, Hardware};
    use crate::ids::WorkerId;

    fn worker() -> Hello {
        let gpu = Gpu { name: "NVIDIA GeForce RTX 4090".into(), ..Gpu::default() };
        Hello {
            worker: WorkerId("w".into()),
            boot: 1,
            protocol_min: 1,
            protocol_max: 1,
            hardware: Hardware { gpus: vec![gpu.clone(), gpu], memory: 64 << 30, ..Hardware::default() },
            slots: 2,
            leases: vec![],
            spooled: vec![],
            labels: [("zone".to_owned(), "a".to_owned())].into(),
        }
    }

    #[test]
    fn what_is_lacking_is_named_and_what_is_there_is_not() {
        let labels = |value: &str| [("zone".to_owned(), value.to_owned())].into();
        let needs = Needs {
            gpus: Some(2),
            gpu: Some("rtx 4090".into()),
            memory: Some(64 << 30),
            labels: labels("a"),
        };
        assert_eq!(needs.lacking(&worker()), Vec::<String>::new());
        assert!(Needs::default().lacking(&worker()).is_empty());
        let more =
            Needs { gpus: Some(4), gpu: Some("H100".into()), memory: Some(65 << 30), labels: labels("b") };
        let lacking = more.lacking(&worker()).join("; ");
        assert_eq!(lacking, "2 GPUs of 4; no GPU `H100`; 65536 of 66560 MiB of memory; zone=a instead of b");
        let none = Hello { labels: BTreeMap::new(), ..worker() };
        assert_eq!(more.lacking(&none).last().map(String::as_str), Some("no label zone=b"));
    }
}
