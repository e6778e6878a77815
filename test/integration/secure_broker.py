"""A real Kafka that asks who one is: TLS, SASL (PLAIN, SCRAM) and access rights, on loopback.

    with SecureBroker(users=["fte"]) as broker:
        broker.allow("fte")
        FTE_KAFKA_BROKERS=broker.address("secure"), FTE_KAFKA_PROPERTIES=broker.file(broker.properties("fte", "PLAIN"))

One node with four listeners: `plain` (nobody is asked, and anonymous may do everything: for the test itself), `sasl`
(SASL over plain text), `secure` (SASL over TLS) and `other` (the same with a certificate of another host's name)."""
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time

import kafka
from kafka.admin import ACL, ACLOperation, ACLPermissionType, KafkaAdminClient, ResourcePattern, ResourceType
from kafka.admin.acl_resource import ACLResourcePatternType

ROOT = pathlib.Path(__file__).resolve().parents[2]
LIB = pathlib.Path(os.environ.get("FTE_KAFKA_LIB", ROOT / "build/kafka"))
PASSWORD = "hush-%s"  # of a user
MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
RIGHTS = ("CREATE", "DESCRIBE", "DESCRIBE_CONFIGS", "READ", "WRITE")  # what fte needs; docs/guide/operating.md
LISTENERS = {"plain": "PLAINTEXT", "sasl": "SASL_PLAINTEXT", "secure": "SASL_SSL", "other": "SASL_SSL", "control": "PLAINTEXT"}


def java(*arguments):
    return ["java", "-cp", f"{LIB}/*", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-Xmx256m", "-XX:+UseSerialGC", *arguments]


def password(user):
    return PASSWORD % user


class SecureBroker:
    def __init__(self, users=("fte",)):
        self.users, self.process = users, None
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="fte-secure."))

    def __enter__(self):
        try:
            subprocess.run([ROOT / "actors/edge/broker/broker.sh", "fetch", self.dir], check=True)
            self.certificates()
            self.configure()
            self.boot()
            return self
        except BaseException:
            self.__exit__()
            raise

    def __exit__(self, *_):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()
        shutil.rmtree(self.dir, ignore_errors=True)

    # --- keys --------------------------------------------------------------------------------------

    def openssl(self, *arguments):
        subprocess.run(["openssl", *arguments], cwd=self.dir, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def certificates(self):
        """ca.pem signs secure.pem (127.0.0.1) and other.pem (somebody else); stranger.pem is a CA that signs nothing."""
        for name in ("ca", "stranger"):
            self.openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN=fte test {name}",
                         "-keyout", f"{name}.key", "-out", f"{name}.pem")
        for name, alternative in (("secure", "IP:127.0.0.1,DNS:localhost"), ("other", "DNS:kafka.example.com")):
            self.openssl("req", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=broker", "-keyout", f"{name}.key", "-out", f"{name}.csr")
            (self.dir / "extensions").write_text(f"subjectAltName={alternative}\n")
            self.openssl("x509", "-req", "-days", "2", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial",
                         "-extfile", "extensions", "-out", f"{name}.crt")
            (self.dir / f"{name}.pem").write_text((self.dir / f"{name}.key").read_text() + (self.dir / f"{name}.crt").read_text())

    # --- the broker --------------------------------------------------------------------------------

    def configure(self):
        taken = [socket.socket() for _ in LISTENERS]
        for s in taken:
            s.bind(("127.0.0.1", 0))
        self.ports = dict(zip(LISTENERS, (s.getsockname()[1] for s in taken)))
        for s in taken:
            s.close()
        plain = " ".join(f'user_{user}="{password(user)}"' for user in self.users)
        lines = {
            "process.roles": "broker,controller", "node.id": 1, "log.dirs": self.dir / "data",
            "controller.quorum.voters": f"1@127.0.0.1:{self.ports['control']}", "controller.listener.names": "CONTROL",
            "listeners": ",".join(f"{name.upper()}://127.0.0.1:{port}" for name, port in self.ports.items()),
            "listener.security.protocol.map": ",".join(f"{name.upper()}:{protocol}" for name, protocol in LISTENERS.items()),
            "inter.broker.listener.name": "PLAIN", "auto.create.topics.enable": "false", "offsets.topic.num.partitions": 1,
            "offsets.topic.replication.factor": 1, "transaction.state.log.replication.factor": 1, "transaction.state.log.min.isr": 1,
            "group.initial.rebalance.delay.ms": 0, "group.min.session.timeout.ms": 1000, "controlled.shutdown.enable": "false",
            "log.cleaner.dedupe.buffer.size": 4194304, "num.io.threads": 4, "sasl.enabled.mechanisms": ",".join(MECHANISMS),
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer", "super.users": "User:ANONYMOUS",
        }
        for name in ("sasl", "secure", "other"):
            lines[f"listener.name.{name}.plain.sasl.jaas.config"] = (
                f"org.apache.kafka.common.security.plain.PlainLoginModule required {plain};")
            for mechanism in MECHANISMS[1:]:
                lines[f"listener.name.{name}.{mechanism.lower()}.sasl.jaas.config"] = (
                    "org.apache.kafka.common.security.scram.ScramLoginModule required;")
        for name in ("secure", "other"):
            lines[f"listener.name.{name}.ssl.keystore.type"] = "PEM"
            lines[f"listener.name.{name}.ssl.keystore.location"] = self.dir / f"{name}.pem"
        (self.dir / "server.properties").write_text("".join(f"{name}={value}\n" for name, value in lines.items()))

    def boot(self):
        scram = [part for user in self.users for mechanism in MECHANISMS[1:] for part in
                 ("--add-scram", f'{mechanism}=[name={user},iterations=4096,password="{password(user)}"]')]
        subprocess.run(java("kafka.tools.StorageTool", "format", "-t", "MkU3OEVBNTcwNTJENDM2Qk", "-c", self.dir / "server.properties",
                            *scram), check=True, stdout=subprocess.DEVNULL)
        self.log = open(self.dir / "server.log", "ab")
        self.process = subprocess.Popen(java("kafka.Kafka", self.dir / "server.properties"), cwd="/", stdin=subprocess.DEVNULL,
                                        stdout=self.log, stderr=self.log)
        end = time.monotonic() + 60
        while True:
            try:
                self.admin = KafkaAdminClient(bootstrap_servers=self.address("plain"))
                return
            except kafka.errors.KafkaError:
                assert self.process.poll() is None and time.monotonic() < end, (self.dir / "server.log").read_text()[-2000:]

    def address(self, listener):
        return f"127.0.0.1:{self.ports[listener]}"

    # --- who may what ------------------------------------------------------------------------------

    def allow(self, user, topics=RIGHTS, group=("READ",)):
        """To all topics `fte.*` and the groups `fte...`."""
        def one(type_, name, operation):
            return ACL(principal=f"User:{user}", host="*", operation=ACLOperation[operation], permission_type=ACLPermissionType.ALLOW,
                       resource_pattern=ResourcePattern(type_, name, ACLResourcePatternType.PREFIXED))
        self.admin.create_acls([one(ResourceType.TOPIC, "fte.", operation) for operation in topics] +
                               [one(ResourceType.GROUP, "fte", operation) for operation in group])

    # --- how a client finds in ---------------------------------------------------------------------

    def file(self, properties):
        handle, path = tempfile.mkstemp(dir=self.dir, suffix=".properties")
        with os.fdopen(handle, "w") as f:
            f.write("# as the operator wrote it\n\n" + "".join(f"{name} = {value}\n" for name, value in properties.items()))
        return path

    def properties(self, user, mechanism, tls=True, **more):
        """{librdkafka's property: value}; `more` changes some (with _ for .)."""
        return {"security.protocol": "SASL_SSL" if tls else "SASL_PLAINTEXT", "sasl.mechanism": mechanism,
                "sasl.username": user, "sasl.password": password(user),
                **({"ssl.ca.location": str(self.dir / "ca.pem")} if tls else {}),
                **{name.replace("_", "."): value for name, value in more.items()}}
