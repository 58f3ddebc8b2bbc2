// The storyboard: one prompt, or several shots with their lengths.

import { field, fill, h } from "../lib/dom.js"

export function buildShots(changed) {
  let shots = [{ prompt: "", duration: "5" }]
  const list = h("ol", { class: "board" })
  const endless = h("input", { type: "checkbox", id: "endless" })
  const add = h("button", { type: "button", onclick: () => change((all) => [...all, { prompt: "", duration: "5" }], shots.length) }, "Add a shot")
  const element = h("div", {}, list, h("div", { class: "row" }, add,
    h("label", { class: "check", for: "endless" }, endless, "Endless: until you finish it")))
  endless.addEventListener("change", () => { draw(); changed() })

  function change(make, focused) {
    shots = make(shots)
    draw()
    list.children[focused]?.querySelector("textarea").focus()
    changed()
  }

  function draw() {
    fill(list, ...shots.map((shot, index) => {
      const isOpen = endless.checked && index === shots.length - 1
      const prompt = h("textarea", { rows: 3, required: true, value: shot.prompt, oninput: (event) => { shot.prompt = event.target.value } })
      const duration = h("input", { type: "number", min: 0.1, step: "any", inputmode: "decimal", disabled: isOpen, placeholder: isOpen ? "endless" : "", value: isOpen ? "" : shot.duration, oninput: (event) => { shot.duration = event.target.value } })
      const name = shots.length === 1 ? "What it shows" : `Shot ${index + 1}`
      const tool = (label, act, disabled = false) => h("button", { type: "button", class: "quiet", "aria-label": `${label}: ${name}`, disabled, onclick: act }, label)
      return h("li", {},
        field(name, prompt, shots.length === 1 ? "What is seen, how it moves, the light, the camera." : null),
        h("div", { class: "row" },
          h("div", { class: "inline" }, field("Seconds", duration)),
          shots.length === 1 ? null : h("div", { class: "tools" },
            tool("Earlier", () => change((all) => swap(all, index - 1), index - 1), index === 0),
            tool("Remove", () => change((all) => all.filter((each) => each !== shot), Math.max(0, index - 1))))))
    }))
  }

  draw()
  return {
    element,
    isReady: () => shots.every((shot) => shot.prompt.trim() !== ""),
    /** Return the fields of a request. */
    read() {
      const seconds = (shot) => (shot.duration === "" ? {} : { duration: Number(shot.duration) })
      if (shots.length === 1) {
        return { prompt: shots[0].prompt, ...(endless.checked ? { endless: true } : seconds(shots[0])) }
      }
      const board = shots.map((shot, index) => ({
        prompt: shot.prompt, ...(endless.checked && index === shots.length - 1 ? {} : seconds(shot)),
      }))
      return { shots: board, ...(endless.checked ? { endless: true } : {}) }
    },
  }
}

function swap(all, at) {
  const moved = [...all]
  ;[moved[at], moved[at + 1]] = [moved[at + 1], moved[at]]
  return moved
}
