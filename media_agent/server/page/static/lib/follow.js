// A job, and every change of it: events say when to look, the job itself says what is true.

import { address, call, OfflineError, setReached } from "./api.js"
import { isOver } from "./words.js"

const EVENTS = ["job.started", "job.progressed", "chunk.ready", "prompt.changed", "job.completed",
  "job.failed", "job.cancelled", "job.outcome_unknown"]
const CALM = 400 // ms between two looks at the job
const AGAIN = 3000 // ms before another try

/** Call `onJob` with the job now and after each change, until `signal` stops it. */
export function follow(id, { onJob, onError, onEvent = () => {}, signal }) {
  let source = null
  let timer = null
  let looking = false
  let wanted = false
  let last = null

  const close = () => {
    source?.close()
    source = null
  }
  signal.addEventListener("abort", () => {
    close()
    clearTimeout(timer)
  })

  async function look() {
    timer = null
    if (looking) {
      wanted = true
      return
    }
    looking = true
    wanted = false
    try {
      const job = await call(`jobs/${encodeURIComponent(id)}`, { signal })
      if (signal.aborted) return
      onJob(job)
      if (isOver(job.status)) close()
      else if (source === null) listen()
    } catch (error) {
      if (signal.aborted) return
      onError(error)
      if (error instanceof OfflineError || error.status >= 500 || error.status === 429) soon(AGAIN)
    } finally {
      looking = false
      if (wanted && !signal.aborted) soon()
    }
  }

  function soon(after = CALM) {
    if (timer === null && !signal.aborted) timer = setTimeout(look, after)
  }

  function listen() {
    const from = last === null ? "" : `?after=${last}`
    source = new EventSource(address(`jobs/${encodeURIComponent(id)}/events${from}`))
    source.onopen = () => setReached(true)
    source.onerror = () => {
      if (source?.readyState === EventSource.CLOSED) close()
      soon(AGAIN)
    }
    for (const type of EVENTS) {
      source.addEventListener(type, (message) => {
        last = message.lastEventId || last
        onEvent(type, read(message.data))
        soon()
      })
    }
  }

  look()
  return { refresh: () => soon(0) }
}

function read(text) {
  try {
    return JSON.parse(text).event ?? {}
  } catch {
    return {}
  }
}
