// A storyboard, planned and priced while it is written; nothing starts before the button that says the price.

import { call, makeKeys } from "../lib/api.js"
import { field, fill, h } from "../lib/dom.js"
import { buildImage } from "./image.js"
import { buildModel } from "./model.js"
import { buildOptions } from "./options.js"
import { busy } from "../lib/parts.js"
import { buildPlan } from "./plan.js"
import { buildShots } from "./shots.js"

const CALM = 500 // ms without a change before it is planned

export function showCreate({ main, signal, title }) {
  title("New video")
  const changed = () => form.dispatchEvent(new Event("input"))
  const shots = buildShots(changed)
  const image = buildImage(changed, signal)
  const options = buildOptions()
  const model = buildModel(signal, options)
  const plan = buildPlan((name) => { model.choose(name); changed() })
  const shape = select("shape", [["", "As the model does"], ["16:9", "16:9, wide"], ["9:16", "9:16, upright"], ["1:1", "1:1, square"], ["4:3", "4:3"], ["3:4", "3:4"], ["21:9", "21:9, cinema"]])
  const resolution = select("resolution", [["", "As the model does"], "360p", "480p", "540p", "720p", "768p", "1080p", "2k", "4k"])
  const size = h("input", { placeholder: "1280x720", pattern: "\\s*\\d{2,4}\\s*[xX]\\s*\\d{2,4}\\s*", autocomplete: "off" })
  const seed = h("input", { type: "number", min: 0, step: 1, inputmode: "numeric", placeholder: "random" })
  const negative = h("textarea", { rows: 2 })
  const audio = select("audio", [["", "As the model does"], ["true", "With audio"], ["false", "Without audio"]])
  const policy = select("policy", [["", "As the settings say"], ["adjust", "Use the nearest and say so"], ["strict", "Refuse"]])
  const limit = h("input", { type: "number", min: 0, step: "any", inputmode: "decimal", placeholder: "no limit" })
  const label = h("input", { maxlength: 100, autocomplete: "off" })
  const unknownWords = h("input", { type: "checkbox", id: "unknown-words" })
  const said = h("div", { "aria-live": "polite" })
  const start = h("button", { class: "primary start", disabled: true }, "Start")
  const form = h("form", { class: "create", novalidate: false },
    h("div", { class: "wide" },
      h("h1", {}, "New video"), shots.element, image.element,
      h("div", { class: "pair" }, field("Shape", shape), field("Model", model.input, "Empty: the best choice for this video.")),
      model.about,
      h("details", {}, h("summary", {}, "More options"),
        h("div", { class: "pair" }, field("Resolution", resolution), field("Exact size in pixels", size, "Instead of shape and resolution.")),
        h("div", { class: "pair" }, field("Seed", seed), field("Audio", audio)),
        field("What it should not show", negative),
        h("div", { class: "pair" }, field("What a model cannot do", policy), field("Most it may cost, in USD", limit)),
        field("Label", label, "A word of your own, to find videos and count costs by."),
        h("label", { class: "check", for: "unknown-words" }, unknownWords, "Allow words that the model does not know"),
        options.element)),
    h("div", { class: "side" }, h("section", { class: "card plan", "aria-label": "Plan" },
      h("h2", {}, "Plan"), plan.element, start, said)))
  const keyFor = makeKeys()
  let timer = null
  let planning = null

  function read() {
    const request = { ...shots.read(), ...image.read(), ...options.read() }
    const exact = size.value.match(/(\d+)\s*[xX]\s*(\d+)/)
    if (exact) request.size = { width: Number(exact[1]), height: Number(exact[2]) }
    else {
      if (shape.value) request.aspect_ratio = shape.value
      if (resolution.value) request.resolution = resolution.value
    }
    if (seed.value !== "") request.seed = Number(seed.value)
    if (negative.value.trim()) request.negative_prompt = negative.value
    if (audio.value) request.audio = audio.value === "true"
    if (model.input.value.trim()) request.model = model.input.value.trim()
    if (limit.value !== "") request.budget = { max_cost_usd: Number(limit.value) }
    const body = { request }
    if (policy.value) body.policy = policy.value
    if (unknownWords.checked) body.allow_unknown_words = true
    return body
  }

  async function look() {
    planning?.abort()
    const mine = (planning = new AbortController())
    if (!shots.isReady()) {
      plan.wait("Describe the video; the plan and its price appear here.")
      return
    }
    if (!image.isReady()) {
      plan.wait("The plan appears here when the image is sent.")
      return
    }
    plan.work()
    try {
      const report = await call("plan", { method: "POST", json: { ...read(), best: 6 }, signal: mine.signal })
      plan.show(report)
      offer()
    } catch (error) {
      if (error.name !== "AbortError" && error.status !== 401) plan.refuse(error)
    }
  }

  function offer() {
    start.disabled = plan.chosen() === null
    start.textContent = plan.chosen() === null ? "Start" : `Start · ${plan.price()}`
  }

  form.addEventListener("input", () => {
    start.disabled = true // its price is of what was there before
    start.textContent = "Start"
    clearTimeout(timer)
    timer = setTimeout(look, CALM)
  })
  form.addEventListener("submit", (event) => {
    event.preventDefault()
    if (!start.disabled) busy(start, submit, said)
  })
  signal.addEventListener("abort", () => {
    clearTimeout(timer)
    planning?.abort()
  })

  async function submit() {
    const chosen = plan.chosen()
    const body = read()
    body.request.model = `${chosen.backend}/${chosen.model}` // what was shown is what is made
    if (chosen.estimate.cost_usd !== null) body.max_cost_usd = chosen.estimate.cost_usd // and for no more
    if (label.value.trim()) body.label = label.value.trim()
    const job = await call("jobs", { method: "POST", json: body, headers: { "Idempotency-Key": keyFor(body) } })
    location.hash = `#/jobs/${encodeURIComponent(job.id)}`
  }

  fill(main, form)
  plan.wait("Describe the video; the plan and its price appear here.")
  model.load()
}

function select(name, options) {
  return h("select", { id: `new-${name}` }, ...options.map((each) => {
    const [value, text] = Array.isArray(each) ? each : [each, each]
    return h("option", { value }, text)
  }))
}
