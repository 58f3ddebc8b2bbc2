// Who would make the video, for how much, and what would differ from what was asked.

import { fill, h } from "../lib/dom.js"
import { bytes, count, money, seconds } from "../lib/words.js"
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
      nothing(best === null ? showRefusals(report) : showChosen(best), showOthers(report, onChoose))
      chosen = best?.plan ? best : null
    },
  }
}

const priceOf = (usd) => (usd === null || usd === undefined ? "price unknown" : money(usd))

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

function showRefusals(report) {
  const refused = report.candidates.filter((each) => each.refusals.length > 0)
  const reasons = refused.slice(0, 6).map((each) => h("li", {},
    h("b", {}, `${each.backend}/${each.model}`), h("p", {}, each.refusals[0].message),
    each.refusals[0].hint ? h("p", { class: "hint" }, each.refusals[0].hint) : null))
  return [
    h("p", { class: "problem" }, report.summary || "No model can make this video."),
    reasons.length > 0 ? h("ul", { class: "changes" }, ...reasons) : null,
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
