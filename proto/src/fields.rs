//! Single fields, in both directions.

use ar_common::frames::{CheckpointOrder, Gpu, Hardware, HeldLease, LeaseRef, LeaseStage};
use ar_common::{
    Block, Config, Device, Digest, Direction, ExperimentId, LeaseSeq, Member, Metric, Race, Rule, Seq,
    StudyId,
};

use crate::v1;

/// Longest text that a frame may carry in one field, bytes.
const TEXT_LIMIT: usize = 64 * 1024;
/// Most folds that an incumbent may have.
const FOLD_LIMIT: usize = 10_000;
/// Most GPUs that a worker may have; of one that is partitioned each instance counts.
const GPU_LIMIT: usize = 1_024;

/// A message that does not say what it must.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// A field is absent.
    #[error("the message lacks `{0}`; is the other side of another version?")]
    Missing(&'static str),
    /// A field is there and makes no sense.
    #[error("`{field}` is not valid: {why}")]
    Invalid {
        /// Which.
        field: &'static str,
        /// Why.
        why: String,
    },
}

pub(crate) fn invalid(field: &'static str, why: impl std::fmt::Display) -> WireError {
    WireError::Invalid { field, why: why.to_string() }
}

pub(crate) fn need<T>(value: Option<T>, field: &'static str) -> Result<T, WireError> {
    value.ok_or(WireError::Missing(field))
}

pub(crate) fn text(value: String, field: &'static str) -> Result<String, WireError> {
    if value.len() > TEXT_LIMIT {
        return Err(invalid(field, format!("{} bytes, at most {TEXT_LIMIT} are taken", value.len())));
    }
    Ok(value)
}

pub(crate) fn digest(value: &str, field: &'static str) -> Result<Digest, WireError> {
    value.parse().map_err(|error| invalid(field, error))
}

/// A study's identity names folders, so it is checked to be a digest.
pub(crate) fn study(value: &str) -> Result<StudyId, WireError> {
    digest(value, "study").map(|digest| StudyId(digest.to_string().into()))
}

pub(crate) fn lease_out(lease: &LeaseRef) -> v1::LeaseRef {
    v1::LeaseRef {
        experiment: lease.experiment.0,
        incarnation: lease.lease.incarnation,
        seq: lease.lease.seq.0,
    }
}

pub(crate) fn lease_in(lease: Option<v1::LeaseRef>) -> Result<LeaseRef, WireError> {
    let lease = need(lease, "lease")?;
    Ok(LeaseRef {
        experiment: ExperimentId(lease.experiment),
        lease: LeaseSeq { incarnation: lease.incarnation, seq: Seq(lease.seq) },
    })
}

pub(crate) fn held_out(held: &HeldLease) -> v1::HeldLease {
    let stage = match held.stage {
        LeaseStage::Queued => v1::LeaseStage::Queued,
        LeaseStage::Running => v1::LeaseStage::Running,
        LeaseStage::Uploading => v1::LeaseStage::Uploading,
    };
    v1::HeldLease { lease: Some(lease_out(&held.lease)), stage: stage.into() }
}

pub(crate) fn held_in(held: v1::HeldLease) -> Result<HeldLease, WireError> {
    let stage = match held.stage() {
        v1::LeaseStage::Queued => LeaseStage::Queued,
        v1::LeaseStage::Running => LeaseStage::Running,
        v1::LeaseStage::Uploading => LeaseStage::Uploading,
        v1::LeaseStage::Unspecified => return Err(invalid("stage", "unspecified")),
    };
    Ok(HeldLease { lease: lease_in(held.lease)?, stage })
}

pub(crate) fn hardware_out(hardware: &Hardware) -> v1::Hardware {
    v1::Hardware {
        host: hardware.host.clone(),
        platform: hardware.platform.clone(),
        cpu: hardware.cpu.clone(),
        cores: hardware.cores,
        memory: hardware.memory,
        isolation: hardware.isolation.clone(),
        gpus: hardware.gpus.iter().map(gpu_out).collect(),
        accelerator: hardware.accelerator.clone(),
    }
}

fn gpu_out(gpu: &Gpu) -> v1::Gpu {
    v1::Gpu {
        name: gpu.name.clone(),
        uuid: gpu.uuid.clone(),
        memory: gpu.memory,
        driver: gpu.driver.clone(),
        mig: gpu.mig,
    }
}

pub(crate) fn hardware_in(hardware: v1::Hardware) -> Result<Hardware, WireError> {
    Ok(Hardware {
        host: text(hardware.host, "host")?,
        platform: text(hardware.platform, "platform")?,
        cpu: text(hardware.cpu, "cpu")?,
        cores: hardware.cores,
        memory: hardware.memory,
        isolation: text(hardware.isolation, "isolation")?,
        gpus: gpus_in(hardware.gpus)?,
        accelerator: text(hardware.accelerator, "accelerator")?,
    })
}

fn gpus_in(gpus: Vec<v1::Gpu>) -> Result<Vec<Gpu>, WireError> {
    if gpus.len() > GPU_LIMIT {
        return Err(invalid("gpus", format!("{} of them, at most {GPU_LIMIT} are taken", gpus.len())));
    }
    let gpu = |gpu: v1::Gpu| {
        Ok(Gpu {
            name: text(gpu.name, "gpu.name")?,
            uuid: text(gpu.uuid, "gpu.uuid")?,
            memory: gpu.memory,
            driver: text(gpu.driver, "gpu.driver")?,
            mig: gpu.mig,
        })
    };
    gpus.into_iter().map(gpu).collect()
}

/// The GPUs that a grant wishes for.
pub(crate) fn devices_in(devices: Vec<String>) -> Result<Vec<String>, WireError> {
    if devices.len() > Device::MOST {
        let why = format!("{} of them, at most {} are taken", devices.len(), Device::MOST);
        return Err(invalid("devices", why));
    }
    devices.into_iter().map(|device| text(device, "devices")).collect()
}

pub(crate) fn config_out(config: &Config) -> std::collections::HashMap<String, String> {
    config.iter().map(|(dimension, option)| (dimension.to_owned(), option.to_owned())).collect()
}

pub(crate) fn config_in(config: std::collections::HashMap<String, String>) -> Result<Config, WireError> {
    if config.iter().any(|(dimension, option)| dimension.contains('\0') || option.contains('\0')) {
        return Err(invalid("config", "a name has a NUL"));
    }
    Ok(config.into_iter().collect())
}

pub(crate) fn members_out(members: &[Member]) -> Vec<v1::Member> {
    let member = |member: &Member| v1::Member { config: config_out(&member.config), weight: member.weight };
    members.iter().map(member).collect()
}

pub(crate) fn members_in(members: Vec<v1::Member>) -> Result<Vec<Member>, WireError> {
    if members.len() > ar_common::ensemble::MOST {
        let most = ar_common::ensemble::MOST;
        return Err(invalid("members", format!("{} of them, at most {most} are taken", members.len())));
    }
    let member = |member: v1::Member| Ok(Member { config: config_in(member.config)?, weight: member.weight });
    members.into_iter().map(member).collect()
}

pub(crate) fn block_out(block: Block) -> v1::Block {
    use v1::block::Kind;
    let kind = match block {
        Block::Cv { repeat } => Kind::CvRepeat(repeat),
        Block::Sealed => Kind::Sealed(v1::Empty {}),
        Block::Refit => Kind::Refit(v1::Empty {}),
        Block::Warm { from } => Kind::WarmFrom(from.0),
    };
    v1::Block { kind: Some(kind) }
}

pub(crate) fn block_in(block: Option<v1::Block>) -> Result<Block, WireError> {
    use v1::block::Kind;
    Ok(match need(need(block, "block")?.kind, "block.kind")? {
        Kind::CvRepeat(repeat) => Block::Cv { repeat },
        Kind::Sealed(_) => Block::Sealed,
        Kind::Refit(_) => Block::Refit,
        Kind::WarmFrom(from) => Block::Warm { from: ExperimentId(from) },
    })
}

pub(crate) fn checkpoint_out(order: &CheckpointOrder) -> v1::CheckpointOrder {
    let from = order.from.map(|digest| digest.to_string()).unwrap_or_default();
    v1::CheckpointOrder { from, better_than: order.better_than }
}

pub(crate) fn checkpoint_in(order: v1::CheckpointOrder) -> Result<CheckpointOrder, WireError> {
    let v1::CheckpointOrder { from, better_than } = order;
    let from = Some(from).filter(|from| !from.is_empty());
    let from = from.map(|from| digest(&from, "checkpoint.from")).transpose()?;
    if better_than.is_some_and(|score| !score.is_finite()) {
        return Err(invalid("checkpoint.better_than", "it is no number".to_owned()));
    }
    Ok(CheckpointOrder { from, better_than })
}

pub(crate) fn race_out(race: &Race) -> v1::Race {
    let metric = v1::Metric {
        name: race.metric.name.clone(),
        minimize: race.metric.direction == Direction::Minimize,
        low: race.metric.low,
        high: race.metric.high,
    };
    v1::Race {
        metric: Some(metric),
        incumbent: race.incumbent.clone(),
        least_folds: race.least_folds,
        latest: race.rule == Rule::Latest,
    }
}

pub(crate) fn race_in(race: v1::Race) -> Result<Race, WireError> {
    let metric = need(race.metric, "race.metric")?;
    let metric = Metric {
        name: text(metric.name, "race.metric.name")?,
        direction: if metric.minimize { Direction::Minimize } else { Direction::Maximize },
        low: metric.low,
        high: metric.high,
    };
    if race.incumbent.len() > FOLD_LIMIT {
        let why = format!("{} folds, at most {FOLD_LIMIT} are taken", race.incumbent.len());
        return Err(invalid("race.incumbent", why));
    }
    if let Some(why) = race.incumbent.iter().find_map(|score| metric.refuse(*score)) {
        return Err(invalid("race.incumbent", why));
    }
    if race.least_folds < Race::LEAST_FOLDS {
        let why = format!("{} is less than {}", race.least_folds, Race::LEAST_FOLDS);
        return Err(invalid("race.least_folds", why));
    }
    let rule = if race.latest { Rule::Latest } else { Rule::EveryFold };
    Ok(Race { metric, incumbent: race.incumbent, least_folds: race.least_folds, rule })
}
