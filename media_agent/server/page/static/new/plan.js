// Who would make the video, for how much, and what would differ from what was asked.

import { fill, h } from "../lib/dom.js"
import { bytes, count, priceOf, seconds } from "../lib/words.js"
import { showChanges } from "../lib/changes.js"
import { problem } from "../lib/parts.js"

const METHODS = {
  single: "in one piece",
  endless: "chunk by chunk, as long as you like",
  extend: "each segment continues the one before",
  chain: "segments, each from the last image of the one before",
}

export function buildPlan(onChoose) {
  const element = h("div", { "aria-live": "polite", "aria-atomic": "false" })
  let chosen = null

  const nothing = (...content) => {
    chosen = null
    element.removeAttribute("aria-busy")
    fill(element, ...content)
  }

  return {
    element,
    chosen: () => chosen,
    price: () => priceOf(chosen.estimate.cost_usd),
    wait: (text) => nothing(h("p", { class: "muted" }, text)),
    refuse: (error) => nothing(problem(error)),
    work() {
      chosen = null
      element.setAttribute("aria-busy", "true")
    },
    show(report) {
      const best = report.candidates.find((each) => each.rank === 1) ?? null
      nothing(best === null ? showRefusals(report, onChoose) : showChosen(best), showOthers(report, onChoose))
      chosen = best?.plan ? best : null
    },
  }
}

function showChosen({ backend, model, estimate, method, submissions, seams, plan, local, missing, verification }) {
  const memory = estimate.memory
  return [
    h("p", { class: "price" }, priceOf(estimate.cost_usd)),
    h("p", { class: "chosen" }, `${backend}/${model}`),
    h("ul", { class: "points" }, ...[
      estimate.seconds === null ? "how long it takes is not known" : `ready in about ${seconds(estimate.seconds)}`,
      (METHODS[method] ?? method) + (submissions > 1 ? `: ${count(submissions, "submission")}, ${count(seams, "seam")}` : ""),
      local ? "on this machine: nothing leaves it" : "at a provider: prompt and images are sent there",
      memory ? `memory: ${bytes(memory.needed_bytes)} of ${bytes(memory.free_bytes)} free` : null,
      `checked: ${verification.level}`,
      estimate.source ? `price from: ${estimate.source}` : null,
    ].filter(Boolean).map((each) => h("li", {}, each))),
    missing ? h("p", { class: "notice" }, `It lacks ${missing}`) : null,
    plan ? showChanges(plan.adjustments, h("h3", {}, "What would differ")) : null,
    ...(plan?.warnings ?? []).map((each) => h("p", { class: "notice" }, each)),
  ]
}

const SHOWN_REASONS = 6

function showRefusals(report, onChoose) {
  const groups = new Map() // many models of one backend are refused for one reason
  const refused = report.candidates.filter((each) => each.refusals.length > 0)
  for (const each of refused.sort((one, other) => other.local - one.local)) {
    const key = `${each.backend} ${each.refusals[0].code}`
    groups.set(key, [...(groups.get(key) ?? []), each])
  }
  const reasons = [...groups.values()].slice(0, SHOWN_REASONS).map((each) => {
    const [{ backend, model, refusals: [{ message, hint }] }] = each
    const name = `${backend}/${model}`
    return h("li", {},
      each.length === 1
        ? h("button", { type: "button", class: "quiet name", onclick: () => onChoose(name) }, name)
        : h("b", {}, `${backend}, ${each.length} models`),
      h("p", {}, message.startsWith(`${name} `) ? message.slice(name.length + 1) : message),
      hint && !hint.startsWith("model=") ? h("p", { class: "hint" }, hint) : null) // its name is a button
  })
  return [
    h("p", { class: "problem" }, report.summary || "No model can make this video."),
    reasons.length > 0 ? h("ul", { class: "changes reasons" }, ...reasons) : null,
    groups.size > SHOWN_REASONS ? h("p", { class: "hint" }, `And ${count(groups.size - SHOWN_REASONS, "other reason")}.`) : null,
  ]
}

function showOthers(report, onChoose) {
  const others = report.candidates.filter((each) => each.rank !== null && each.rank > 1)
  if (others.length === 0) return null
  return h("details", {}, h("summary", {}, `${count(others.length, "other model")} could`),
    h("ul", { class: "others" }, ...others.map((each) => {
      const name = `${each.backend}/${each.model}`
      return h("li", {}, h("button", { type: "button", class: "quiet", onclick: () => onChoose(name) }, name),
        h("span", { class: "muted" }, priceOf(each.estimate.cost_usd)))
    })))
}
