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
