"""The names of spans, metrics and attributes; nothing else names one.

Those beginning with `gen_ai`, `http`, `server` and `error` are OpenTelemetry's semantic conventions
(https://opentelemetry.io/docs/specs/semconv/). Its `gen_ai` names are in development and know no
video yet, so what it has no name for begins with `media_agent`.
"""

SCOPE = "media_agent"

# Spans.
JOB = "media_agent.job"
QUEUE = "media_agent.queue"
GENERATE = "media_agent.generate"
DELIVER = "media_agent.deliver"
CHUNK = "media_agent.chunk"
"""An event of the span of generating."""

# Metrics.
JOB_DURATION = "media_agent.job.duration"
QUEUE_DURATION = "media_agent.queue.duration"
GENERATE_DURATION = "media_agent.generate.duration"
CHUNK_DURATION = "media_agent.chunk.duration"
PHASE_DURATION = "media_agent.phase.duration"
DELIVER_DURATION = "media_agent.deliver.duration"
FRAMES = "media_agent.frames"
COST = "media_agent.cost"
CALL_DURATION = "http.client.request.duration"

# Attributes.
JOB_ID = "media_agent.job.id"
STATUS = "media_agent.job.status"
PHASE = "media_agent.phase"
CHUNK_INDEX = "media_agent.chunk.index"
BACKEND = "gen_ai.provider.name"
MODEL = "gen_ai.request.model"
OPERATION = "gen_ai.operation.name"
OUTPUT = "gen_ai.output.type"
ERROR = "error.type"
METHOD = "http.request.method"
HOST = "server.address"
ANSWER = "http.response.status_code"

GENERATES_VIDEO = {OPERATION: "generate_content", OUTPUT: "video"}
