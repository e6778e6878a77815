"""What stands on the topics, for tests: read with clients that have nothing in common with the edge's."""

import json
import uuid

import kafka
import msgpack


def read(brokers, topic, begin=None):
    """All records of a topic in Kafka, from the offsets {TopicPartition: n} on: [(key, {header: bytes}, value)]."""
    begin = begin or {}
    reader = kafka.KafkaConsumer(bootstrap_servers=brokers, enable_auto_commit=False)
    parts = [kafka.TopicPartition(topic, n) for n in reader.partitions_for_topic(topic) or ()]
    ends = {p: end for p, end in reader.end_offsets(parts).items() if end > begin.get(p, 0)}
    reader.assign(parts)
    for p in parts:
        reader.seek(p, begin.get(p, 0))
    got = []
    while any(reader.position(p) < end for p, end in ends.items()):
        for batch in reader.poll(1000).values():
            got += [(m.key.decode(), dict(m.headers), m.value) for m in batch]
    reader.close()
    return got


class KafkaTopics:
    def __init__(self, brokers, group="fte"):
        self.brokers, self.group = brokers, group

    def ids(self, topic):
        """Of all records, each as often as it stands there."""
        return [id for id, _ in self.records(topic)]

    def records(self, topic):
        """(id, key) of all records; those of a key in their order."""
        return [(headers["ce_id"].decode(), key) for key, headers, _ in read(self.brokers, topic) if "ce_id" in headers]

    def dead_units(self):
        return [json.loads(value)["unit"] for _, _, value in read(self.brokers, "fte.dlq")]

    def position(self, topic, partition):
        """Up to where it is settled; -1 where nothing is."""
        client = kafka.KafkaConsumer(bootstrap_servers=self.brokers, group_id=self.group, enable_auto_commit=False)
        committed = client.committed(kafka.TopicPartition(topic, partition))
        client.close()
        return (committed or 0) - 1

    def unsettled(self):
        """How many records of fte.tickets.incoming the group has not settled."""
        client = kafka.KafkaConsumer(bootstrap_servers=self.brokers, group_id=self.group, enable_auto_commit=False)
        parts = [kafka.TopicPartition("fte.tickets.incoming", n)
                 for n in client.partitions_for_topic("fte.tickets.incoming") or ()]
        left = sum(end - (client.committed(p) or 0) for p, end in client.end_offsets(parts).items())
        client.close()
        return left


class PostgresTopics:
    """`sql(query)` gives rows."""

    def __init__(self, sql):
        self.sql = sql

    def ids(self, topic):
        return [id for id, _ in self.records(topic)]

    def records(self, topic):
        return self.sql(f"select id::text, key from log_records where topic = '{topic}' order by record_offset")

    def dead_units(self):
        return [str(uuid.UUID(bytes=msgpack.unpackb(bytes(row[0]))["unit"]))
                for row in self.sql("select body from log_records where topic = 'fte.dlq'")]

    def unsettled(self):
        return self.sql("select count(*) from log_records r join log_partitions p using (topic, partition)"
                        " where r.record_offset > p.position")[0][0]
