"""The tables of the ledger, their version, and the steps from older versions to this one."""

from collections.abc import Callable, Sequence

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    Connection,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    inspect,
)

from media_agent.errors import ConfigurationError

APPLICATION_ID = 0x6D614C67  # "maLg", in the head of the file: this is a ledger of ours

metadata = MetaData()

jobs = Table(
    "jobs",
    metadata,
    Column("id", Text, primary_key=True),
    Column("created_at", Text, nullable=False),
    Column("updated_at", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("request", Text, nullable=False),
    Column("plans", JSON, nullable=False),  # the candidates in order, each as JSON text
    Column("plan_number", Integer, nullable=False),  # which of them is followed
    Column("progress", Float),
    Column("phase", Text),
    Column("chunks_ready", Integer, nullable=False),
    Column("frames_ready", Integer, nullable=False),
    Column("resume", Text),  # the last resume token
    Column("record_path", Text),
    Column("warnings", JSON, nullable=False),
    Column("error", Text),
    Column("out", Text),  # absent: the film stays in the job's folder
    Column("overwrite", Boolean, nullable=False),
    Column("idempotency_key", Text, unique=True),
    Column("owner", Text),  # changed only by compare-and-set
    Column("heartbeat", Float),  # seconds since the epoch
    Column("cancel_requested", Boolean, nullable=False),
    Index("jobs_by_time", "created_at"),
)

submissions = Table(
    "submissions",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("job_id", Text, ForeignKey("jobs.id", ondelete="CASCADE"), nullable=False),
    Column("number", Integer, nullable=False),  # of the plan
    Column("key", Text, nullable=False, unique=True),
    Column("backend", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("quote", Text, nullable=False),
    Column("cost", Text),
    Column("state", Text, nullable=False),  # intended | accepted | refused | unknown
    Column("ref", Text),
    Column("error", Text),  # why it was refused
    Column("attempts", Integer, nullable=False),
    Column("created_at", Text, nullable=False),
    UniqueConstraint("job_id", "number"),
)
Index(
    "one_accepted_submission",
    submissions.c.job_id,
    unique=True,
    sqlite_where=submissions.c.state == "accepted",
)

events = Table(
    "events",
    metadata,
    Column("job_id", Text, ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True),
    Column("sequence", Integer, primary_key=True),
    Column("time", Text, nullable=False),
    Column("chunk", Integer),
    Column("event", Text, nullable=False),
    UniqueConstraint("job_id", "chunk"),
    sqlite_with_rowid=False,
)

artifacts = Table(
    "artifacts",
    metadata,
    Column("job_id", Text, ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True),
    Column("number", Integer, primary_key=True),  # -1: is being put in its place
    Column("path", Text),
    Column("sha256", Text),
    Column("artifact", Text, nullable=False),
)

commands = Table(
    "commands",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("job_id", Text, ForeignKey("jobs.id", ondelete="CASCADE"), nullable=False),
    Column("command", Text, nullable=False),
    Index("commands_by_job", "job_id"),
)

Step = Callable[[Connection], None]

STEPS: tuple[Step, ...] = (commands.create,)
"""What turns version 1 into 2, 2 into 3, ...; a new file is made at the newest version."""


def prepare(connection: Connection, name: str, steps: Sequence[Step] = STEPS) -> None:
    """Bring a file to the newest version, inside the caller's transaction.

    Raises:
        ConfigurationError: the file is no ledger, or a newer media-agent made it.
    """
    newest = len(steps) + 1
    version = _pragma(connection, "user_version")
    if _pragma(connection, "application_id") != APPLICATION_ID:
        if version or inspect(connection).get_table_names():
            raise ConfigurationError(
                f"{name} is a database, but no ledger of media-agent",
                hint="move it away, or choose another data folder with MEDIA_AGENT_DATA_DIR",
            )
        metadata.create_all(connection)
        connection.exec_driver_sql(f"PRAGMA application_id = {APPLICATION_ID}")
        version = newest
    if version > newest:
        raise ConfigurationError(
            f"{name} has version {version}, made by a newer media-agent; "
            f"this one knows versions up to {newest}",
            hint="upgrade media-agent, or choose another data folder with MEDIA_AGENT_DATA_DIR",
        )
    for step in steps[version - 1 :]:
        step(connection)
    connection.exec_driver_sql(f"PRAGMA user_version = {newest}")


def _pragma(connection: Connection, name: str) -> int:
    return int(connection.exec_driver_sql(f"PRAGMA {name}").scalar_one())
