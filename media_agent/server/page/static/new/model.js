// Which model: a name, or nothing; and what is worth knowing of the one that is named.

import { call } from "../lib/api.js"
import { fill, h, place } from "../lib/dom.js"
import { money } from "../lib/words.js"

const SHOWN_WORDS = 80
const OFFERED = 30
const CALM = 250 // ms without a key before it is searched

export function buildModel(signal, options) {
  const names = h("datalist", { id: "models" })
  const input = h("input", { list: "models", placeholder: "Choose for me", autocomplete: "off", spellcheck: "false" })
  const about = place("div", { class: "notice plain" }, describe)
  const models = new Map()
  let timer = null

  async function search() {
    const words = input.value.trim()
    if (models.has(words)) {
      tell()
      return
    }
    try {
      const { data } = await call(`backends?${new URLSearchParams({ search: words, limit: OFFERED })}`, { signal })
      for (const each of data) models.set(`${each.backend}/${each.model}`, each)
      fill(names, ...data.map((each) => h("option", { value: `${each.backend}/${each.model}` })))
    } catch {
      // the field works without suggestions; the plan says what is wrong with a name
    }
    tell()
  }

  function tell() {
    const model = models.get(input.value.trim()) ?? null
    about.show(model)
    options.show(model)
  }

  input.addEventListener("input", () => {
    clearTimeout(timer)
    timer = setTimeout(search, CALM)
  })
  signal.addEventListener("abort", () => clearTimeout(timer))
  return {
    input,
    about: [names, about],
    load: search,
    choose(name) {
      input.value = name
      search()
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
