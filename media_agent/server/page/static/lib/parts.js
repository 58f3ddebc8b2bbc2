// Pieces that several views show.

import { h } from "./dom.js"
import { stateName } from "./words.js"

export const badge = (status) => h("span", { class: `badge ${status}` }, stateName(status))

/** Return how far a job is; without a fraction the bar only says that it works. */
export function bar(progress, label) {
  const known = progress !== null && progress !== undefined
  return h("progress", { max: 1, "aria-label": label, ...(known ? { value: progress } : {}) })
}

/** Return what went wrong, and the next step. */
export function problem(error, title = null) {
  return h("div", { class: "problem", role: "alert" },
    title && h("strong", {}, title),
    h("p", {}, error.message),
    error.hint && h("p", { class: "next" }, error.hint))
}

/** Return a button that shows that it works, and beside it what came of it. */
export function actionButton(label, act, { kind = "", said } = {}) {
  const button = h("button", { type: "button", class: kind }, label)
  button.addEventListener("click", () => busy(button, act, said))
  return button
}

/** Run something once at a time; its error is shown in `said`. */
export async function busy(button, act, said) {
  if (button.getAttribute("aria-busy") === "true") return
  button.setAttribute("aria-busy", "true")
  said.replaceChildren()
  try {
    await act()
  } catch (error) {
    if (error.name !== "AbortError") said.replaceChildren(problem(error))
  } finally {
    button.removeAttribute("aria-busy")
  }
}

/** Return the first words of what a video shows. */
export function promptOf(request) {
  return request.prompt ?? request.shots?.[0]?.prompt ?? "Without a prompt"
}
