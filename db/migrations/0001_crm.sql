-- The customers, their conversations and what became of them. The tables of the specification, and
-- what makes each stage's result appear once.
--
-- Ids are UUIDs that are derived from what they name (proto/id.h), so doing a thing again names the
-- same row. Times are timestamptz; now() is the start of the stage's transaction. Rows that are
-- changed after their insert leave room on their page (fillfactor), and no changed column is indexed,
-- so that a change touches no index (HOT).

-- The number of the lock under which it is decided what becomes of a customer's messages: taken with
-- pg_advisory_xact_lock() in a statement of its own, before anything is read (db/batch.h).
create function lock_key(customer uuid) returns bigint immutable strict parallel safe language sql
    return ('x' || left(replace(customer::text, '-', ''), 16))::bit(64)::bigint;

-- What a column may hold is a domain: PostgreSQL reads a domain's check once per connection, but a table's
-- check anew with each statement, which at a few units a batch costs as much as storing them.
create domain channel_name as text check (value in ('email', 'whatsapp', 'webform'));
create domain identifier_kind as text check (value in ('email', 'phone', 'whatsapp'));
create domain assurance_kind as text check (value in ('claimed', 'verified'));
create domain conversation_owner as text check (value in ('automatic', 'human'));
create domain message_direction as text check (value in ('inbound', 'outbound'));
create domain message_author as text check (value in ('customer', 'fte', 'person'));
create domain ticket_ref as text check (value like 'TKT-______'); -- db/ticket.h
create domain ticket_status as text check (value in ('open', 'resolved', 'escalated', 'closed'));
create domain outbox_state as text
    check (value in ('NEW', 'SENDING', 'SENT', 'RETRY', 'UNKNOWN', 'HUMAN'));
create domain escalation_reason as text check (value in ('pricing_inquiry', 'refund_request',
    'legal_issue', 'cancellation_request', 'customer_requested', 'negative_sentiment',
    'knowledge_gap', 'human_owned', 'ungrounded'));
create domain escalation_status as text check (value in ('open', 'taken', 'closed'));
create domain sentiment_score as real check (value between -1 and 1);
create domain object as jsonb check (jsonb_typeof(value) = 'object');

create table customers (
    id uuid primary key, -- id_derive ("customer", assurance \x1f kind \x1f value) of the first identifier
    name text,
    metadata object not null default '{}',
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now()
) with (fillfactor = 90);
comment on table customers is 'One row a person or company, as far as we can tell (actors/identity).';

-- An address that names a customer. A form's e-mail address is claimed, a webhook's sender verified.
-- Anyone can type anyone's number into a form: such an identifier is kept but doesn't resolve.
create table customer_identifiers (
    customer_id uuid not null references customers on delete cascade on update cascade,
    kind identifier_kind not null,
    value text not null, -- normal form (actors/identity/contact.h)
    assurance assurance_kind not null,
    resolves boolean not null, -- a message with this identifier belongs to this customer
    created_at timestamptz not null default now(),
    primary key (customer_id, kind, value, assurance)
);
create unique index customer_identifiers_resolve on customer_identifiers (kind, value, assurance)
    where resolves;
comment on table customer_identifiers is 'Addresses and numbers of customers, and what each proves.';

-- Follow-ups join the open conversation of their customer and channel (actors/ticketer/threading.h).
create table conversations (
    id uuid primary key, -- the id of its first message
    customer_id uuid not null references customers on update cascade,
    channel channel_name not null,
    state conversation_owner not null default 'automatic', -- who answers
    subject text,
    started_at timestamptz not null default now(),
    last_activity_at timestamptz not null default now(),
    closed_at timestamptz,
    unique (customer_id, id) -- what messages and tickets refer to: their customer is its customer
) with (fillfactor = 75);
create unique index conversations_open on conversations (customer_id, channel)
    where closed_at is null;
comment on table conversations is 'An exchange with one customer over one channel; it has one ticket.';

-- What came in and what went out. A *unit* is what is answered together: one message, or a burst; its
-- id is the id of its first message, and each of its messages carries it from its first insert on.
create table messages (
    id uuid primary key, -- inbound: the envelope's id; outbound by fte: id_derive_from ("reply", unit)
    seq bigint not null generated always as identity, -- the order in which they were stored
    conversation_id uuid not null,
    customer_id uuid not null,
    unit_id uuid not null,
    link_id uuid,  -- inbound: the status page over which it came
    channel channel_name not null,
    direction message_direction not null,
    author message_author not null,
    body text not null,
    sources jsonb, -- outbound by fte: the passages it rests on
    sentiment sentiment_score,
    external_id text, -- the provider's
    received_at timestamptz, -- when ingress had it; outbound by fte: when it had what is answered
    created_at timestamptz not null default now(),
    foreign key (customer_id, conversation_id) references conversations (customer_id, id)
        on update cascade
) with (fillfactor = 65); -- a batch stores a page of them, and triage's scores must fit beside them
create unique index messages_one_reply on messages (unit_id)
    where direction = 'outbound' and author = 'fte';
create unique index messages_external on messages (channel, external_id)
    where external_id is not null;
create index messages_customer on messages (customer_id, seq);
create index messages_link on messages (link_id) where link_id is not null;
create index messages_created on messages using brin (created_at)
    with (pages_per_range = 32, autosummarize = on);
comment on table messages is 'Every message of every channel, in and out.';
comment on index messages_one_reply is 'A unit gets at most one reply of ours (promise P2).';

create table tickets (
    id uuid primary key, -- the conversation's: one ticket each
    conversation_id uuid not null generated always as (id) stored,
    customer_id uuid not null,
    ref ticket_ref not null unique,
    channel channel_name not null,
    status ticket_status not null default 'open',
    subject text,
    category text,
    priority text,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    resolved_at timestamptz,
    foreign key (customer_id, id) references conversations (customer_id, id) on update cascade
) with (fillfactor = 60);
comment on table tickets is 'One ticket a conversation.';

-- A reference is a keyed permutation of a number (db/ticket.h): it never collides, and the next one
-- can't be guessed. Numbers are taken in blocks; what a restart leaves over is never used.
create sequence ticket_numbers as bigint minvalue 0 maxvalue 1073741568 increment 256;
create table ticket_key (
    one boolean primary key default true check (one),
    key bytea not null check (length(key) = 32)
);
insert into ticket_key (key)
    values (sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())));
comment on table ticket_key is 'Key of the permutation behind ticket references: random per database.';

create table ticket_notes (
    ticket_id uuid not null references tickets,
    unit_id uuid not null,
    kind text not null, -- 'dead_letter' ...: one note of a kind for a unit
    note text not null,
    created_at timestamptz not null default now(),
    primary key (ticket_id, unit_id, kind)
);
comment on table ticket_notes is 'What a person who opens the ticket must know.';

create table channel_configs (
    channel channel_name primary key,
    enabled boolean not null default true,
    settings object not null default '{}'
);
insert into channel_configs (channel, settings)
    values ('webform', '{"tone": "semi-formal", "max_words": 300}');
comment on table channel_configs is 'Tone, template and length of each channel.';

-- One figure of one minute and channel, rolled up from the tables above (actors/metrics).
create table agent_metrics (
    minute timestamptz not null check (date_trunc('minute', minute, 'UTC') = minute),
    channel text not null,
    name text not null,
    value double precision not null,
    primary key (minute, channel, name)
);
comment on table agent_metrics is 'Figures per closed minute, channel and name.';

-- What is to leave or has left. The web form has no provider: its row is born SENT, in the
-- transaction that stores the message. UNKNOWN = the provider hid the outcome; HUMAN = a person decides.
create table outbox (
    id uuid primary key, -- the unit's: one sending each
    conversation_id uuid not null references conversations,
    channel channel_name not null,
    state outbox_state not null,
    owner text, -- who is sending, and its fencing number
    fence bigint not null default 0,
    message_id uuid,
    next_at timestamptz,
    created_at timestamptz not null default now(),
    sent_at timestamptz,
    check (case when state = 'SENT' then sent_at is not null and message_id is not null
                else sent_at is null end)
) with (fillfactor = 85);
comment on table outbox is 'Sendings and their states; the id is the unit''s, so there is one.';

create table escalations (
    id uuid primary key, -- the unit's: one escalation each
    ticket_id uuid not null references tickets,
    conversation_id uuid not null generated always as (ticket_id) stored,
    customer_id uuid not null references customers on update cascade,
    reason escalation_reason not null,
    evidence jsonb, -- which rule, which words
    summary text not null,
    context jsonb not null, -- customer, history, what was tried
    sentiment sentiment_score,
    status escalation_status not null default 'open',
    received_at timestamptz, -- when ingress had what is escalated
    created_at timestamptz not null default now()
) with (fillfactor = 90);
create index escalations_ticket on escalations (ticket_id);
create index escalations_created on escalations using brin (created_at)
    with (pages_per_range = 32, autosummarize = on);
comment on table escalations is 'What was given to a person, with all that the person needs.';

-- knowledge_base: what may be said to a customer, one row a passage (actors/kb/passage.h).
-- A search reports `document`: the imported row's id (JSON Lines) or the file's path (Markdown).
create table knowledge_base (
    id text primary key,             -- the imported row's id, or path#heading[~n] of a passage
    document text not null,          -- the imported row's id, or the file's path below what was imported
    source text not null,            -- what was imported: importing it again replaces its rows
    ordinal integer not null,        -- place of the passage in its document
    title text not null,
    body text not null,
    url text,
    domain text,
    language text not null default 'en',
    hash bytea not null,             -- SHA-256 of all of the above: an unchanged row is not written again
    updated_at timestamptz not null default now()
);
create index knowledge_base_source on knowledge_base (source);

-- Rises with every statement that changed the table, so that an importer can wait until each running
-- search has seen its change. One row; its lock puts imports one behind the other.
create table knowledge_base_generation (
    one boolean primary key default true check (one),
    generation bigint not null
);
insert into knowledge_base_generation (generation) values (1);

create function knowledge_base_changed() returns trigger language plpgsql as $$
begin
    update knowledge_base_generation set generation = generation + 1;
    notify fte_kb;
    return null;
end $$;
create trigger knowledge_base_changed
    after insert or update or delete or truncate on knowledge_base
    for each statement execute function knowledge_base_changed();

-- agent_runs: the evidence of each tool call of a turn, in order. The last step holds the decision
-- and the text that was decided on: a replay passes on what stands here.
create table agent_runs (
    unit_id uuid not null,
    step smallint not null check (step between 1 and 9),
    tool text not null,
    arguments jsonb,
    result jsonb,
    created_at timestamptz not null default now(),
    primary key (unit_id, step)
);
