-- What a person does with a ticket (db/handling.h).

-- The status page asks of each unit whether a person has answered it (db/link.c).
create index messages_person on messages (unit_id, seq) where author = 'person';
