// Numbers and states as people read them.

export const STATES = {
  queued: "Queued",
  in_progress: "Rendering",
  completed: "Done",
  failed: "Failed",
  cancelled: "Cancelled",
  outcome_unknown: "Unclear",
}

export const isOver = (status) => status !== "queued" && status !== "in_progress"

export const stateName = (status) => STATES[status] ?? status

/** Return an amount in USD; unknown is not free. */
export function money(usd) {
  if (usd === null || usd === undefined) return "unknown"
  if (usd === 0) return "free"
  return `$${usd.toFixed(usd >= 0.1 ? 2 : 4)}`
}

/** Return the price on a button or in a plan. */
export const priceOf = (usd) => (usd === null || usd === undefined ? "price unknown" : money(usd))

/** Return a length or a waiting time. */
export function seconds(value) {
  if (value === null || value === undefined) return null
  if (value < 90) return `${Number(value.toFixed(value < 10 ? 1 : 0))} s`
  const minutes = Math.round(value / 60)
  return minutes < 90 ? `${minutes} min` : `${Number((value / 3600).toFixed(1))} h`
}

export function clock(value) {
  const whole = Math.floor(value)
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`
}

export function bytes(value) {
  if (value === null || value === undefined) return null
  const units = ["B", "kB", "MB", "GB", "TB"]
  let power = 0
  while (value >= 1000 && power < units.length - 1) {
    value /= 1000
    power += 1
  }
  return `${Number(value.toFixed(power && value < 10 ? 1 : 0))} ${units[power]}`
}

export function ago(time) {
  const past = (Date.now() - Date.parse(time)) / 1000
  if (past < 45) return "just now"
  if (past < 3600) return `${Math.max(1, Math.round(past / 60))} min ago`
  if (past < 86400) return `${Math.round(past / 3600)} h ago`
  return new Date(time).toLocaleDateString(undefined, { dateStyle: "medium" })
}

export const moment = (time) => new Date(time).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "medium" })

/** Return a value of a request or a record in one line. */
export function plain(value) {
  if (value === null || value === undefined) return "nothing"
  if (typeof value === "number") return String(Number(value.toFixed(3)))
  if (typeof value !== "object") return String(value)
  if ("width" in value && "height" in value) return `${value.width}x${value.height}`
  return JSON.stringify(value)
}

/** Return how many there are: "1 chunk", "3 chunks". */
export const count = (number, noun) => `${number} ${noun}${number === 1 ? "" : "s"}`
