//! The fold of the history's rows: what the runs that count say of each relay, taken in one after
//! the other in the order of time. Pure: rows come in, and what a report goes on from comes out.
//!
//! A fold can be stopped after any run and gone on with later ([`Fold::tracks`] and
//! [`Fold::restore`]): so that a report does not read years of rows, the history keeps a few of
//! these points. They hold nothing that the rows do not give again.

use std::collections::{HashMap, VecDeque};

use chrono::{DateTime, TimeDelta, Utc};
use record::{ABSENT_MARK, RECENT_RUNS, Status, Streak, of_recent_mark};

use crate::report::PastRelay;
use crate::streak;

/// How far back a report's rates look.
const MONTH: TimeDelta = TimeDelta::days(30);

/// How far back the nearer of them looks.
const WEEK: TimeDelta = TimeDelta::days(7);

/// Most runs of a month that a relay's strip holds: one every ten minutes.
const MOST: usize = 4500;

/// What is known of one relay after the runs so far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Track {
    /// Its streak.
    pub streak: Streak,
    /// The last run that has a result of it.
    pub last_seen: DateTime<Utc>,
    /// Its runs, as far back as rates and `recent` look, one packed into each byte. The last is of the
    /// run `at`.
    strip: Vec<Packed>,
    /// The number of the last run in the strip, counted from 1.
    at: usize,
}

/// What a run says of a relay, in a byte: its mark, and whether the first lookup failed. Ten thousand
/// relays have some hundred runs each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Packed(u8);

/// The marks, by their numbers.
const MARKS: [u8; 15] = *b".swdtcexSWDTCEX";

impl Packed {
    const ABSENT: Self = Self(0);

    fn new(mark: u8, failed: Option<bool>) -> Self {
        let number = MARKS.iter().zip(0_u8..).find(|(known, _)| **known == mark);
        let first = match failed {
            None => 0,
            Some(false) => 1,
            Some(true) => 2,
        };
        number.map_or(Self::ABSENT, |(_, number)| Self(number * 3 + first))
    }

    const fn mark(self) -> u8 {
        MARKS[self.0 as usize / 3]
    }

    const fn failed(self) -> Option<bool> {
        match self.0 % 3 {
            0 => None,
            first => Some(first == 2),
        }
    }

    /// The first answer as a mark: `s`, `d` where it failed in whatever way, `.` where there is none.
    const fn first(self) -> u8 {
        match self.failed() {
            None => ABSENT_MARK as u8,
            Some(false) => b's',
            Some(true) => b'd',
        }
    }
}

/// What is known of every relay after the runs so far.
#[derive(Debug, Clone, Default)]
pub struct Fold {
    /// How many runs there were, with those before the first whose time is known.
    count: usize,
    /// When the last of them ended.
    times: VecDeque<DateTime<Utc>>,
    relays: HashMap<i64, Track>,
}

impl Fold {
    /// The next run, which ended at `time`; its results follow by [`Fold::result`].
    pub fn run(&mut self, time: DateTime<Utc>) {
        self.count += 1;
        self.times.push_back(time);
        while self.times.len() > RECENT_RUNS
            && (self.times.len() > MOST
                || self.times.front().is_some_and(|old| time - *old >= MONTH))
        {
            self.times.pop_front();
        }
    }

    /// What the newest run found of a relay, and the mark of the first answer, where there was one.
    pub fn result(&mut self, relay: i64, mark: char, first: Option<char>) {
        let (Some(time), Some((status, provisional))) =
            (self.times.back().copied(), of_recent_mark(mark))
        else {
            return;
        };
        let (count, most) = (self.count, self.times.len().max(RECENT_RUNS));
        let track = self.relays.entry(relay).or_insert_with(|| Track::new(time, count));
        if time - track.last_seen > streak::FORGET_AFTER {
            *track = Track::new(time, count);
        }
        track.pad(count.saturating_sub(1));
        let first = first.and_then(of_recent_mark).map(|(status, _)| status != Status::Success);
        // Every mark is ASCII.
        track.strip.push(Packed::new(mark as u8, first));
        track.at = count;
        track.last_seen = time;
        track.streak = streak::after(track.streak, streak::effect(status, provisional), time);
        // Now and then, so that it costs nothing.
        if track.strip.len() > most * 2 {
            track.strip.drain(..track.strip.len() - most);
        }
    }

    /// What a run that ended at `time` goes on from: the relays that are remembered then.
    pub fn remembered(&self, time: DateTime<Utc>) -> impl Iterator<Item = (i64, &Track)> {
        self.relays
            .iter()
            .filter(move |(_, track)| time - track.last_seen <= streak::FORGET_AFTER)
            .map(|(relay, track)| (*relay, track))
    }

    /// A relay's last runs, as a report has them.
    #[must_use]
    pub fn recent(&self, track: &Track) -> String {
        let absent = (self.count - track.at).min(RECENT_RUNS);
        let from = track.strip.len().saturating_sub(RECENT_RUNS - absent);
        let mut recent: String =
            track.strip[from..].iter().map(|run| char::from(run.mark())).collect();
        recent.extend(std::iter::repeat_n(ABSENT_MARK, absent));
        recent.trim_start_matches(ABSENT_MARK).to_owned()
    }

    /// A relay's tests in the week and in the month before `time`.
    #[must_use]
    pub fn past(&self, track: &Track, time: DateTime<Utc>) -> PastRelay {
        let mut past = PastRelay::default();
        let absent = self.count - track.at;
        let times = self.times.iter().rev().skip(absent);
        for (run, ended) in track.strip.iter().rev().zip(times) {
            if time - *ended >= MONTH {
                break;
            }
            if let Some((status, provisional)) = of_recent_mark(char::from(run.mark())) {
                let effect = streak::effect(status, provisional);
                let passed = status == Status::Success;
                past.month.add(effect);
                past.month_first.add(run.failed(), passed);
                if time - *ended < WEEK {
                    past.week.add(effect);
                    past.week_first.add(run.failed(), passed);
                }
            }
        }
        past
    }

    /// The point where the fold stands, to go on from later: the ends of its last runs, ...
    #[must_use]
    pub fn times(&self) -> Vec<i64> {
        self.times.iter().map(DateTime::timestamp).collect()
    }

    /// ... and what is known of each relay that is remembered at `time`, with its strip up to the
    /// newest run and its first answers there, written short.
    pub fn tracks(&self, time: DateTime<Utc>) -> impl Iterator<Item = (i64, &Track, [String; 2])> {
        let most = self.times.len().max(RECENT_RUNS);
        self.remembered(time).map(move |(relay, track)| {
            let absent = self.count - track.at;
            let from = track.strip.len().saturating_sub(most.saturating_sub(absent));
            let runs = &track.strip[from..];
            let short = |of: fn(Packed) -> u8| {
                shorten(&runs.iter().map(|run| of(*run)).collect::<Vec<_>>(), absent)
            };
            (relay, track, [short(Packed::mark), short(Packed::first)])
        })
    }

    /// Begins a fold at such a point.
    #[must_use]
    pub fn at(times: impl IntoIterator<Item = DateTime<Utc>>) -> Self {
        // Strips may be longer than the times that are known, as those of a report are.
        let times: VecDeque<_> = times.into_iter().collect();
        Self { count: times.len().max(MOST), times, relays: HashMap::new() }
    }

    /// Takes in what was known of a relay there, its strip and its first answers. A text that is none
    /// says nothing; of both the newest run is the last.
    pub fn restore(
        &mut self,
        relay: i64,
        last_seen: DateTime<Utc>,
        streak: Streak,
        [strip, first]: [&str; 2],
    ) {
        let (marks, firsts) = (lengthen(strip), lengthen(first));
        let failed = |first: &u8| match first {
            b's' => Some(false),
            b'd' => Some(true),
            _ => None,
        };
        let firsts = firsts.iter().rev().map(failed).chain(std::iter::repeat(None));
        let runs = marks.iter().rev().zip(firsts).map(|(mark, first)| Packed::new(*mark, first));
        let mut strip: Vec<Packed> = runs.collect();
        strip.reverse();
        let track = Track { streak, last_seen, strip, at: self.count };
        self.relays.insert(relay, track);
    }
}

impl Track {
    const fn new(time: DateTime<Utc>, count: usize) -> Self {
        let streak = Streak {
            consecutive_failures: 0,
            failing_since: None,
            last_success: None,
            unreachable_runs: 0,
        };
        Self { streak, last_seen: time, strip: Vec::new(), at: count.saturating_sub(1) }
    }

    /// Puts in the runs without a result, up to this one.
    fn pad(&mut self, to: usize) {
        let absent = to.saturating_sub(self.at);
        self.strip.extend(std::iter::repeat_n(Packed::ABSENT, absent));
        self.at = to;
    }
}

/// A strip with runs of one mark as their number and the mark: `120s` and not 120 times `s`.
fn shorten(strip: &[u8], absent: usize) -> String {
    let mut text = String::new();
    let mut push = |mark: u8, times: usize| {
        if times > 1 {
            text.push_str(&times.to_string());
        }
        if times > 0 {
            text.push(char::from(mark));
        }
    };
    let mut rest = strip;
    while let Some(mark) = rest.first().copied() {
        let times = rest.iter().take_while(|other| **other == mark).count();
        push(mark, times);
        rest = &rest[times..];
    }
    push(ABSENT_MARK as u8, absent);
    text
}

/// The opposite; at most so many marks that no file can fill the memory.
fn lengthen(text: &str) -> Vec<u8> {
    let mut strip = Vec::new();
    let mut times = None;
    for byte in text.bytes() {
        if let digit @ b'0'..=b'9' = byte {
            times = Some(times.unwrap_or(0).min(MOST) * 10 + usize::from(digit - b'0'));
        } else {
            let known = byte == ABSENT_MARK as u8 || of_recent_mark(char::from(byte)).is_some();
            let room = (2 * MOST).saturating_sub(strip.len());
            let times = times.take().unwrap_or(1).min(room);
            strip.extend(std::iter::repeat_n(if known { byte } else { ABSENT_MARK as u8 }, times));
        }
    }
    strip
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rate::FirstAnswers;
    use proptest::prelude::*;

    fn at(hours: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_767_225_600 + hours * 3600, 0).unwrap()
    }

    /// The fold of one relay's marks, a run every six hours.
    fn fold(marks: &str) -> Fold {
        let mut fold = Fold::default();
        for (run, mark) in (0..).zip(marks.chars()) {
            fold.run(at(run * 6));
            fold.result(1, mark, None);
        }
        fold
    }

    #[test]
    fn a_relay_that_was_away_for_a_month_begins_anew() {
        let mut fold = fold("ddd");
        assert_eq!(fold.relays[&1].streak.consecutive_failures, 3);
        fold.run(at(12 + 30 * 24));
        fold.result(1, 'd', None);
        assert_eq!(fold.relays[&1].streak.consecutive_failures, 4, "30 days are remembered");
        fold.run(at(12 + 60 * 24 + 1));
        assert_eq!(fold.remembered(at(12 + 60 * 24 + 1)).count(), 0);
        fold.result(1, 'd', None);
        assert_eq!(fold.relays[&1].streak.consecutive_failures, 1);
        assert_eq!(fold.recent(&fold.relays[&1]), "d");
    }

    #[test]
    fn rates_look_back_a_week_and_a_month() {
        let marks = "s".repeat(8) + &"d".repeat(120);
        let fold = fold(&marks);
        let past = fold.past(&fold.relays[&1], at(128 * 6));
        // The run 30 days before is not within them.
        assert_eq!((past.month.all, past.month.successes), (119, 0));
        assert_eq!(past.week.all, 27);
        let past = fold.past(&fold.relays[&1], at(127 * 6));
        assert_eq!((past.month.all, past.week.all), (120, 28));
    }

    #[test]
    fn first_answers_are_told_from_verdicts() {
        let mut fold = Fold::default();
        // Passed at once, by retry, failed altogether, not reached, from before first answers were kept.
        for (run, (mark, first)) in (0..).zip([
            ('s', Some('s')),
            ('s', Some('t')),
            ('d', Some('w')),
            ('c', None),
            ('s', None),
        ]) {
            fold.run(at(run * 6));
            fold.result(1, mark, first);
        }
        let past = fold.past(&fold.relays[&1], at(30));
        let expected = FirstAnswers { asked: 3, failed: 2, retried: 1 };
        assert_eq!((past.week_first, past.month_first), (expected, expected));
        assert_eq!(past.week.successes, 3);
    }

    proptest! {
        #[test]
        fn gone_on_with_later_it_is_the_same(
            marks in prop::collection::vec(
                ("[swdtcexWDTC.]", "[sdc.]", prop::option::of("[swdt]"), 1..200_i64),
                1..150,
            ),
            stop in 0..150_usize,
        ) {
            let mut whole = Fold::default();
            let mut parts = Fold::default();
            let mut now = 0;
            for (run, (one, other, first, hours)) in marks.iter().enumerate() {
                now += hours;
                for fold in [&mut whole, &mut parts] {
                    fold.run(at(now));
                    let first = first.as_ref().and_then(|first| first.chars().next());
                    fold.result(1, one.chars().next().unwrap(), first);
                    fold.result(2, other.chars().next().unwrap(), None);
                }
                if run == stop {
                    let times = parts.times();
                    let mut again =
                        Fold::at(times.iter().map(|time| DateTime::from_timestamp(*time, 0).unwrap()));
                    for (relay, track, [strip, first]) in parts.tracks(at(now)) {
                        again.restore(relay, track.last_seen, track.streak, [&strip, &first]);
                    }
                    parts = again;
                }
            }
            let seen = |fold: &Fold| {
                let mut seen: Vec<_> = fold
                    .remembered(at(now))
                    .map(|(relay, track)| {
                        let past = fold.past(track, at(now));
                        (relay, track.streak, track.last_seen, fold.recent(track), past)
                    })
                    .collect();
                seen.sort_by_key(|(relay, ..)| *relay);
                seen
            };
            prop_assert_eq!(seen(&parts), seen(&whole));
        }

        #[test]
        fn a_strip_survives_being_written_short(strip in "[swdtcex.]{0,30}s{0,200}", absent in 0..50_usize) {
            let short = shorten(strip.as_bytes(), absent);
            prop_assert_eq!(lengthen(&short), (strip + &".".repeat(absent)).into_bytes());
        }

        #[test]
        fn any_text_is_a_strip_of_bounded_length(text in "\\PC{0,60}", digits in "[0-9s]{0,60}") {
            prop_assert!(lengthen(&text).len() <= 2 * MOST);
            prop_assert!(lengthen(&digits).len() <= 2 * MOST);
        }
    }
}
