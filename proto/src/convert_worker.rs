//! Frames from worker to coordinator.

use std::collections::{BTreeMap, HashMap};

use ar_common::WorkerId;
use ar_common::frames::{Figures, Hello, LeaseRef, Unavailable, WorkerFrame};

use crate::fields::{self, WireError, held_in, held_out, invalid, lease_in, lease_out, need, text};
use crate::v1::{self, worker_frame::Frame};

/// Most experiments that a worker may run at once.
const SLOT_LIMIT: u32 = 4_096;
/// Most labels that a worker may have.
const LABEL_LIMIT: usize = 64;

/// Puts a batch of frames into one message.
pub fn worker_message<'a>(frames: impl IntoIterator<Item = &'a WorkerFrame>) -> v1::WorkerMessage {
    let mut message = v1::WorkerMessage::default();
    for frame in frames {
        match frame_out(frame) {
            Out::Frame(frame) => message.frames.push(v1::WorkerFrame { frame: Some(frame) }),
            Out::Progress(progress) => message.progress.push(progress),
        }
    }
    message
}

/// Reads a batch of frames.
///
/// # Errors
/// When a frame lacks a field or has one that makes no sense.
pub fn read_worker_message(message: v1::WorkerMessage) -> Result<Vec<WorkerFrame>, WireError> {
    let frames = message.frames.into_iter().map(|frame| frame_in(need(frame.frame, "frame")?));
    frames.chain(message.progress.into_iter().map(progress_in)).collect()
}

/// Where in a message something goes.
#[expect(clippy::large_enum_variant, reason = "they are moved once, into a message")]
enum Out {
    Frame(Frame),
    Progress(v1::Progress),
}

fn progress_out(lease: &LeaseRef, figures: Figures) -> v1::Progress {
    let Figures { seconds, loss, share } = figures;
    v1::Progress { lease: Some(lease_out(lease)), seconds, loss, share }
}

fn progress_in(progress: v1::Progress) -> Result<WorkerFrame, WireError> {
    let v1::Progress { lease, seconds, loss, share } = progress;
    let all = [Some(seconds), loss, share];
    if let Some(odd) = all.into_iter().flatten().find(|number| !number.is_finite()) {
        return Err(invalid("progress", format!("{odd} is no number to show")));
    }
    Ok(WorkerFrame::Progress { lease: lease_in(lease)?, figures: Figures { seconds, loss, share } })
}

fn frame_out(frame: &WorkerFrame) -> Out {
    Out::Frame(match frame {
        WorkerFrame::Progress { lease, figures } => return Out::Progress(progress_out(lease, *figures)),
        WorkerFrame::Hello(hello) => Frame::Hello(v1::Hello {
            worker: hello.worker.0.clone(),
            boot: hello.boot,
            protocol_min: hello.protocol_min,
            protocol_max: hello.protocol_max,
            hardware: Some(fields::hardware_out(&hello.hardware)),
            slots: hello.slots,
            leases: hello.leases.iter().map(held_out).collect(),
            spooled: hello.spooled.iter().map(lease_out).collect(),
            labels: hello.labels.clone().into_iter().collect(),
        }),
        WorkerFrame::Preparing { study, text } => {
            Frame::Preparing(v1::Preparing { study: study.to_string(), text: text.clone() })
        }
        WorkerFrame::Ready { study, unavailable, facts } => Frame::Ready(v1::Ready {
            study: study.to_string(),
            unavailable: unavailable.iter().map(unavailable_out).collect(),
            facts: facts.clone(),
        }),
        WorkerFrame::NotReady { study, why } => {
            Frame::NotReady(v1::NotReady { study: study.to_string(), why: why.clone() })
        }
        WorkerFrame::Heartbeat { leases, draining, slots, notice, why_fewer } => {
            Frame::Heartbeat(v1::Heartbeat {
                leases: leases.iter().map(held_out).collect(),
                draining: *draining,
                slots: *slots,
                notice: notice.clone(),
                why_fewer: why_fewer.clone(),
            })
        }
        WorkerFrame::Started { lease } => Frame::Started(v1::Started { lease: Some(lease_out(lease)) }),
        WorkerFrame::Released { leases } => {
            Frame::Released(v1::Released { leases: leases.iter().map(lease_out).collect() })
        }
        WorkerFrame::Completed { lease, outcome, digest } => Frame::Completed(v1::Completed {
            lease: Some(lease_out(lease)),
            // Plain data of finite numbers has no way to fail.
            outcome: serde_json::to_string(outcome).unwrap_or_default(),
            digest: digest.to_string(),
            // The shells see to it.
            traceparent: String::new(),
        }),
    })
}

fn unavailable_out(option: &Unavailable) -> v1::Unavailable {
    v1::Unavailable {
        dimension: option.dimension.clone(),
        option: option.option.clone(),
        reason: option.reason.clone(),
    }
}

fn frame_in(frame: Frame) -> Result<WorkerFrame, WireError> {
    Ok(match frame {
        Frame::Hello(hello) => WorkerFrame::Hello(hello_in(hello)?),
        Frame::Preparing(p) => {
            WorkerFrame::Preparing { study: fields::study(&p.study)?, text: text(p.text, "text")? }
        }
        Frame::Ready(ready) => WorkerFrame::Ready {
            study: fields::study(&ready.study)?,
            unavailable: ready.unavailable.into_iter().map(unavailable_in).collect::<Result<_, _>>()?,
            facts: text(ready.facts, "facts")?,
        },
        Frame::NotReady(n) => {
            WorkerFrame::NotReady { study: fields::study(&n.study)?, why: text(n.why, "why")? }
        }
        Frame::Heartbeat(heartbeat) => WorkerFrame::Heartbeat {
            leases: heartbeat.leases.into_iter().map(held_in).collect::<Result<_, _>>()?,
            draining: heartbeat.draining,
            slots: heartbeat.slots.map(slots_in).transpose()?,
            notice: text(heartbeat.notice, "notice")?,
            why_fewer: text(heartbeat.why_fewer, "why_fewer")?,
        },
        Frame::Started(started) => WorkerFrame::Started { lease: lease_in(started.lease)? },
        Frame::Released(released) => WorkerFrame::Released {
            leases: released
                .leases
                .into_iter()
                .map(|lease| lease_in(Some(lease)))
                .collect::<Result<_, _>>()?,
        },
        Frame::Completed(completed) => {
            let outcome = text(completed.outcome, "outcome")?;
            WorkerFrame::Completed {
                lease: lease_in(completed.lease)?,
                outcome: serde_json::from_str(&outcome).map_err(|error| invalid("outcome", error))?,
                digest: fields::digest(&completed.digest, "digest")?,
            }
        }
    })
}

fn hello_in(hello: v1::Hello) -> Result<Hello, WireError> {
    let worker = text(hello.worker, "worker")?;
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if worker.is_empty() || worker.len() > 128 || !worker.chars().all(plain) {
        return Err(invalid("worker", "a name is 1 to 128 letters, digits, `-`, `_` or `.`"));
    }
    Ok(Hello {
        worker: WorkerId(worker),
        boot: hello.boot,
        protocol_min: hello.protocol_min,
        protocol_max: hello.protocol_max,
        hardware: fields::hardware_in(need(hello.hardware, "hardware")?)?,
        slots: slots_in(hello.slots)?,
        leases: hello.leases.into_iter().map(held_in).collect::<Result<_, _>>()?,
        spooled: hello.spooled.into_iter().map(|lease| lease_in(Some(lease))).collect::<Result<_, _>>()?,
        labels: labels_in(hello.labels)?,
    })
}

fn labels_in(labels: HashMap<String, String>) -> Result<BTreeMap<String, String>, WireError> {
    if labels.len() > LABEL_LIMIT {
        return Err(invalid("labels", format!("{} of them, at most {LABEL_LIMIT} are taken", labels.len())));
    }
    let one = |(name, value)| Ok((text(name, "labels")?, text(value, "labels")?));
    labels.into_iter().map(one).collect()
}

/// None are left where all of a worker's GPUs have failed.
fn slots_in(slots: u32) -> Result<u32, WireError> {
    match slots {
        0..=SLOT_LIMIT => Ok(slots),
        _ => Err(invalid("slots", format!("{slots} is more than {SLOT_LIMIT}"))),
    }
}

fn unavailable_in(option: v1::Unavailable) -> Result<Unavailable, WireError> {
    Ok(Unavailable {
        dimension: text(option.dimension, "dimension")?,
        option: text(option.option, "option")?,
        reason: text(option.reason, "reason")?,
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use ar_common::frames::{Gpu, Hardware, HeldLease, LeaseRef, LeaseStage, outcome_digest};
    use ar_common::{Digest, ExperimentId, LeaseSeq, Measures, Outcome, Seq, StudyId};
    use prost::Message;

    use super::*;

    pub(crate) fn frames() -> Vec<WorkerFrame> {
        let lease =
            LeaseRef { experiment: ExperimentId(3), lease: LeaseSeq { incarnation: 9, seq: Seq(40) } };
        let study = StudyId(Digest::of(b"study").to_string().into());
        let measures = Measures {
            score: Some(0.1 + 0.2),
            folds: [1.0 / 3.0].into(),
            seconds: 0.5,
            ..Measures::default()
        };
        let outcome = Outcome::Done(measures);
        let digest = outcome_digest(&outcome);
        let held = HeldLease { lease, stage: LeaseStage::Running };
        let gpu = Gpu {
            name: "NVIDIA H100".into(),
            uuid: "GPU-1".into(),
            memory: 80 << 30,
            driver: "550.54".into(),
            mig: true,
        };
        let option = Unavailable { dimension: "m".into(), option: "xgb".into(), reason: "no libgomp".into() };
        vec![
            WorkerFrame::Hello(Hello {
                worker: "box-1".into(),
                boot: 7,
                protocol_min: 1,
                protocol_max: 1,
                hardware: Hardware {
                    cores: 2,
                    gpus: vec![gpu],
                    accelerator: "a driver".into(),
                    ..Hardware::default()
                },
                slots: 2,
                leases: vec![held],
                spooled: vec![lease],
                labels: [("zone".to_owned(), "a".to_owned())].into(),
            }),
            WorkerFrame::Preparing { study: study.clone(), text: "installing".into() },
            WorkerFrame::Ready { study: study.clone(), unavailable: vec![option], facts: "270 rows".into() },
            WorkerFrame::NotReady { study, why: "no python".into() },
            WorkerFrame::Heartbeat {
                leases: vec![held],
                draining: true,
                slots: Some(0),
                notice: "a GPU is lost".into(),
                why_fewer: "1 of 1 GPUs is lost".into(),
            },
            WorkerFrame::Started { lease },
            WorkerFrame::Released { leases: vec![lease] },
            WorkerFrame::Completed { lease, outcome, digest },
            // Those are read last, wherever they stood.
            WorkerFrame::Progress {
                lease,
                figures: Figures { seconds: 1.5, loss: Some(3.25), share: Some(0.5) },
            },
            WorkerFrame::Progress { lease, figures: Figures { seconds: 0.0, loss: None, share: None } },
        ]
    }

    #[test]
    fn every_frame_survives_the_wire_exactly() {
        let bytes = worker_message(&frames()).encode_to_vec();
        let message = v1::WorkerMessage::decode(bytes.as_slice()).unwrap();
        assert_eq!(read_worker_message(message).unwrap(), frames());
    }

    #[test]
    fn a_coordinator_that_knows_no_progress_finds_no_frame_that_it_cannot_read() {
        let lease =
            LeaseRef { experiment: ExperimentId(3), lease: LeaseSeq { incarnation: 9, seq: Seq(40) } };
        let figures = Figures { seconds: 1.5, loss: Some(3.25), share: None };
        let frames = [WorkerFrame::Progress { lease, figures }, WorkerFrame::Started { lease }];
        let message = worker_message(&frames);
        assert!(message.frames.iter().all(|frame| frame.frame.is_some()), "an empty one ends the session");
        assert_eq!((message.frames.len(), message.progress.len()), (1, 1));
        let odd = WorkerFrame::Progress { lease, figures: Figures { seconds: f64::NAN, ..figures } };
        assert!(read_worker_message(worker_message([&odd])).is_err());
    }

    #[test]
    fn a_study_that_is_no_digest_is_refused() {
        let frame = Frame::NotReady(v1::NotReady { study: "../../x".into(), why: String::new() });
        assert!(matches!(frame_in(frame), Err(WireError::Invalid { field: "study", .. })));
    }
}
