// What can be done with a job as a whole.

import { call, fileOf, makeKeys } from "../lib/api.js"
import { ask, field, h, place } from "../lib/dom.js"
import { isOver } from "../lib/words.js"
import { actionButton } from "../lib/parts.js"

export function buildActions(id, signal, { onChanged }) {
  const path = `jobs/${encodeURIComponent(id)}`
  const said = h("div", { "aria-live": "polite" })
  const post = (what, json = {}, headers = {}) => call(`${path}/${what}`, { method: "POST", json, headers, signal })
  const button = (label, act, kind = "") => actionButton(label, act, { kind, said })
  const tell = (text) => said.replaceChildren(h("p", { class: "good" }, text))

  const act = {
    async cancel(quote) {
      const body = h("p", {}, quote === 0 ? "What is finished so far is kept." : "What is finished so far is kept. What the provider has begun may still be billed.")
      if (await ask({ title: "Stop this video?", body, yes: "Stop it", no: "Let it run", danger: true }) === null) return
      await post("cancel")
      onChanged()
    },
    async resume() {
      await post("resume")
      onChanged()
    },
    async reconcile() {
      await post("reconcile")
      tell("Looked up at the provider.")
      onChanged()
    },
    extend: () => fork("extend", "Continue this video", null),
    branch: (chunks) => fork("branch", "Branch this video", chunks),
    async remove() {
      const body = h("p", {}, "Its state for resuming and its files in the data folder go. What it cost stays counted.")
      if (await ask({ title: "Delete this video?", body, yes: "Delete", danger: true }) === null) return
      await call(path, { method: "DELETE", signal })
      location.hash = "#/"
    },
  }

  const drafts = { extend: { keyFor: makeKeys() }, branch: { keyFor: makeKeys() } } // kept if it fails

  async function fork(what, title, chunks) {
    const draft = drafts[what]
    const prompt = h("textarea", { rows: 3, required: true, value: draft.prompt })
    const duration = h("input", { type: "number", min: 0.1, step: "any", inputmode: "decimal", value: draft.duration ?? 5, required: true })
    const at = h("input", { type: "number", min: 0, max: chunks ?? 0, step: 1, inputmode: "numeric" })
    const body = h("div", {}, field("What comes then", prompt), field("For how many seconds", duration),
      chunks === null ? null : field("Chunks to keep", at, `All ${chunks} if left empty.`))
    if (await ask({ title, body, yes: "Start" }) === null) return
    const given = { prompt: prompt.value, duration: Number(duration.value) }
    Object.assign(draft, given)
    if (at.value !== "") given.at = Number(at.value)
    const made = await post(what, given, { "Idempotency-Key": draft.keyFor(given) })
    location.hash = `#/jobs/${encodeURIComponent(made.id)}`
  }

  const buttons = place("div", { class: "stack" }, (status, hasFile, chunks, quote) => {
    const over = isOver(status)
    return [
      hasFile && over ? h("a", { class: "button primary", href: fileOf(id), download: `${id}.mp4` }, "Download") : null,
      over ? null : button("Stop", () => act.cancel(quote), "danger"),
      status === "outcome_unknown" ? button("Look it up at the provider", act.reconcile, "primary") : null,
      ["failed", "cancelled", "outcome_unknown"].includes(status) ? button("Resume", act.resume) : null,
      status === "completed" ? button("Continue…", () => act.extend()) : null,
      chunks > 0 ? button("Branch…", () => act.branch(chunks)) : null,
      over ? button("Delete…", act.remove, "quiet") : null,
    ]
  })
  const element = h("section", { class: "card", "aria-label": "Actions" }, buttons, said)
  return {
    element,
    show: (job) => buttons.show(job.status, job.artifacts.length > 0, isOver(job.status) ? job.chunks_ready : 0, job.quote_usd),
  }
}
