-- How far the consumer of a log in Kafka was behind when the actor metrics last asked Kafka: so that who
-- can only reach the database (`fte top`) sees it, too. The log in PostgreSQL is counted when it is asked.
create table log_lag (
    topic       text collate "C" not null,
    partition   integer not null,
    lag         bigint not null check (lag >= 0), -- records behind the position of the group
    measured_at timestamptz not null default now(),
    primary key (topic, partition)
);
comment on table log_lag is 'Records that are not settled, by partition: a log in Kafka, as measured last.';
