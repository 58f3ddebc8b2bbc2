// A video that continues another one, or branches off it: planned and priced before it starts.

import { call } from "../lib/api.js"
import { showChanges } from "../lib/changes.js"
import { ask, field, fill, h } from "../lib/dom.js"
import { problem } from "../lib/parts.js"
import { priceOf, seconds } from "../lib/words.js"

const CALM = 500 // ms without a change before it is planned

export async function fork({ path, title, chunks = null, draft }) {
  const prompt = h("textarea", { rows: 3, required: true, value: draft.prompt })
  const duration = h("input", { type: "number", min: 0.1, step: "any", inputmode: "decimal", value: draft.duration ?? 5, required: true })
  const at = h("input", { type: "number", min: 0, max: chunks ?? 0, step: 1, inputmode: "numeric" })
  const plan = h("div", { "aria-live": "polite" })
  const start = h("button", { class: "primary", value: "yes", disabled: true }, "Start")
  const body = h("div", {}, field("What comes then", prompt), field("For how many seconds", duration),
    chunks === null ? null : field("Chunks to keep", at, `All ${chunks} if left empty.`), plan)
  let timer = null
  let planning = null
  let limit = null

  function read() {
    const given = { prompt: prompt.value, duration: Number(duration.value) }
    if (at.value !== "") given.at = Number(at.value)
    return given
  }

  function withdraw() {
    clearTimeout(timer)
    planning?.abort()
    start.disabled = true // its price is of what was there before
    start.textContent = "Start"
  }

  async function look() {
    const mine = (planning = new AbortController())
    try {
      const found = await call(`${path}/plan`, { method: "POST", json: read(), signal: mine.signal })
      const usd = (limit = found.estimate.cost_usd)
      fill(plan, show(found))
      start.textContent = `Start · ${priceOf(usd)}`
      start.disabled = false
    } catch (error) {
      if (error.name !== "AbortError" && error.status !== 401) fill(plan, problem(error))
    }
  }

  function change() {
    withdraw()
    if (prompt.value.trim() && duration.validity.valid && at.validity.valid) timer = setTimeout(look, CALM)
    else fill(plan)
  }

  body.addEventListener("input", change)
  change()
  const answer = await ask({ title, body, yes: start })
  withdraw()
  const given = read()
  Object.assign(draft, { prompt: given.prompt, duration: given.duration })
  if (answer === null) return
  if (limit !== null) given.max_cost_usd = limit // what was shown, and no more
  const made = await call(path, { method: "POST", json: given, headers: { "Idempotency-Key": draft.keyFor(given) } })
  location.hash = `#/jobs/${encodeURIComponent(made.id)}`
}

function show({ backend, model, estimate, adjustments, warnings }) {
  return [
    h("p", { class: "price" }, priceOf(estimate.cost_usd)),
    h("p", { class: "hint" }, `${backend}/${model}, ${estimate.seconds === null ? "how long it takes is not known" : `ready in about ${seconds(estimate.seconds)}`}`),
    showChanges(adjustments, h("h3", {}, "What would differ")),
    ...warnings.map((each) => h("p", { class: "notice" }, each)),
  ]
}
