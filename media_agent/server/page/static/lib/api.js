// Calls of the server. Addresses are relative to the page, so that it also works behind a path.

export const base = new URL("v1/", document.baseURI.split("#")[0])

/** What the server refused, in its words. */
export class ServerError extends Error {
  constructor(status, body, retryAfter) {
    const info = body?.media_agent ?? {}
    super(info.message ?? body?.error?.message ?? `The server answered ${status}.`)
    this.status = status
    this.code = info.code ?? body?.error?.code ?? null
    this.hint = info.hint ?? info.next ?? (retryAfter ? `Try again in ${retryAfter} s.` : null)
  }
}

/** The server could not be reached. */
export class OfflineError extends Error {
  constructor() {
    super("The server cannot be reached.")
    this.hint = "Is it running? This page tries again by itself."
  }
}

const listeners = new Set()
let online = true

/** Hear of every change between reachable (true) and not (false). */
export function onReach(listener) {
  listeners.add(listener)
}

export function setReached(now) {
  if (now === online) return
  online = now
  for (const listener of listeners) listener(now)
}

export const address = (path) => new URL(path, base).href

/** Return the server's reply to a call as JSON. */
export async function call(path, { method = "GET", json, form, headers = {}, signal } = {}) {
  const body = json === undefined ? form : JSON.stringify(json)
  const sent = json === undefined ? headers : { ...headers, "Content-Type": "application/json" }
  let reply
  try {
    reply = await fetch(address(path), { method, body, headers: sent, signal, credentials: "same-origin" })
  } catch (error) {
    if (error.name === "AbortError") throw error
    setReached(false)
    throw new OfflineError()
  }
  setReached(true)
  const text = await reply.text()
  let read = null
  try {
    read = text === "" ? null : JSON.parse(text)
  } catch {
    // a proxy in between may answer anything; the status says enough
  }
  if (reply.ok) return read
  if (reply.status === 401 && path !== "session") window.dispatchEvent(new Event("signed-out"))
  throw new ServerError(reply.status, read, reply.headers.get("Retry-After"))
}

/** Return where the video of a job is. */
export const fileOf = (id) => address(`videos/${encodeURIComponent(id)}/content`)

/** Return the keys of one form: sending the same again is the same job, other content is another. */
export function makeKeys() {
  let key = drawKey()
  let sent = null
  return (content) => {
    const now = JSON.stringify(content)
    if (sent !== null && now !== sent) key = drawKey()
    sent = now
    return key
  }
}

function drawKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16))
  return "page-" + Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("")
}
