//! The hand of whoever shares the memory: any word, at any time, anything.

use atoll_ipc::channel::Region;
use atoll_ipc::ring::key;
use atoll_ipc::sync::AtomicU64;
use atoll_ipc::sync::Ordering::Relaxed;
use atoll_ipc::words::WORD;

use super::super::input::Input;
use super::World;

impl World {
    pub(super) fn hand_step(&mut self, input: &mut Input<'_>) -> Option<()> {
        match input.byte()? % 7 {
            0 | 1 => self.channel.scribble(input.small()?, input.value()?),
            2 => {
                let area = self.area(input.byte()?);
                overwrite(area, input.value()? as usize, input.value()?);
            }
            3 => self.forge(input.byte()?, None, input)?,
            4 => {
                let position = input.value()?;
                self.forge(input.byte()?, Some(position), input)?;
            }
            5 => self.forge_item(input.byte()?, input)?,
            _ => self.forge_answer(input)?,
        }
        Some(())
    }

    fn area(&self, which: u8) -> &[AtomicU64] {
        match which % 4 {
            0 => self.channel.requests(),
            1 => self.channel.replies(),
            2 => self.channel.lent_requests(),
            _ => self.channel.lent_replies(),
        }
    }

    /// A record with the right tag: at the place where the consumer says that it stands, if no
    /// other is given.
    fn forge(&mut self, side: u8, position: Option<u64>, input: &mut Input<'_>) -> Option<()> {
        let head = input.value()?;
        let kind = u64::from(input.byte()?);
        self.publish(side, position, head & 0xffff_ffff_00ff_ffff | (kind % 64) << 24, &[]);
        Some(())
    }

    /// A record that hands over a buffer, which lies anywhere.
    fn forge_item(&mut self, side: u8, input: &mut Input<'_>) -> Option<()> {
        let kind = if side & 1 == 0 { 2 } else { 4 };
        let head = u64::from(input.byte()?) | kind << 24 | 1 << 28;
        let item = [1 | input.value()? << 32, input.value()?];
        self.publish(side, None, head | u64::from(input.byte()?) << 32, &item);
        Some(())
    }

    /// A short reply, or something like it, over a call that is under way.
    fn forge_answer(&mut self, input: &mut Input<'_>) -> Option<()> {
        let (which, head) = (input.small()?, input.value()?);
        let (kind, token) = (u64::from(input.byte()?), input.small()? as u64);
        let Some(ticket) = self.under_way.get(which % self.under_way.len().max(1)) else {
            return Some(());
        };
        let position = u64::from(ticket.token()) * 16;
        let key = self.request_key();
        self.has_forged = true;
        // The kind of a reply, and the token of that call, more often than others.
        let kind = if kind < 128 { 4 } else { kind % 64 };
        let token = if token < 128 { ticket.token().into() } else { token };
        let head = head & 0xff00_0000_00ff_ffff | kind << 24 | token << 32;
        let at = position as usize / WORD;
        overwrite(self.channel.requests(), at, !(position ^ key));
        overwrite(self.channel.requests(), at + 1, head);
        Some(())
    }

    /// Of the request ring that the client writes, as far as it says so.
    fn request_key(&self) -> u64 {
        let epochs = self.channel.status().epochs();
        if self.channel.shared().requests().claims().producing == epochs.spare() {
            key(self.spare_secret, epochs.spare())
        } else {
            key(self.request_secret, epochs.requests)
        }
    }

    fn publish(&mut self, side: u8, position: Option<u64>, head: u64, rest: &[u64]) {
        self.has_forged |= side & 1 == 0;
        let epochs = self.channel.status().epochs();
        let (data, claims, key) = if side & 1 == 0 {
            let key = self.request_key();
            (self.channel.requests(), self.channel.shared().requests().claims(), key)
        } else {
            let key = key(self.reply_secret, epochs.replies());
            (self.channel.replies(), self.channel.shared().replies().claims(), key)
        };
        let position = position.unwrap_or(claims.taken);
        let words = [position ^ key, head];
        for (step, &word) in words.iter().chain(rest).enumerate() {
            overwrite(data, position as usize / WORD + step, word);
        }
    }
}

fn overwrite(area: &[AtomicU64], at: usize, value: u64) {
    area[at % area.len()].store(value, Relaxed);
}
