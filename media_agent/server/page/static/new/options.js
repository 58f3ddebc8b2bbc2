// What only the named model knows: a field for each of its options.

import { field, h, place } from "../lib/dom.js"

export function buildOptions() {
  let backend = null
  let inputs = []
  const element = place("fieldset", {}, (model) => {
    inputs = (model?.options ?? []).map((option) => ({ option, input: buildInput(option) }))
    return inputs.length === 0 ? [] : [
      h("legend", {}, `Options of ${model.backend}/${model.model}`),
      h("div", { class: "pair" }, ...inputs.map(({ option, input }) => field(option.name.replaceAll("_", " "), input, option.description)))]
  })

  return {
    element,
    show(model) {
      backend = model?.backend ?? null
      element.show(model === null ? null : { backend, model: model.model, options: model.options })
    },
    /** Return the fields of a request. */
    read() {
      const given = inputs.filter(({ input }) => input.value !== "").map(({ option, input }) => [option.name, convert(option, input.value)])
      return given.length === 0 ? {} : { options: { [backend]: Object.fromEntries(given) } }
    },
  }
}

function buildInput({ type, default: usual, choices, minimum, maximum }) {
  const values = choices ?? (type === "boolean" ? [true, false] : null)
  if (values !== null) {
    return h("select", {}, h("option", { value: "" }, usual === null ? "As the model does" : `Default: ${usual}`),
      ...values.map((each) => h("option", { value: JSON.stringify(each) }, String(each))))
  }
  const isNumber = type === "number" || type === "integer"
  return h("input", { type: isNumber ? "number" : "text", step: type === "integer" ? 1 : "any", min: minimum, max: maximum,
    placeholder: usual === null ? "" : String(usual), autocomplete: "off" })
}

function convert({ type, choices }, text) {
  if (choices || type === "boolean") return JSON.parse(text)
  return type === "number" || type === "integer" ? Number(text) : text
}
