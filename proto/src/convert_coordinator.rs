//! Frames from coordinator to worker.

use ar_common::frames::{CoordinatorFrame, Grant};
use ar_common::{Attempt, Epoch};

use crate::fields::{self, WireError, lease_in, lease_out, need, text};
use crate::v1::{self, coordinator_frame::Frame};

/// Puts a batch of frames into one message.
pub fn coordinator_message<'a>(
    epoch: Epoch,
    frames: impl IntoIterator<Item = &'a CoordinatorFrame>,
) -> v1::CoordinatorMessage {
    let frames =
        frames.into_iter().map(|frame| v1::CoordinatorFrame { frame: Some(frame_out(frame)) }).collect();
    v1::CoordinatorMessage { epoch: epoch.0, frames }
}

/// Reads a batch of frames and the epoch that they come from.
///
/// # Errors
/// When a frame lacks a field or has one that makes no sense.
pub fn read_coordinator_message(
    message: v1::CoordinatorMessage,
) -> Result<(Epoch, Vec<CoordinatorFrame>), WireError> {
    let epoch = Epoch(message.epoch);
    let read = |frame: v1::CoordinatorFrame| frame_in(epoch, need(frame.frame, "frame")?);
    let frames = message.frames.into_iter().map(read).collect::<Result<_, _>>()?;
    Ok((epoch, frames))
}

fn frame_out(frame: &CoordinatorFrame) -> Frame {
    match frame {
        CoordinatorFrame::Welcome { cluster, lease_ttl_ms, heartbeat_ms, protocol, .. } => {
            Frame::Welcome(v1::Welcome {
                cluster: *cluster,
                lease_ttl_ms: *lease_ttl_ms,
                heartbeat_ms: *heartbeat_ms,
                protocol: *protocol,
            })
        }
        CoordinatorFrame::Prepare { study, tree } => {
            Frame::Prepare(v1::Prepare { study: study.to_string(), tree: tree.to_string() })
        }
        CoordinatorFrame::Grant(grant) => Frame::Grant(v1::Grant {
            lease: Some(lease_out(&grant.lease)),
            attempt: grant.attempt.0,
            study: grant.study.to_string(),
            config: fields::config_out(&grant.config),
            block: Some(fields::block_out(grant.block)),
            reference: fields::config_out(&grant.reference),
            deadline_ms: grant.deadline_ms,
            grace_ms: grant.grace_ms,
            memory: grant.memory,
            members: fields::members_out(&grant.members),
            race: grant.race.as_deref().map(fields::race_out),
            devices: grant.devices.clone(),
            checkpoint: grant.checkpoint.as_deref().map(fields::checkpoint_out),
            // The shells see to it.
            traceparent: String::new(),
        }),
        CoordinatorFrame::Revoke { lease } => Frame::Revoke(v1::Revoke { lease: Some(lease_out(lease)) }),
        CoordinatorFrame::Cancel { lease, why } => {
            Frame::Cancel(v1::Cancel { lease: Some(lease_out(lease)), why: why.clone() })
        }
        CoordinatorFrame::Ack { lease } => Frame::Ack(v1::Ack { lease: Some(lease_out(lease)) }),
        CoordinatorFrame::Refused { lease, why } => {
            Frame::Refused(v1::Refused { lease: Some(lease_out(lease)), why: why.clone() })
        }
        CoordinatorFrame::Drain => Frame::Drain(v1::Drain {}),
    }
}

fn frame_in(epoch: Epoch, frame: Frame) -> Result<CoordinatorFrame, WireError> {
    Ok(match frame {
        Frame::Welcome(welcome) => CoordinatorFrame::Welcome {
            cluster: welcome.cluster,
            epoch,
            lease_ttl_ms: welcome.lease_ttl_ms,
            heartbeat_ms: welcome.heartbeat_ms.max(1),
            protocol: welcome.protocol,
        },
        Frame::Prepare(prepare) => CoordinatorFrame::Prepare {
            study: fields::study(&prepare.study)?,
            tree: fields::digest(&prepare.tree, "tree")?,
        },
        Frame::Grant(grant) => CoordinatorFrame::Grant(Grant {
            lease: lease_in(grant.lease)?,
            attempt: Attempt(grant.attempt),
            study: fields::study(&grant.study)?,
            config: fields::config_in(grant.config)?,
            block: fields::block_in(grant.block)?,
            reference: fields::config_in(grant.reference)?,
            deadline_ms: grant.deadline_ms,
            grace_ms: grant.grace_ms,
            memory: grant.memory,
            members: fields::members_in(grant.members)?,
            race: grant.race.map(fields::race_in).transpose()?.map(Box::new),
            devices: fields::devices_in(grant.devices)?,
            checkpoint: grant.checkpoint.map(fields::checkpoint_in).transpose()?.map(Box::new),
        }),
        Frame::Revoke(revoke) => CoordinatorFrame::Revoke { lease: lease_in(revoke.lease)? },
        Frame::Cancel(cancel) => {
            CoordinatorFrame::Cancel { lease: lease_in(cancel.lease)?, why: text(cancel.why, "why")? }
        }
        Frame::Ack(ack) => CoordinatorFrame::Ack { lease: lease_in(ack.lease)? },
        Frame::Refused(refused) => {
            CoordinatorFrame::Refused { lease: lease_in(refused.lease)?, why: text(refused.why, "why")? }
        }
        Frame::Drain(_) => CoordinatorFrame::Drain,
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use ar_common::frames::{CheckpointOrder, LeaseRef};
    use ar_common::{Block, Digest, ExperimentId, LeaseSeq, Seq, StudyId};
    use prost::Message;

    use super::*;

    /// Every frame, from epoch 4.
    pub(crate) fn frames() -> Vec<CoordinatorFrame> {
        let lease =
            LeaseRef { experiment: ExperimentId(3), lease: LeaseSeq { incarnation: 9, seq: Seq(40) } };
        let study = StudyId(Digest::of(b"study").to_string().into());
        let config: ar_common::Config = [("scale", "none")].into_iter().collect();
        let (metric, _) = ar_common::Metric::tabular("rmse").unwrap();
        let race = ar_common::Race::against(&metric, &[1.0 / 3.0, 0.1 + 0.2, 2.5]);
        assert!(race.is_some());
        let grant = |block, members: &[ar_common::Member]| {
            CoordinatorFrame::Grant(Grant {
                lease,
                attempt: Attempt(2),
                study: study.clone(),
                config: config.clone(),
                block,
                reference: config.with("scale", "base"),
                deadline_ms: 60_000,
                grace_ms: 2_000,
                memory: Some(1 << 30),
                members: members.to_vec(),
                race: race.clone().filter(|_| block == Block::FIRST).map(Box::new),
                devices: members.iter().map(|member| format!("GPU-{}", member.weight)).collect(),
                checkpoint: match block {
                    Block::Warm { .. } => Some(Box::new(CheckpointOrder {
                        from: Some(Digest::of(b"model")),
                        better_than: Some(0.1 + 0.2),
                    })),
                    Block::FIRST => Some(Box::new(CheckpointOrder { from: None, better_than: None })),
                    _ => None,
                },
            })
        };
        let members = [1, 3].map(|weight| ar_common::Member { config: config.clone(), weight });
        vec![
            CoordinatorFrame::Welcome {
                cluster: 1,
                epoch: Epoch(4),
                lease_ttl_ms: 45_000,
                heartbeat_ms: 10_000,
                protocol: 1,
            },
            CoordinatorFrame::Prepare { study: study.clone(), tree: Digest::of(b"tree") },
            grant(Block::FIRST, &[]),
            grant(Block::Cv { repeat: 3 }, &members),
            grant(Block::Sealed, &[]),
            grant(Block::Refit, &members),
            grant(Block::Warm { from: ExperimentId(1) }, &[]),
            CoordinatorFrame::Revoke { lease },
            CoordinatorFrame::Cancel { lease, why: "time".into() },
            CoordinatorFrame::Ack { lease },
            CoordinatorFrame::Refused { lease, why: "older".into() },
            CoordinatorFrame::Drain,
        ]
    }

    #[test]
    fn every_frame_survives_the_wire_exactly() {
        let frames = frames();
        let bytes = coordinator_message(Epoch(4), &frames).encode_to_vec();
        let message = v1::CoordinatorMessage::decode(bytes.as_slice()).unwrap();
        assert_eq!(read_coordinator_message(message).unwrap(), (Epoch(4), frames));
    }

    #[test]
    fn a_configuration_with_a_nul_in_a_name_is_refused() {
        let named = |name: &str| [(name.to_owned(), "o1".to_owned())].into_iter().collect();
        assert_eq!(fields::config_in(named("d")).map(|config| config.len()), Ok(1));
        assert!(fields::config_in(named("d\0e")).is_err());
    }

    #[test]
    fn a_race_that_makes_no_sense_is_refused() {
        let (metric, _) = ar_common::Metric::tabular("accuracy").unwrap();
        let race = ar_common::Race::against(&metric, &[0.5, 0.6, 0.7]).unwrap();
        let sound = fields::race_out(&race);
        assert_eq!(fields::race_in(sound.clone()), Ok(race));
        let nobody = v1::Race { metric: None, ..sound.clone() };
        let not_a_number = v1::Race { incumbent: vec![0.5, f64::NAN, 0.7], ..sound.clone() };
        let endless = v1::Race { incumbent: vec![0.5; 10_001], ..sound.clone() };
        let hasty = v1::Race { least_folds: 1, ..sound };
        for wrong in [nobody, not_a_number, endless, hasty] {
            assert!(fields::race_in(wrong.clone()).is_err(), "{wrong:?}");
        }
    }
}
