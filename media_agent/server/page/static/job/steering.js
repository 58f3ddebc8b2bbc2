// Changes where a running video goes: a new prompt from the next chunk on, or its end.

import { call } from "../lib/api.js"
import { field, h, place } from "../lib/dom.js"
import { isOver } from "../lib/words.js"
import { actionButton, busy } from "../lib/parts.js"

export function buildSteering(id, signal) {
  const path = `jobs/${encodeURIComponent(id)}`
  const said = h("div", { "aria-live": "polite" })
  const prompt = h("textarea", { rows: 2, required: true })
  const now = h("input", { type: "checkbox", id: "steer-now" })
  const button = h("button", { class: "primary", form: "steering" }, "Change the prompt")
  const finish = actionButton("Finish the video", async () => {
    await call(`${path}/finish`, { method: "POST", json: {}, signal })
    said.replaceChildren(h("p", { class: "good" }, "It ends after its next chunk, complete."))
  }, { said })
  const form = h("form", { id: "steering" },
    field("From now on it shows", prompt),
    h("label", { class: "check", for: "steer-now" }, now, "Also in chunks already begun"))
  const buttons = h("div", { class: "row end" }, finish, button)
  form.addEventListener("submit", (event) => {
    event.preventDefault()
    busy(button, async () => {
      await call(`${path}/steer`, { method: "POST", json: { prompt: prompt.value, at: now.checked ? "now" : "next" }, signal })
      said.replaceChildren(h("p", { class: "good" }, "Sent. The video shows it a chunk or two later."))
      prompt.value = ""
    }, said)
  })
  prompt.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit()
  })
  const changed = []
  const log = place("ol", { class: "log" }, (entries) => entries.map((each) =>
    h("li", {}, h("span", { class: "time" }, `chunk ${each.chunk}`), h("p", { class: "prompt" }, each.prompt))))
  const heading = h("h2", {}, "Steer")
  const element = h("section", { class: "card", hidden: true }, heading, form, buttons, said, log)
  let controls = null

  async function learn(job) {
    controls = [] // asked once
    try {
      const query = new URLSearchParams({ backend: job.plan.backend, search: job.plan.model, limit: 100 })
      const { data } = await call(`backends?${query}`, { signal })
      const own = data.find((each) => each.model === job.plan.model)
      controls = own?.controls ?? (job.plan.request.endless ? ["change_prompt", "finish"] : [])
    } catch {
      controls = job.plan.request.endless ? ["change_prompt", "finish"] : []
    }
    arrange(job)
  }

  function arrange(job) {
    const running = !isOver(job.status)
    form.hidden = button.hidden = !running || !controls.includes("change_prompt")
    finish.hidden = !running || !controls.includes("finish")
    buttons.hidden = button.hidden && finish.hidden
    if (!running) said.replaceChildren()
    heading.textContent = running ? "Steer" : "Steered"
    element.hidden = buttons.hidden && changed.length === 0
  }

  return {
    element,
    show(job) {
      if (controls === null && !isOver(job.status)) learn(job)
      else if (controls === null) controls = []
      arrange(job)
    },
    /** Take note of a prompt that came to hold. */
    hear(type, event) {
      if (type !== "prompt.changed" || changed.some((each) => each.chunk === event.chunk && each.prompt === event.prompt)) return
      changed.push({ chunk: event.chunk, prompt: event.prompt })
      log.show(changed)
      element.hidden = false
    },
  }
}
