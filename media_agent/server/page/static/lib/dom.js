// Elements without markup: whatever a prompt, a model or a server says becomes text, never HTML.

/** Return an element; `on...` are listeners, true and false switch an attribute, null leaves it out. */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag)
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value)
    else if (name === "value") element.value = value ?? ""
    else if (value === true) element.setAttribute(name, "")
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, value)
  }
  element.append(...present(children))
  return element
}

/** Put these children in the place of all others. */
export function fill(element, ...children) {
  element.replaceChildren(...present(children))
  return element
}

/** Return a place whose content is built again only when what it shows has changed. */
export function place(tag, attributes, build) {
  const element = h(tag, { ...attributes, hidden: true })
  let shown
  element.show = (...values) => {
    const now = JSON.stringify(values)
    if (now === shown) return
    shown = now
    fill(element, build(...values))
    element.hidden = element.childNodes.length === 0
  }
  return element
}

/** Return a field with its label, and a line that explains it. */
export function field(label, input, hint = null) {
  input.id ||= `field-${(field.last = (field.last ?? 0) + 1)}`
  const note = hint === null ? null : h("p", { class: "hint", id: `${input.id}-hint` }, hint)
  if (note) input.setAttribute("aria-describedby", note.id)
  return h("div", { class: "field" }, h("label", { for: input.id }, label), input, note)
}

/** Return rows of a name and a value; those without a value are left out. */
export function facts(rows) {
  const told = rows.filter(([, value]) => value !== null && value !== undefined && value !== "")
  return told.length === 0
    ? null
    : h("dl", { class: "facts" }, ...told.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))))
}

/** Ask in a dialog; resolves to the answer of its form, or null. */
export function ask({ title, body, yes, no = "Back", danger = false }) {
  const form = h("form", { method: "dialog" },
    h("h2", {}, title), body,
    h("div", { class: "row end" },
      h("button", { type: "button", onclick: () => dialog.close() }, no),
      yes instanceof Element ? yes : h("button", { class: danger ? "danger" : "primary", value: "yes" }, yes)))
  const dialog = h("dialog", { "aria-label": title }, form)
  document.body.append(dialog)
  dialog.showModal()
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      dialog.remove()
      resolve(dialog.returnValue === "yes" ? form : null)
    })
  })
}

function present(children) {
  return children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false)
}
