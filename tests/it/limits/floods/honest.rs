//! Clients that keep to the limits, and how long their words take.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sealcast_client::Options;
use sealcast_client::session::Event;
use tokio::time::{Instant, interval, sleep};

use crate::support::client::Session;
use crate::support::process::Process;
use crate::support::{PATIENCE, token};

const SPEAKERS: usize = 20;
/// Between two words of one speaker: less than a user may say in a minute.
const PAUSE: Duration = Duration::from_secs(1);

/// Speakers, each of whom says something once a second, and one who hears it.
pub(super) struct Honest {
    heard: Arc<Mutex<Heard>>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

#[derive(Default)]
struct Heard {
    /// When each word was said that has not come.
    said: HashMap<String, Instant>,
    took: Vec<Duration>,
}

/// How long words took.
#[derive(Clone, Copy, Debug)]
pub(super) struct Times {
    pub(super) p50: Duration,
    pub(super) p99: Duration,
    pub(super) count: usize,
}

impl Times {
    /// In milliseconds.
    pub(super) fn shown(time: Duration) -> String {
        format!("{:.1}", time.as_secs_f64() * 1_000.0)
    }
}

impl Honest {
    pub(super) async fn begin(process: &Process) -> Honest {
        let heard = Arc::new(Mutex::new(Heard::default()));
        let listener = connected(process, "listener").await;
        listener.subscribe("open:honest").await.unwrap();
        let hears = Arc::clone(&heard);
        let mut tasks = vec![tokio::spawn(async move {
            loop {
                let event = listener.next_event().await;
                let Event::Publication { publication, .. } = event else {
                    panic!("the listener was cut off: {event:?}")
                };
                let word: String = serde_json::from_slice(&publication.data).unwrap();
                let mut heard = hears.lock().unwrap();
                let said = heard.said.remove(&word).expect("it was said once");
                heard.took.push(said.elapsed());
            }
        })];
        for at in 0..SPEAKERS {
            let speaker = connected(process, &format!("speaker-{at}")).await;
            tasks.push(tokio::spawn(speak(at, speaker, Arc::clone(&heard))));
        }
        Honest { heard, tasks }
    }

    pub(super) fn count(&self) -> usize {
        self.tasks.len()
    }

    /// Lets them speak for so long, and until what was said has come.
    pub(super) async fn listen_for(&self, length: Duration) {
        self.heard.lock().unwrap().took.clear();
        sleep(length).await;
        let said: Vec<String> = self.heard.lock().unwrap().said.keys().cloned().collect();
        let deadline = Instant::now() + PATIENCE;
        let came = || !said.iter().any(|word| self.heard.lock().unwrap().said.contains_key(word));
        while !came() || self.heard.lock().unwrap().took.is_empty() {
            assert!(Instant::now() < deadline, "a word did not come");
            assert!(!self.tasks.iter().any(|task| task.is_finished()), "somebody was cut off");
            sleep(Duration::from_millis(5)).await;
        }
    }

    /// How long the words took that came since it was last listened.
    pub(super) fn times(&self) -> Times {
        let mut took = self.heard.lock().unwrap().took.clone();
        took.sort_unstable();
        let at = |part: usize| took[(took.len() * part / 100).min(took.len() - 1)];
        Times { p50: at(50), p99: at(99), count: took.len() }
    }

    pub(super) async fn end(self) {
        for task in self.tasks {
            assert!(!task.is_finished(), "somebody was cut off");
            task.abort();
            let _ = task.await;
        }
    }
}

async fn speak(at: usize, speaker: Session, heard: Arc<Mutex<Heard>>) {
    sleep(PAUSE * u32::try_from(at).unwrap() / u32::try_from(SPEAKERS).unwrap()).await;
    let mut every = interval(PAUSE);
    for number in 0.. {
        every.tick().await;
        let word = format!("{at} {number}");
        heard.lock().unwrap().said.insert(word.clone(), Instant::now());
        let data = serde_json::to_vec(&word).unwrap();
        speaker.publish("open:honest", &data).await.unwrap();
    }
}

async fn connected(process: &Process, user: &str) -> Session {
    let mut options = Options::new(process.url());
    options.timeout = PATIENCE;
    // Longer than the longest run.
    let claims = serde_json::json!({ "sub": user, "exp": token::now() + 3_500 });
    options.token = Some(token::signed(claims));
    Session::connect(options).await.unwrap()
}
