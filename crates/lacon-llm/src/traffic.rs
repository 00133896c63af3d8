//! How many calls an endpoint answers at once, learned from what streams.
//!
//! A server with one slot takes every call and answers one after another. A call that waits there looks like one that
//! stalls: a hedge or a retry for it doubles the load of a server that is already full. So a provider notes here when
//! calls are sent, begin to stream and end. [`crate::Limit`] then holds calls back that would only wait,
//! [`crate::Hedge`] sends no second request that would only wait too, and a call's first-token clock starts when the
//! server works on it.

#![cfg_attr(not(feature = "http"), expect(dead_code, reason = "only providers send calls"))]

use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use tokio::time::Instant;

/// An answer that streamed for less says nothing of what the server did beside it.
const MIN_STREAM: Duration = Duration::from_millis(250);
/// Answers in a row that must have streamed while others waited.
const STRIKES: u32 = 2;
/// How much the learned number grows with an answer beside which nobody waited, so that a wrong one mends itself.
const GROWTH: f64 = 0.125;

/// What calls to one endpoint have shown.
#[derive(Debug, Default)]
pub struct Traffic {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    begin: Instant,
    open: Vec<Call>,
    next: u64,
    /// Most calls that were seen streaming at once.
    peak: usize,
    /// What the learned number is, while there is one.
    learned: Option<f64>,
    /// What the server says: the learned number begins there and grows no further.
    told: Option<usize>,
    strikes: u32,
    candidate: usize,
    /// When a call last ended.
    freed: Option<Instant>,
}

impl Default for State {
    fn default() -> Self {
        Self {
            begin: Instant::now(),
            open: Vec::new(),
            next: 0,
            peak: 0,
            learned: None,
            told: None,
            strikes: 0,
            candidate: 0,
            freed: None,
        }
    }
}

#[derive(Debug)]
struct Call {
    id: u64,
    sent: Instant,
    first: Option<Instant>,
    /// Most calls that streamed beside it, itself included.
    most: usize,
}

impl State {
    fn streaming(&self) -> usize {
        self.open.iter().filter(|call| call.first.is_some()).count()
    }

    /// Calls that are answered at once, as far as is known; a server of which nothing is known may have one slot.
    fn slots(&self) -> Option<usize> {
        let learned = self.learned.map(|n| (n as usize).max(1));
        learned.or((self.peak <= 1).then_some(1))
    }

    fn leave(&mut self, id: u64) -> Option<Call> {
        let at = self.open.iter().position(|call| call.id == id)?;
        self.freed = Some(Instant::now());
        Some(self.open.swap_remove(at))
    }
}

impl Traffic {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Notes that a call is sent; dropping the ticket notes its end.
    pub(crate) fn send(&self) -> Ticket<'_> {
        let mut state = self.lock();
        state.next += 1;
        let id = state.next;
        state.open.push(Call { id, sent: Instant::now(), first: None, most: 0 });
        Ticket { traffic: self, id }
    }

    /// Takes in how many calls the server says it works on at once; its calls may still teach another number.
    #[cfg(feature = "http")]
    pub(crate) fn told(&self, slots: usize) {
        let mut state = self.lock();
        if state.told.is_none() && state.learned.is_none() {
            (state.told, state.learned) = (Some(slots), Some(slots as f64));
        }
    }

    /// Returns how many calls the endpoint answers at once, where that was learned.
    pub fn at_once(&self) -> Option<usize> {
        self.lock().learned.map(|n| (n as usize).max(1))
    }

    /// Returns since when one more call would be worked on beside the open ones; `None` where it would wait for them.
    ///
    /// Where nothing is known, that needs two calls that streamed at once, or no other open call.
    pub(crate) fn has_room_since(&self) -> Option<Instant> {
        let state = self.lock();
        let has_room = match state.learned {
            Some(learned) => state.open.len() < learned as usize,
            None => state.peak > 1 || state.open.len() <= 1,
        };
        has_room.then(|| state.freed.filter(|_| state.slots().is_some()).unwrap_or(state.begin))
    }
}

/// One call under way.
#[derive(Debug)]
pub(crate) struct Ticket<'t> {
    traffic: &'t Traffic,
    id: u64,
}

impl Ticket<'_> {
    /// Returns since when the server works on this call; `None` while it works on those before it.
    #[cfg(feature = "http")]
    pub(crate) fn worked_on_since(&self) -> Option<Instant> {
        let state = self.traffic.lock();
        let own = state.open.iter().find(|call| call.id == self.id)?;
        let Some(slots) = state.slots() else { return Some(own.sent) };
        let before = state.open.iter().filter(|call| call.first.is_some() || call.id < self.id).count();
        (before < slots).then(|| state.freed.map_or(own.sent, |freed| freed.max(own.sent)))
    }

    /// Notes the first part of the answer.
    pub(crate) fn first(&self) {
        let mut guard = self.traffic.lock();
        let state = &mut *guard;
        let now = Instant::now();
        if let Some(call) = state.open.iter_mut().find(|call| call.id == self.id) {
            call.first.get_or_insert(now);
        }
        let streaming = state.streaming();
        state.peak = state.peak.max(streaming);
        for call in state.open.iter_mut().filter(|call| call.first.is_some()) {
            call.most = call.most.max(streaming);
        }
        if state.learned.is_some_and(|learned| streaming > learned as usize) {
            // Who streams more than it said has another server behind it.
            state.told = state.told.filter(|told| streaming <= *told);
            (state.learned, state.strikes, state.candidate) = (None, 0, 0);
        }
    }

    /// Notes that the answer is whole, and learns from what waited beside it.
    pub(crate) fn answered(self) {
        let mut guard = self.traffic.lock();
        let state = &mut *guard;
        let Some(call) = state.leave(self.id) else { return };
        let Some(first) = call.first.filter(|first| first.elapsed() >= MIN_STREAM) else { return };
        let waited = state.open.iter().any(|other| other.first.is_none() && other.sent <= first);
        if !waited {
            (state.strikes, state.candidate) = (0, 0);
            let most = state.told.map_or(f64::INFINITY, |told| told as f64);
            state.learned = state.learned.map(|learned| (learned + GROWTH).min(most));
            return;
        }
        state.strikes += 1;
        state.candidate = state.candidate.max(call.most);
        // A learned number that had only grown by itself needs no second sign.
        if state.strikes >= STRIKES || state.learned.is_some() {
            state.learned = Some(state.candidate as f64);
            (state.strikes, state.candidate) = (0, 0);
        }
    }
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        self.traffic.lock().leave(self.id);
    }
}

#[cfg(all(test, feature = "http"))]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    };

    use super::*;
    use crate::{
        BoxFuture, Client, ClientInfo, Error, HedgeOptions, LimitOptions, Request, Response, Stack,
        StackOptions, StreamEvent,
    };

    async fn second() {
        tokio::time::advance(Duration::from_secs(1)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_with_one_slot_is_known_after_two_answers() {
        let traffic = Traffic::default();
        let mut calls: Vec<_> = (0..4).map(|_| traffic.send()).collect();
        for n in 0..2 {
            second().await;
            let call = calls.remove(0);
            assert!(call.worked_on_since().is_some() && calls[0].worked_on_since().is_none(), "{n}");
            call.first();
            assert_eq!(traffic.has_room_since(), None, "a hedge would wait like the others");
            second().await;
            call.answered();
            assert_eq!(traffic.at_once(), (n == 1).then_some(1));
            assert_eq!(calls[0].worked_on_since(), Some(Instant::now()), "the clock starts here");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_says_its_slots_is_believed_until_it_streams_more() {
        let traffic = Traffic::default();
        traffic.told(1);
        assert_eq!(traffic.at_once(), Some(1));
        for _ in 0..20 {
            let call = traffic.send();
            call.first();
            second().await;
            call.answered();
        }
        assert_eq!(traffic.at_once(), Some(1), "it does not grow by itself");
        let pair = [traffic.send(), traffic.send()];
        assert!(traffic.has_room_since().is_none() && pair[1].worked_on_since().is_none());
        pair.iter().for_each(Ticket::first);
        assert_eq!(traffic.at_once(), None, "two stream at once");
        traffic.told(1);
        assert_eq!(traffic.at_once(), Some(1));
    }

    #[tokio::test(start_paused = true)]
    async fn calls_that_stream_side_by_side_teach_no_limit() {
        let traffic = Traffic::default();
        for _ in 0..3 {
            let calls: Vec<_> = (0..4).map(|_| traffic.send()).collect();
            second().await;
            calls.iter().take(3).for_each(Ticket::first);
            // The last one stalls: it does not wait, for four may stream at once as far as is known.
            assert!(traffic.has_room_since().is_some() && calls[3].worked_on_since().is_some());
            calls[3].first();
            second().await;
            calls.into_iter().for_each(Ticket::answered);
            assert_eq!(traffic.at_once(), None);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_wrong_number_mends_itself() {
        let traffic = Traffic::default();
        let calls: Vec<_> = (0..3).map(|_| traffic.send()).collect();
        for call in calls {
            call.first();
            second().await;
            call.answered();
        }
        assert_eq!(traffic.at_once(), Some(1));
        for _ in 0..8 {
            let call = traffic.send();
            call.first();
            second().await;
            call.answered();
        }
        assert_eq!(traffic.at_once(), Some(2));
        let pair = [traffic.send(), traffic.send(), traffic.send()];
        pair.iter().for_each(Ticket::first);
        assert_eq!(traffic.at_once(), None, "three stream at once");
    }

    /// A server that takes every call and answers one after another.
    struct OneSlot {
        slot: tokio::sync::Semaphore,
        traffic: Traffic,
        open: AtomicUsize,
        most: AtomicUsize,
    }

    impl Client for OneSlot {
        fn complete<'a>(
            &'a self,
            _: &'a Request,
            on_event: &'a (dyn Fn(StreamEvent<'_>) + Send + Sync),
        ) -> BoxFuture<'a, Result<Response, Error>> {
            Box::pin(async move {
                let ticket = self.traffic.send();
                on_event(StreamEvent::Sent { attempt: 1 });
                let open = self.open.fetch_add(1, Ordering::Relaxed) + 1;
                self.most.fetch_max(open, Ordering::Relaxed);
                let _slot = self.slot.acquire().await.expect("the slot is never closed");
                // The prompt is read, then the answer is written.
                tokio::time::sleep(Duration::from_secs(50)).await;
                ticket.first();
                on_event(StreamEvent::FirstToken);
                for _ in 0..10 {
                    tokio::time::sleep(Duration::from_secs(1)).await;
                    on_event(StreamEvent::Delta("word "));
                }
                ticket.answered();
                self.open.fetch_sub(1, Ordering::Relaxed);
                Ok(Response::new("m", "done"))
            })
        }

        fn describe(&self) -> ClientInfo {
            ClientInfo { provider: "test".into(), base_url: String::new(), simulated: true }
        }

        fn traffic(&self) -> Option<&Traffic> {
            Some(&self.traffic)
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_that_waits_at_the_server_is_not_hedged_and_soon_not_sent() {
        let server = Arc::new(OneSlot {
            slot: tokio::sync::Semaphore::new(1),
            traffic: Traffic::default(),
            open: AtomicUsize::new(0),
            most: AtomicUsize::new(0),
        });
        let layers = StackOptions {
            limit: Some(LimitOptions::default()),
            hedge: Some(HedgeOptions::default()),
            ..StackOptions::default()
        };
        let stack = Stack::new(Arc::clone(&server) as Arc<dyn Client>, layers);
        let request = Request::new("m");
        for most in [4, 1] {
            server.most.store(0, Ordering::Relaxed);
            let call = || stack.client.complete(&request, &crate::ignore_events);
            let begin = Instant::now();
            let (a, b, c, d) = tokio::join!(call(), call(), call(), call());
            for answer in [a, b, c, d] {
                let answer = answer.unwrap();
                assert!(!answer.hedged && answer.attempts.is_empty(), "{answer:?}");
            }
            assert_eq!(begin.elapsed().as_secs(), 240);
            assert_eq!(server.most.load(Ordering::Relaxed), most);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_dropped_call_teaches_nothing() {
        let traffic = Traffic::default();
        for _ in 0..4 {
            let (waits, streams) = (traffic.send(), traffic.send());
            streams.first();
            second().await;
            drop(streams);
            drop(waits);
        }
        assert_eq!((traffic.at_once(), traffic.lock().open.len()), (None, 0));
    }
}
