// What can be done with a job as a whole.

import { call, fileOf, makeKeys } from "../lib/api.js"
import { ask, h, place } from "../lib/dom.js"
import { isOver } from "../lib/words.js"
import { actionButton } from "../lib/parts.js"
import { fork } from "./fork.js"

export function buildActions(id, signal, { onChanged }) {
  const path = `jobs/${encodeURIComponent(id)}`
  const said = h("div", { "aria-live": "polite" })
  const post = (what) => call(`${path}/${what}`, { method: "POST", json: {}, signal })
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
    extend: () => fork({ path: `${path}/extend`, title: "Continue this video", draft: drafts.extend }),
    branch: (chunks) => fork({ path: `${path}/branch`, title: "Branch this video", chunks, draft: drafts.branch }),
    async remove() {
      const body = h("p", {}, "Its state for resuming and its files in the data folder go. What it cost stays counted.")
      if (await ask({ title: "Delete this video?", body, yes: "Delete", danger: true }) === null) return
      await call(path, { method: "DELETE", signal })
      location.hash = "#/"
    },
  }

  const drafts = { extend: { keyFor: makeKeys() }, branch: { keyFor: makeKeys() } } // kept if it fails

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
