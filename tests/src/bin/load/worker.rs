//! A worker that runs nothing: what it is granted it completes at once, or at a pace.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use ar_common::frames::{
    CoordinatorFrame, Hardware, HeldLease, Hello, LeaseRef, LeaseStage, WorkerFrame, outcome_digest,
};
use ar_common::{Measures, Outcome, StudyId, WorkerId};
use ar_net::{Dial, Token};
use ar_proto::v1::WorkerMessage;
use ar_proto::v1::coordinator_client::CoordinatorClient;
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;

use crate::Failure;

/// How often it says that it is there.
const HEARTBEAT: Duration = Duration::from_secs(10);
/// How often a paced worker completes what is due.
const BEAT: Duration = Duration::from_millis(2);

/// How fast it completes.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Pace {
    /// As fast as it is granted.
    Full,
    /// So many in a second.
    PerSecond(f64),
    /// Each takes so long, on a slot of its own.
    Runs(Duration),
}

impl Pace {
    pub(crate) fn shared_by(self, workers: usize) -> Self {
        match self {
            other @ (Self::Full | Self::Runs(_)) => other,
            Self::PerSecond(all) => Self::PerSecond(all / workers as f64),
        }
    }
}

/// From when until when something was waited for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wait {
    pub(crate) from: Instant,
    pub(crate) to: Instant,
}

impl Wait {
    fn since(from: Instant) -> Self {
        Self { from, to: Instant::now() }
    }

    /// Its milliseconds.
    pub(crate) fn ms(&self) -> f64 {
        (self.to - self.from).as_secs_f64() * 1e3
    }
}

/// Waits until it is over.
async fn ended(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}

pub(crate) struct Worker {
    name: String,
    slots: u32,
    pace: Pace,
    study: StudyId,
    held: VecDeque<LeaseRef>,
    /// When results were sent that are not acknowledged.
    sent: HashMap<LeaseRef, Instant>,
    /// What runs, and when it ends; the next one first.
    running: VecDeque<(Instant, LeaseRef)>,
    /// Since when slots are free on which something ran.
    free: VecDeque<Instant>,
    waits: Vec<Wait>,
}

impl Worker {
    pub(crate) fn new(n: usize, slots: u32, pace: Pace, study: StudyId) -> Self {
        let (held, sent, waits) = (VecDeque::new(), HashMap::new(), Vec::new());
        let (running, free) = (VecDeque::new(), VecDeque::new());
        Self { name: format!("w{n}"), slots, pace, study, held, sent, running, free, waits }
    }

    /// Works until `stop`; returns the times from each result to its acknowledgement, or of runs that take their time from the end of
    /// one to the grant of the next.
    pub(crate) async fn run(
        mut self,
        dial: Dial,
        token: Token,
        mut stop: watch::Receiver<bool>,
    ) -> Result<Vec<Wait>, Failure> {
        let endpoint = dial.endpoints()?.remove(0);
        let channel = endpoint.connect().await?;
        let mut client = CoordinatorClient::new(channel);
        let (outbound, queued) = mpsc::channel::<WorkerMessage>(64);
        let mut request = tonic::Request::new(ReceiverStream::new(queued));
        request.metadata_mut().insert(ar_proto::AUTHORIZATION, token.header().parse()?);
        outbound.send(ar_proto::worker_message([&self.hello()])).await?;
        let mut inbound = client.session(request).await?.into_inner();
        let mut heartbeat = tokio::time::interval(HEARTBEAT);
        let mut beat = tokio::time::interval(BEAT);
        let mut due = 0.0;
        let mut last = Instant::now();
        loop {
            let paced = !matches!(self.pace, Pace::Full);
            tokio::select! {
                message = inbound.message() => match message? {
                    Some(message) => {
                        let (_, frames) = ar_proto::read_coordinator_message(message)?;
                        let answers = self.take(frames);
                        if !answers.is_empty() {
                            outbound.send(ar_proto::worker_message(&answers)).await?;
                        }
                    }
                    None => return Err("the coordinator ended the session".into()),
                },
                _ = beat.tick(), if paced => {
                    if let Pace::PerSecond(rate) = self.pace {
                        due += rate * last.elapsed().as_secs_f64();
                        last = Instant::now();
                        // What could not be done in time is not made up for.
                        due = f64::min(due, rate / 10.0);
                    }
                    let mut done = self.end_runs();
                    while due >= 1.0 && let Some(lease) = self.held.pop_front() {
                        due -= 1.0;
                        done.push(self.complete(lease));
                    }
                    if !done.is_empty() {
                        outbound.send(ar_proto::worker_message(&done)).await?;
                    }
                }
                _ = heartbeat.tick() => outbound.send(ar_proto::worker_message([&self.heartbeat()])).await?,
                () = ended(&mut stop) => return Ok(self.waits),
            }
        }
    }

    fn hello(&self) -> WorkerFrame {
        WorkerFrame::Hello(Hello {
            worker: WorkerId(self.name.clone()),
            boot: 1,
            protocol_min: ar_common::frames::PROTOCOL_MIN,
            protocol_max: ar_common::frames::PROTOCOL_MAX,
            hardware: Hardware::default(),
            slots: self.slots,
            leases: Vec::new(),
            spooled: Vec::new(),
            labels: Default::default(),
        })
    }

    fn heartbeat(&self) -> WorkerFrame {
        let held = self.held.iter().map(|lease| (*lease, LeaseStage::Queued));
        let running = self.running.iter().map(|(_, lease)| (*lease, LeaseStage::Running));
        let held = held.chain(running);
        let sent = self.sent.keys().map(|lease| (*lease, LeaseStage::Uploading));
        let leases = held.chain(sent).map(|(lease, stage)| HeldLease { lease, stage }).collect();
        let (notice, why_fewer) = Default::default();
        WorkerFrame::Heartbeat { leases, draining: false, slots: Some(self.slots), notice, why_fewer }
    }

    fn take(&mut self, frames: Vec<CoordinatorFrame>) -> Vec<WorkerFrame> {
        let mut answers = Vec::new();
        for frame in frames {
            match frame {
                CoordinatorFrame::Prepare { study, .. } if study == self.study => {
                    answers.push(WorkerFrame::Ready { study, unavailable: Vec::new(), facts: String::new() });
                }
                CoordinatorFrame::Grant(grant) if matches!(self.pace, Pace::Full) => {
                    answers.push(self.complete(grant.lease));
                }
                CoordinatorFrame::Grant(grant) => {
                    self.held.push_back(grant.lease);
                    self.start_runs();
                }
                CoordinatorFrame::Ack { lease } => {
                    let sent = self.sent.remove(&lease).filter(|_| !matches!(self.pace, Pace::Runs(_)));
                    self.waits.extend(sent.map(Wait::since));
                }
                _ => {}
            }
        }
        answers
    }

    /// Starts what waits on slots that are free.
    fn start_runs(&mut self) {
        let Pace::Runs(takes) = self.pace else { return };
        while self.running.len() < self.slots as usize
            && let Some(lease) = self.held.pop_front()
        {
            self.running.push_back((Instant::now() + takes, lease));
            self.waits.extend(self.free.pop_front().map(Wait::since));
        }
    }

    /// Completes what has run to its end.
    fn end_runs(&mut self) -> Vec<WorkerFrame> {
        let mut done = Vec::new();
        while self.running.front().is_some_and(|(end, _)| *end <= Instant::now())
            && let Some((_, lease)) = self.running.pop_front()
        {
            self.free.push_back(Instant::now());
            done.push(self.complete(lease));
        }
        self.start_runs();
        done
    }

    fn complete(&mut self, lease: LeaseRef) -> WorkerFrame {
        let score = lease.experiment.0 as f64;
        let outcome = Outcome::Done(Measures {
            score: Some(score),
            folds: [score].into(),
            seconds: if let Pace::Runs(takes) = self.pace { takes.as_secs_f64() } else { 1e-6 },
            ..Measures::default()
        });
        self.sent.insert(lease, Instant::now());
        WorkerFrame::Completed { lease, digest: outcome_digest(&outcome), outcome }
    }
}
