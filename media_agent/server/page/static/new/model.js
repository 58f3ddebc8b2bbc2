// Which model: a name, or nothing; and what is worth knowing of the one that is named.

import { call } from "../lib/api.js"
import { h, place } from "../lib/dom.js"
import { money } from "../lib/words.js"

const SHOWN_WORDS = 80

export function buildModel(signal) {
  const names = h("datalist", { id: "models" })
  const input = h("input", { list: "models", placeholder: "Choose for me", autocomplete: "off", spellcheck: "false" })
  const about = place("div", { class: "notice", "aria-live": "polite", hidden: true }, describe)
  let models = new Map()

  function tell() {
    const model = models.get(input.value.trim())
    about.show(model ?? null)
    about.hidden = about.childNodes.length === 0
  }

  input.addEventListener("input", tell)
  return {
    input,
    about: [names, about],
    choose(name) {
      input.value = name
      tell()
    },
    async load() {
      try {
        const { data } = await call("backends", { signal })
        models = new Map(data.map((each) => [`${each.backend}/${each.model}`, each]))
        names.append(...[...models.keys()].map((value) => h("option", { value })))
        tell()
      } catch {
        // the field works without suggestions; the plan says what is wrong with a name
      }
    },
  }
}

function describe(model) {
  if (model === null) return []
  const words = model.closed_vocabulary
  return [
    model.description ? h("p", {}, model.description) : null,
    model.missing ? h("p", {}, `It lacks ${model.missing}.`) : null,
    words && words.length > 0
      ? h("p", { class: "hint" }, `It only knows these words: ${words.slice(0, SHOWN_WORDS).join(" ")}${words.length > SHOWN_WORDS ? " …" : ""}`)
      : null,
    h("p", { class: "hint" }, `Checked: ${model.verification.level}. ${model.estimate_seconds_of_video ? `${model.estimate_seconds_of_video} s of video: ${money(model.estimate.cost_usd)}.` : ""}`),
  ]
}
