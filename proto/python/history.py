#!/usr/bin/python3
"""history - the actor of actors/history/, in Python: tell what a customer and we said to each other.

    agent --(CALL get_customer_history)--> history --(RETURN messages)--> agent

The last 20 messages of all channels, newest first, without those of the unit that asks. It only reads: after a crash the
question is asked again. To use it, name it in the child table: docs/guide/write-an-actor.md.
"""
import os, sys

import psycopg2

import fte

NEWEST = """
    select direction, author, channel, left(body, 1000) as text, length(body) > 1000 as cut,
           (extract(epoch from created_at) * 1000000)::bigint as at, sentiment::double precision as sentiment
      from messages
     where customer_id = encode(%s, 'hex')::uuid and unit_id <> encode(%s, 'hex')::uuid
     order by seq desc limit 20"""
database = None


def answer(question):
    customer, unit = question.get("customer"), question.get("unit")
    if type(customer) is not bytes or len(customer) != 16:
        raise fte.Fault("malformed", "customer")
    if type(unit) is not bytes or len(unit) != 16:
        unit = bytes(16)
    return {"messages": [message for message in rows(customer, unit)]}


def rows(customer, unit):
    """Connects where there is no connection. A lost one is a matter of waiting: the question is asked again."""
    global database
    try:
        if database is None:
            limits = "-c statement_timeout=2000 -c default_transaction_read_only=on"
            database = psycopg2.connect(os.environ["DATABASE_URL"], connect_timeout=2, options=limits)
            database.autocommit = True
        with database.cursor() as cursor:
            cursor.execute(NEWEST, (customer, unit))
            names = [column.name for column in cursor.description]
            for row in cursor.fetchall():
                yield {name: value for name, value in zip(names, row) if value is not None}
    except psycopg2.OperationalError:
        database = None
        raise fte.Fault("unavailable", "database") from None


if __name__ == "__main__":
    if not os.environ.get("DATABASE_URL"):
        print("fte-history: DATABASE_URL is not set: must be the address of a PostgreSQL database", file=sys.stderr)
        sys.exit(78)
    fte.Actor("history", "get_customer_history", call=answer).run()
