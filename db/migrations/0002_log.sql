-- The durable log (actors/edge/log.h), its consumers' leases and positions, and the dead letters.
--
-- A record is appended under one transaction lock that is taken before its offset is drawn, so that
-- offsets become visible in rising order: whoever has read up to N has seen all that is below N.
-- docs/adr/0008-one-lock-for-appending.md tells why.

create table log_records (
    topic         text collate "C" not null,
    partition     integer not null check (partition >= 0),
    record_offset bigint not null generated always as identity,
    id            uuid not null,               -- who appends the same id again finds the first
    unit          uuid,                        -- the unit that it was composed into, for good; null:
    unit_at       smallint,                    -- none yet, or alone. Its place in it, from 0, and how
    unit_size     smallint,                    -- many they are
    key           text collate "C" not null,   -- order is kept within it
    body          bytea not null,
    digest        bytea not null,              -- tells a repeat from another content under one id
    trace         text,                        -- W3C traceparent
    received_at   timestamptz not null default clock_timestamp(),
    primary key (topic, partition, record_offset),
    unique (id, topic)
);
-- Bodies are kept a day: compressing them costs more than it saves.
alter table log_records alter column body set storage external;
create index log_records_unit on log_records (unit) where unit is not null;

-- Edges that are there. One is alive while its lease runs and its connection holds the session lock
-- of its number: a killed one is thus known to be dead at once.
create sequence log_member_ids as integer cycle;
create table log_members (
    owner       integer primary key,
    lease_until timestamptz not null
) with (fillfactor = 50);

-- Who reads which partition, and how far everything is settled.
create table log_partitions (
    topic       text collate "C" not null,
    partition   integer not null,
    position    bigint not null default 0,  -- every record up to and with this offset is settled
    owner       integer,                    -- of log_members; null: nobody
    fence       bigint not null default 0,  -- rises with each change of the owner
    lease_until timestamptz,
    primary key (topic, partition)
) with (fillfactor = 50);
insert into log_partitions (topic, partition)
select 'fte.tickets.incoming', p from generate_series(0, 11) as p;

-- What could not be done, kept whole, so that it can be done once its cause is mended.
create table dead_letters (
    unit_id       uuid primary key,
    topic         text collate "C" not null,
    partition     integer not null,
    record_offset bigint not null,             -- of the newest record in it
    key           text collate "C" not null,
    link_id       uuid,                        -- the status page that tells it
    message_ids   uuid[] not null,
    bodies        bytea[] not null,            -- the records as they were, oldest first
    trace         text,
    received_at   timestamptz not null,
    error         text not null,               -- code of proto/README.md 10
    service       text not null,               -- who said so; 'edge' where nobody answered
    why           text not null,
    attempts      integer not null,
    deaths        integer not null default 1,  -- more than once: a replay failed too
    state         text not null default 'dead' check (state in ('dead', 'replayed', 'dropped')),
    created_at    timestamptz not null default now(),
    closed_at     timestamptz
);
create index dead_letters_link on dead_letters (link_id);
create index dead_letters_open on dead_letters (created_at) where state = 'dead';
