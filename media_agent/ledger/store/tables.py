"""The tables of the ledger, for SQLite and for Postgres; those of another version are refused."""

import re

APPLICATION_ID = 0x6D614C67  # "maLg", in the head of the file: this is a ledger of ours
LEDGER_VERSION = 11
"""In the head of the file; raised with every change of a table or of what is kept in it."""

_JOBS = """
CREATE TABLE jobs (
    id TEXT NOT NULL PRIMARY KEY,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL,
    status TEXT NOT NULL,
    part_of TEXT,  -- the key of the submission of the video that this job makes a part of
    caller TEXT,  -- whoever asked a server for it; absent: this machine
    fingerprint TEXT,  -- of the call, so that a repetition without a key is known
    resale_factor FLOAT NOT NULL,  -- by which its caller pays, by the key it was asked with
    label TEXT,  -- of the caller, to count costs under
    backend TEXT NOT NULL,  -- of the plan that is followed; so is its model, and its price
    model TEXT NOT NULL,
    quote_usd FLOAT,  -- absent: unknown
    title TEXT NOT NULL,  -- how its prompts begin
    removed_at TEXT,  -- then all that is left is what it cost, and that its id is taken
    request TEXT NOT NULL,
    plans JSON NOT NULL,  -- the candidates in order, each as JSON text
    plan_number INTEGER NOT NULL,  -- which of them is followed
    progress FLOAT,
    phase TEXT,
    chunks_ready INTEGER NOT NULL,
    frames_ready INTEGER NOT NULL,
    resume TEXT,  -- the last resume token
    record_path TEXT,
    warnings JSON NOT NULL,
    error TEXT,
    cancellation TEXT,  -- what a cancel stopped, and what may still be billed
    seconds FLOAT,  -- of the delivered video; absent: there is none
    out TEXT,  -- absent: the video stays in the job's folder
    overwrite BOOLEAN NOT NULL,
    idempotency_key TEXT UNIQUE,
    inputs JSON NOT NULL,  -- the digests of the files that went in, by path
    owner TEXT,  -- changed only by compare-and-set
    cancel_requested BOOLEAN NOT NULL
)"""

_OWNERS = """
CREATE TABLE owners (
    name TEXT NOT NULL PRIMARY KEY,  -- as `jobs.owner` says it
    seen FLOAT NOT NULL  -- the last heartbeat, in epoch seconds of the clock that all share
)"""

_SUBMISSIONS = """
CREATE TABLE submissions (
    id INTEGER NOT NULL PRIMARY KEY,
    job_id TEXT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    number INTEGER NOT NULL,  -- of the plan
    key TEXT NOT NULL UNIQUE,
    backend TEXT NOT NULL,
    model TEXT NOT NULL,
    quoted_usd FLOAT,  -- absent: unknown; 0: free, or paid by its parts
    held_usd FLOAT,  -- the most that it may cost: held in the budgets until it is settled
    has_old_price BOOLEAN NOT NULL,  -- even when it was quoted
    reserved_usd FLOAT NOT NULL,  -- for the parts of a video that are not yet submitted
    billed_usd FLOAT,  -- without what was paid back; absent: nobody said how much
    refunded_usd FLOAT,  -- what was paid back; absent: nobody said
    settled_at TEXT,  -- when its outcome was known; absent: it is held
    resale_factor FLOAT NOT NULL,  -- of its job
    state TEXT NOT NULL,  -- intended | accepted | refused | unknown
    ref TEXT,
    operation_id TEXT,  -- of the ref
    error TEXT,  -- why it was refused
    attempts INTEGER NOT NULL,
    created_at TEXT NOT NULL,
    started_at TEXT,  -- when work on it began, the first time
    ended_at TEXT,  -- when its outcome was kept
    UNIQUE (job_id, number)
)"""

_OUTCOMES = """
CREATE TABLE outcomes (
    id INTEGER NOT NULL PRIMARY KEY,  -- a later one has a higher one
    backend TEXT NOT NULL,
    model TEXT NOT NULL,
    ending TEXT NOT NULL,  -- done | failed | moderated | refused
    code TEXT,  -- of the error
    began_at FLOAT NOT NULL,  -- this time and the next one: seconds since the epoch
    ended_at FLOAT NOT NULL,
    queue_seconds FLOAT,  -- absent here and below: unknown
    seconds FLOAT,
    expected_seconds FLOAT,  -- as the catalogue said
    video_seconds FLOAT,  -- as asked for; so is the next one
    short_side INTEGER,
    quoted_usd FLOAT,
    billed_usd FLOAT,
    priced_on TEXT  -- the date of the price that was quoted
)"""

_LESSONS = """
CREATE TABLE lessons (
    name TEXT NOT NULL PRIMARY KEY,  -- of what was learned, and with which settings
    last_outcome INTEGER NOT NULL,  -- it was learned from this outcome and those before it
    lesson TEXT NOT NULL
)"""

_EVENTS = """
CREATE TABLE events (
    job_id TEXT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    sequence INTEGER NOT NULL,
    time TEXT NOT NULL,
    chunk INTEGER,
    frames INTEGER,  -- of the chunk
    event TEXT NOT NULL,
    PRIMARY KEY (job_id, sequence),
    UNIQUE (job_id, chunk)
) WITHOUT ROWID"""

_ARTIFACTS = """
CREATE TABLE artifacts (
    job_id TEXT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    number INTEGER NOT NULL,  -- -1: is being put in its place
    path TEXT,
    sha256 TEXT,
    artifact TEXT NOT NULL,
    PRIMARY KEY (job_id, number)
)"""

_COMMANDS = """
CREATE TABLE commands (
    id INTEGER NOT NULL PRIMARY KEY,  -- the number of the command: a later one has a higher one
    job_id TEXT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    command TEXT NOT NULL
)"""

_UPLOADS = """
CREATE TABLE uploads (
    id TEXT NOT NULL PRIMARY KEY,
    caller TEXT NOT NULL,
    filename TEXT NOT NULL,  -- as the caller said; never a path
    purpose TEXT NOT NULL,
    size_bytes INTEGER NOT NULL,
    sha256 TEXT NOT NULL,
    created_at TEXT NOT NULL,
    expires_at TEXT  -- absent: never
)"""

_API_KEYS = """
CREATE TABLE api_keys (
    id TEXT NOT NULL PRIMARY KEY,  -- a part of the key
    owner TEXT NOT NULL,  -- the `caller` of jobs; several keys may share one
    digest TEXT NOT NULL,  -- SHA-256 of the key
    scopes TEXT NOT NULL,  -- with spaces between
    usd_per_day FLOAT,  -- absent here and below: without a limit
    usd_total FLOAT,
    resale_factor FLOAT,  -- absent: 1
    requests_per_minute INTEGER,
    concurrent_jobs INTEGER,
    policies TEXT NOT NULL,  -- names of the settings, with spaces between
    created_at TEXT NOT NULL,
    last_used_at TEXT,  -- roughly
    expires_at TEXT,
    revoked_at TEXT
)"""

_ENDPOINTS = """
CREATE TABLE endpoints (
    name TEXT NOT NULL PRIMARY KEY,  -- as the settings call it; its secret is only there
    url TEXT NOT NULL,
    events JSON NOT NULL,  -- the types that it hears of
    caller TEXT,  -- whose jobs it hears of; absent: all
    disabled TEXT  -- why nothing is sent there any more; absent: it is in use
)"""

_DELIVERIES = """
CREATE TABLE deliveries (
    endpoint TEXT NOT NULL REFERENCES endpoints (name) ON DELETE CASCADE,
    job_id TEXT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    sequence INTEGER NOT NULL,  -- of the event that ended the job
    event TEXT NOT NULL,  -- what is sent: video.completed
    created_at FLOAT NOT NULL,  -- this time and the others: seconds since the epoch
    attempts INTEGER NOT NULL,
    due_at FLOAT,  -- absent: it is not sent again
    delivered_at FLOAT,
    answer TEXT,  -- what came of the last attempt
    PRIMARY KEY (endpoint, job_id, sequence)
)"""

LISTED = "part_of IS NULL AND removed_at IS NULL"
"""What a list of jobs shows: no segments, and nothing that was removed."""

UNSETTLED = "status IN ('queued', 'in_progress', 'outcome_unknown') AND removed_at IS NULL"

_LISTINGS = {  # each alone answers which jobs a page shows, newest first
    "time": "created_at, id, status, backend, model, label",
    "status": "status, created_at, id, backend, model, label",
    "backend": "backend, created_at, id, model, status, label",
    "label": "label, created_at, id, status, backend, model",
    "caller": "caller, created_at, id, status, backend, model, label",
}

TABLES = (
    _JOBS,
    *(
        f"CREATE INDEX jobs_by_{name} ON jobs ({columns}, part_of, removed_at) WHERE {LISTED}"
        for name, columns in _LISTINGS.items()
    ),
    f"CREATE INDEX jobs_unsettled ON jobs (created_at, id) WHERE {UNSETTLED}",
    "CREATE INDEX jobs_by_fingerprint ON jobs (fingerprint) WHERE fingerprint IS NOT NULL",
    "CREATE INDEX jobs_of_caller ON jobs (caller, status) WHERE caller IS NOT NULL",
    "CREATE INDEX jobs_by_owner ON jobs (owner) WHERE owner IS NOT NULL",
    "CREATE INDEX jobs_by_whole ON jobs (part_of) WHERE part_of IS NOT NULL",
    _OWNERS,
    _SUBMISSIONS,
    "CREATE INDEX submissions_by_time ON submissions (created_at)",
    "CREATE UNIQUE INDEX one_accepted_submission ON submissions (job_id) WHERE state = 'accepted'",
    _OUTCOMES,
    "CREATE INDEX outcomes_by_time ON outcomes (ended_at)",
    _LESSONS,
    _EVENTS,
    _ARTIFACTS,
    _COMMANDS,
    "CREATE INDEX commands_by_job ON commands (job_id)",
    _UPLOADS,
    "CREATE INDEX uploads_by_caller ON uploads (caller, created_at, id)",
    _API_KEYS,
    _ENDPOINTS,
    _DELIVERIES,
    "CREATE INDEX deliveries_due ON deliveries (endpoint, due_at) WHERE due_at IS NOT NULL",
    "CREATE INDEX deliveries_by_time ON deliveries (created_at)",
    "CREATE INDEX deliveries_by_job ON deliveries (job_id)",
)

_IN_POSTGRES = {  # by what SQLite says
    "INTEGER NOT NULL PRIMARY KEY": "BIGINT GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY",
    "INTEGER": "BIGINT",
    "FLOAT": "DOUBLE PRECISION",
    "TEXT": 'TEXT COLLATE "C"',  # in the order of their bytes, as in SQLite
    "JSON": 'TEXT COLLATE "C"',
    ") WITHOUT ROWID": ")",
}
_DIFFERING = re.compile("|".join(map(re.escape, _IN_POSTGRES)))


def tables_of_postgres() -> tuple[str, ...]:
    """Return what makes the same tables there."""
    return tuple(_DIFFERING.sub(lambda found: _IN_POSTGRES[found[0]], each) for each in TABLES)
