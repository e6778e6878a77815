-- What the Kafka backend of the log keeps in the database (db/kafka.h): the records themselves are in
-- Kafka, but "once under its id", "part of this unit for good" and "this holder no longer" are decided
-- where the effects are stored, too. docs/adr/0017-kafka-beside-the-database.md tells why.

-- Each record that was read for the first time. A second one under the same id, by whomever it was
-- produced, is the first again.
create table kafka_records (
    topic         text collate "C" not null,
    id            uuid not null,
    partition     integer not null,
    record_offset bigint not null,
    unit          uuid,                        -- as in log_records
    unit_at       smallint,
    unit_size     smallint,
    digest        bytea not null,
    seen_at       timestamptz not null default clock_timestamp(),
    primary key (id, topic)
);
create unique index kafka_records_place on kafka_records (topic, partition, record_offset);
create index kafka_records_unit on kafka_records (unit) where unit is not null;

-- Which log this system uses. Records in the other one would be forgotten by a mere change of the
-- setting; so the change is a step of its own, that looks first (`fte up`).
create table log_backend (
    one          boolean primary key default true check (one),
    name         text not null check (name in ('postgres', 'kafka')),
    -- Rows of log_records above it are still to be handed on to Kafka: dead letters and replays, which
    -- are written together with the rows that they tell of.
    relay_after  bigint not null default 0,
    changed_at   timestamptz not null default now()
);
insert into log_backend (name) values ('postgres');
