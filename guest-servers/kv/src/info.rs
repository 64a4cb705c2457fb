//! Owns INFO: the figures that clients and people read.

use alloc::string::String;
use core::fmt::{self, Write};

use store::interface::{Ailment, Figures};

use crate::command::{Call, Done};
use crate::db::Database;
use crate::env::Facts;
use crate::failure::Failure;
use crate::journal::Terms;
use crate::server::REDIS_VERSION;
use crate::word::ShortLower;

/// More than all sections together take, so that writing them allocates nothing.
const ROOM: usize = 4096;

/// What the surroundings tell.
#[derive(Clone, Copy)]
struct Told {
    facts: Facts,
    store: Option<Figures>,
}

type Section = fn(&mut String, &Database, Told) -> fmt::Result;

/// Its figures are asked of another server, and so only if they are wanted.
const PERSISTENCE: &str = "persistence";

const SECTIONS: &[(&str, Section)] = &[
    ("server", server),
    ("clients", clients),
    ("memory", memory),
    (PERSISTENCE, persistence),
    ("stats", stats),
    ("keyspace", keyspace),
];

/// `INFO [section …]`
pub(crate) fn info(call: &mut Call<'_>) -> Done {
    let asks = call.db.is_kept() && wanted(call, PERSISTENCE);
    let store = if asks { call.env.store() } else { None };
    let told = Told { facts: call.env.info(), store };
    let mut text = String::new();
    text.try_reserve(ROOM)?;
    for (name, section) in SECTIONS {
        if wanted(call, name) {
            if !text.is_empty() {
                text.push_str("\r\n");
            }
            // Writing to a string fails only if a figure's own formatting does.
            section(&mut text, call.db, told).map_err(|_| Failure::Memory)?;
        }
    }
    call.out.bulk(text.as_bytes());
    Ok(())
}

fn wanted(call: &Call<'_>, name: &str) -> bool {
    call.args.len() == 1
        || call.args.from(1).any(|section| {
            matches!(&*section.to_ascii_lowercase_short(), b"all" | b"default" | b"everything")
                || section.eq_ignore_ascii_case(name.as_bytes())
        })
}

fn server(text: &mut String, _: &Database, Told { facts, .. }: Told) -> fmt::Result {
    write!(
        text,
        "# Server\r\nredis_version:{REDIS_VERSION}\r\nredis_mode:standalone\r\n\
         server_name:atoll-kv\r\natoll_version:{}\r\natoll_epoch:{}\r\narch_bits:64\r\n\
         uptime_in_seconds:{}\r\nuptime_in_milliseconds:{}\r\nuptime_in_days:{}\r\n",
        env!("CARGO_PKG_VERSION"),
        facts.epoch,
        facts.uptime_ms / 1000,
        facts.uptime_ms,
        facts.uptime_ms / 86_400_000,
    )
}

fn clients(text: &mut String, db: &Database, Told { facts, .. }: Told) -> fmt::Result {
    write!(
        text,
        "# Clients\r\nconnected_clients:{}\r\nblocked_clients:0\r\nclient_buffers:{}\r\n\
         client_buffers_limit:{}\r\n",
        facts.clients,
        db.buffered(),
        db.options.buffers,
    )
}

fn memory(text: &mut String, db: &Database, Told { facts, .. }: Told) -> fmt::Result {
    write!(
        text,
        "# Memory\r\nused_memory:{}\r\nmaxmemory:{}\r\nmaxmemory_policy:noeviction\r\n\
         heap_used:{}\r\nheap_total:{}\r\n",
        db.used(),
        db.limit(),
        facts.heap_used,
        facts.heap_total,
    )
}

fn persistence(text: &mut String, db: &Database, told: Told) -> fmt::Result {
    let journal = db.journal.as_ref();
    let ailment = match journal.and_then(|journal| journal.terms().ailment) {
        None => "none",
        Some(Ailment::Failed) => "failed",
        Some(Ailment::ReadOnly) => "read-only",
    };
    write!(
        text,
        "# Persistence\r\nloading:0\r\nrdb_bgsave_in_progress:0\r\nrdb_last_save_time:{}\r\n\
         rdb_last_bgsave_status:ok\r\naof_enabled:{}\r\naof_rewrite_in_progress:0\r\n\
         aof_last_bgrewrite_status:ok\r\naof_last_write_status:{}\r\n",
        journal.map_or(0, |journal| journal.saved_ms / 1000),
        u8::from(journal.is_some()),
        if ailment == "none" { "ok" } else { "err" },
    )?;
    let Some(journal) = journal else { return Ok(()) };
    let Terms { batch, room, .. } = *journal.terms();
    write!(
        text,
        "atoll_store_batch:{batch}\r\natoll_store_room:{room}\r\natoll_store_ailment:{ailment}\r\n",
    )?;
    let Some(store) = told.store else { return Ok(()) };
    write!(
        text,
        "atoll_store_log_bytes:{}\r\natoll_store_live_bytes:{}\r\natoll_store_records:{}\r\n\
         atoll_store_batches:{}\r\natoll_store_writes:{}\r\natoll_store_moved_bytes:{}\r\n\
         atoll_store_recovery_us:{}\r\natoll_store_recovery_read_bytes:{}\r\n",
        store.log,
        store.live,
        store.records,
        store.batches,
        store.writes,
        store.moved,
        store.recovery_us,
        store.recovery_read,
    )
}

fn stats(text: &mut String, db: &Database, _: Told) -> fmt::Result {
    let stats = db.stats;
    write!(
        text,
        "# Stats\r\ntotal_commands_processed:{}\r\ntotal_error_replies:{}\r\nexpired_keys:{}\r\n\
         evicted_keys:0\r\nkeyspace_hits:{}\r\nkeyspace_misses:{}\r\n",
        stats.commands, stats.errors, stats.expired, stats.hits, stats.misses,
    )
}

fn keyspace(text: &mut String, db: &Database, _: Told) -> fmt::Result {
    text.write_str("# Keyspace\r\n")?;
    if db.is_empty() {
        return Ok(());
    }
    write!(text, "db0:keys={},expires={},avg_ttl=0\r\n", db.len(), db.volatile())
}
