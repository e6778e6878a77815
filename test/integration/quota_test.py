"""A disk quota that is used up is waited for: no message is to blame, and none becomes a dead letter.

PostgreSQL has no code for it (EDQUOT is XX000, where a full disk is 53100). Any error of its files that has none will do
to see that: here a process of the server may not write files beyond 16 MiB, as much as its journal needs (EFBIG).
"""

import os
import subprocess

from system import wait_for

LIMIT = 16 << 20  # bytes: a segment of the journal
AS_SERVER = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"] if os.geteuid() == 0 else []
GROW = """
    create table quota_big (x text);
    alter table quota_big alter x set storage plain;
    insert into quota_big select repeat('x', 7000) from generate_series(1, 2300);
    create function quota_grow() returns trigger language plpgsql as $$ begin
        insert into quota_big values (repeat('x', 7000)); return new; end $$;
    create trigger quota_grow after insert on tickets for each row execute function quota_grow()"""


def limit(pids, size):
    """Of those that still live."""
    for pid in pids:
        done = subprocess.run([*AS_SERVER, "prlimit", "--pid", str(pid), f"--fsize={size}:"], capture_output=True, text=True)
        assert done.returncode == 0 or not os.path.exists(f"/proc/{pid}"), done.stderr


def test_a_file_that_cannot_grow_is_waited_for(system):
    def refusals():
        with open(os.path.join(system.state, "pg", "server.log"), errors="replace") as f:
            return f.read().count("could not extend file")

    system.sql(GROW)
    servers = [pid for pid, in system.sql("select pid from pg_stat_activity where backend_type = 'client backend'"
                                          " and application_name = 'fte' and pid <> pg_backend_pid()")]
    before = len(system.sql("select 1 from dead_letters"))
    try:
        limit(servers, LIMIT)
        link = system.submit(message="How do I write my own actor?")
        wait_for(lambda: refusals() >= 8, 30, "eight refusals, more than counted attempts would be")
        limit(servers, "unlimited")
        assert system.wait_outcome(link)["status"] == "answered"
        assert len(system.sql("select 1 from dead_letters")) == before
    finally:
        limit(servers, "unlimited")
        system.sql("drop trigger quota_grow on tickets; drop function quota_grow; drop table quota_big")
